package site

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// TestOpen is what go run does without a connection string: a hub is there, and gone at the end.
func TestOpen(t *testing.T) {
	testkit.LeakCheck(t)
	err := open(t.Context(), "", nil, func(ctx context.Context, _ io.Writer, s *Site) (err error) {
		if _, err := s.Device(ctx, "dev-1"); err != nil {
			return err
		}
		defer s.Remove(ctx, "dev-1", &err)
		if _, err := s.Device(ctx, "dev-1"); err == nil {
			return fmt.Errorf("a device that is there was registered again")
		}
		_, err = s.Hub.Device(hubwire.Identity{DeviceID: "dev-1"})
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesABadConnectionString(t *testing.T) {
	for _, owner := range []string{"x", "HostName=h;DeviceId=d;SharedAccessKey=AAAA", "HostName=h;SharedAccessKeyName=p"} {
		if err := open(t.Context(), owner, nil, nil); err == nil {
			t.Errorf("%q was taken", owner)
		}
	}
}
