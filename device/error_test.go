package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/ws"
)

func TestWhatACallEndsWith(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	life := func(cause error) context.Context {
		ctx, end := context.WithCancelCause(context.Background())
		end(cause)
		return ctx
	}
	refused := &hubwire.Error{Op: "connect", Code: hubwire.Unauthorized, Outcome: hubwire.Refused}
	for name, tt := range map[string]struct {
		ctx, life context.Context
		is        []error
		isNot     error
		retryable bool
	}{
		"its context":                 {over, t.Context(), []error{context.Canceled}, net.ErrClosed, true},
		"a Close":                     {t.Context(), life(errClosed), []error{net.ErrClosed}, context.Canceled, false},
		"a refusal":                   {t.Context(), life(refused), []error{net.ErrClosed, hubwire.Unauthorized}, context.Canceled, false},
		"both, of which one is final": {over, life(refused), []error{net.ErrClosed, hubwire.Unauthorized}, context.Canceled, false},
	} {
		err := withOp("receive", ended(tt.ctx, tt.life))
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Op != "receive" || e.Outcome != hubwire.NotSent || e.Retryable != tt.retryable || errors.Is(err, tt.isNot) {
			t.Errorf("%s: %+v", name, err)
		}
		for _, is := range tt.is {
			if !errors.Is(err, is) {
				t.Errorf("%s: %v does not match %v", name, err, is)
			}
		}
	}
	if text := ended(t.Context(), life(refused)).Error(); !strings.Contains(text, "device: client ended: hubwire: connect: 401003") {
		t.Error(text)
	}
	if text := errClosed.Error(); text != "device: client closed" {
		t.Error(text)
	}
}

func TestWithOpNamesAnyError(t *testing.T) {
	if err := withOp("send", nil); err != nil {
		t.Errorf("%v", err)
	}
	plain := errors.New("plain")
	var e *hubwire.Error
	if err := withOp("send", plain); !errors.As(err, &e) || e.Op != "send" || e.Outcome != hubwire.Unknown || !errors.Is(err, plain) {
		t.Errorf("%v", err)
	}
	if text := (&SendError{7, plain}).Error(); text != "message 7: plain" {
		t.Error(text)
	}
}

func TestWhichWaysAreHopeless(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"a plain error":                 {errors.New("x"), false},
		"a handshake without answer":    {&ws.HandshakeError{Err: errors.New("x")}, false},
		"a path that is not there":      {&ws.HandshakeError{Status: http.StatusNotFound, Err: ws.ErrPath}, true},
		"a server that is overloaded":   {&ws.HandshakeError{Status: http.StatusServiceUnavailable}, false},
		"a server that throttles":       {&ws.HandshakeError{Status: http.StatusTooManyRequests}, false},
		"a proxy that wants a password": {fmt.Errorf("x: %w", &ws.ProxyError{Status: http.StatusProxyAuthRequired}), true},
		"a proxy that is slow":          {&ws.ProxyError{Status: http.StatusRequestTimeout}, false},
		"a proxy of another kind":       {&ws.ProxyError{Err: ws.ErrProxyURL}, true},
		"a proxy that finds no way":     {&ws.ProxyError{Status: http.StatusBadGateway}, false},
	} {
		if got := badWay(tt.err); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTextForPeopleIsCutToWhatTheyRead(t *testing.T) {
	long := strings.Repeat("ä", 5000)
	body, err := json.Marshal(map[string]string{"message": long + "\n", "trackingId": long})
	if err != nil {
		t.Fatal(err)
	}
	if got := (&answer{status: 500, body: body}).refusal().Error(); len(got) > 2200 || !utf8.ValidString(got) {
		t.Errorf("%d bytes: %.40q", len(got), got)
	}
	body = []byte(`{"message":"no\r\nSharedAccessSignature sr=h&sig=abc%3D&se=1","trackingId":"a\nSharedAccessKey=abc"}`)
	if got := (&answer{status: 401, body: body}).refusal().Error(); strings.Contains(got, "abc") || strings.ContainsAny(got, "\r\n") {
		t.Errorf("%q", got)
	}
	var text string
	if r := textResponse(500, long); json.Unmarshal(r.Payload, &text) != nil || len(text) > 4200 {
		t.Errorf("%d bytes", len(text))
	}
}
