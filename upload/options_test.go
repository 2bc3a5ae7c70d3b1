package upload

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
)

func TestWhatNoRequestCanCarryIsRefusedAtOnce(t *testing.T) {
	for name, o := range map[string]*Options{
		"a content type of two lines":         {ContentType: "text/plain\r\nx: y"},
		"a name of metadata with a blank":     {Metadata: map[string]string{"a b": "c"}},
		"a name of metadata that is empty":    {Metadata: map[string]string{"": "c"}},
		"a name of metadata with a digit":     {Metadata: map[string]string{"1a": "c"}},
		"a value of metadata with two lines":  {Metadata: map[string]string{"a": "b\nc"}},
		"a name of metadata beyond ASCII":     {Metadata: map[string]string{"ü": "c"}},
		"a name of metadata that ends a line": {Metadata: map[string]string{"a\n": "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			at(t, hub.Upload{}, func(s *site) {
				start := time.Now()
				_, err := Stream(s.Context(), s.device, "x", bytes.NewReader([]byte("body")), o)
				if !errors.Is(err, ErrArgument) || time.Since(start) != 0 || len(s.requests) != 0 {
					t.Errorf("%v after %v and %d requests", err, time.Since(start), len(s.requests))
				}
			})
		})
	}
}
