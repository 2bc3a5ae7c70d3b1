package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func TestHTTPSATokenIsKeptAndRenewedInTime(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, func(o *device.Options) { o.TokenTTL = 10 * time.Minute })
		for range 25 {
			if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		tokens := map[string]bool{}
		for _, r := range h.taken() {
			text := r.Header.Get("Authorization")
			tokens[text] = true
			token, err := sas.ParseToken(text)
			if err != nil || token.Expires.Before(r.at.Add(time.Minute)) {
				t.Errorf("at %v a token came that expires at %v: %v", r.at, token.Expires, err)
			}
		}
		if n := len(tokens); n < 3 || n > 4 {
			t.Errorf("%d tokens in 25 minutes, of 10 minutes each", n)
		}
	})
}

func TestHTTPSATokenThatIsNotTakenIsRefreshedOnce(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, nil)
		unauthorized := refusing(&hubwire.Error{Code: hubwire.Unauthorized})
		h.answers(unauthorized, status(http.StatusNoContent))
		time.Sleep(time.Second) // so that the next token has another expiry
		if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		got := h.taken()
		if len(got) != 2 || got[0].Header.Get("Authorization") == got[1].Header.Get("Authorization") {
			t.Errorf("%d requests, with the same token", len(got))
		}
		h.answers(unauthorized)
		err := c.Send(t.Context(), &hubwire.Message{Body: []byte("2")})
		if !errors.Is(err, hubwire.Unauthorized) || len(h.taken()) != 4 {
			t.Errorf("after %d requests: %v", len(h.taken()), err)
		}
		<-c.Done()
		if err := c.Err(); !errors.Is(err, hubwire.Unauthorized) || c.State() != device.Closed {
			t.Errorf("the client: %v, %v", c.State(), err)
		}
		err = c.Send(t.Context(), &hubwire.Message{})
		if !errors.Is(err, net.ErrClosed) || !errors.Is(err, hubwire.Unauthorized) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestHTTPSWhoIsNotLetInLearnsItFromDial(t *testing.T) {
	for _, tt := range []struct {
		code     hubwire.Code
		requests int
		letIn    bool
	}{
		{hubwire.Unauthorized, 2, false}, {hubwire.DeviceNotFound, 1, false}, {hubwire.DeviceDisabled, 1, false},
		{hubwire.MessageLockLost, 1, true}, {hubwire.NotAvailableInTier, 1, true}, {hubwire.ArgumentInvalid, 1, true},
	} {
		overREST(t, func(t *testing.T, h *restHub) {
			n := 0
			h.admits = func(*http.Request) error { n++; return &hubwire.Error{Code: tt.code} }
			c, err := device.Dial(t.Context(), restDevice, device.HTTPS(nil), h.options(nil))
			if tt.letIn != (err == nil) || !tt.letIn && (!errors.Is(err, tt.code) || err.(*hubwire.Error).Op != "dial") || n != tt.requests {
				t.Errorf("%v: after %d requests: %v", tt.code, n, err)
			}
			c.Close()
		})
	}
}

// TestHTTPSDialIsNotUnsureOfWhatItHeard has the answer of the first attempt lost, which says nothing of the second.
func TestHTTPSDialIsNotUnsureOfWhatItHeard(t *testing.T) {
	for code, letIn := range map[hubwire.Code]bool{hubwire.MessageLockLost: true, hubwire.ArgumentInvalid: true, hubwire.DeviceDisabled: false} {
		overREST(t, func(t *testing.T, h *restHub) {
			n := 0
			h.admits = func(r *http.Request) error {
				if n++; n == 1 {
					cut(nil, r)
				}
				return &hubwire.Error{Code: code}
			}
			c, err := device.Dial(t.Context(), restDevice, device.HTTPS(nil), h.options(nil))
			if letIn != (err == nil) || !letIn && !errors.Is(err, code) || n != 2 {
				t.Errorf("%v: after %d requests: %v", code, n, err)
			}
			c.Close()
		})
	}
}

func TestHTTPSDialWaitsForTroubleToPass(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		n := 0
		h.admits = func(*http.Request) error {
			if n++; n < 4 {
				return &hubwire.Error{Code: hubwire.ServerBusy}
			}
			return &hubwire.Error{Code: hubwire.MessageLockLost}
		}
		h.dial(nil, nil)
		if n != 4 {
			t.Errorf("%d attempts", n)
		}
		n = -1000
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := device.Dial(ctx, restDevice, device.HTTPS(nil), h.options(nil))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, hubwire.ServerBusy) || !err.(*hubwire.Error).Retryable {
			t.Error(err)
		}
	})
}

func TestHTTPSWhatItHasNot(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, nil)
		_, twin := c.Twin(t.Context())
		_, report := c.Report(t.Context(), map[string]int{"a": 1})
		var desired error
		for _, err := range c.Desired(t.Context()) {
			desired = err
		}
		method := c.HandleMethod(t.Context(), "m", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{}, nil
		})
		for name, err := range map[string]error{"twin": twin, "report": report, "desired": desired, "method": method} {
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "HTTPS") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(h.taken()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestHTTPSOptionsThatMakeNoSense(t *testing.T) {
	for name, o := range map[string]device.HTTPSOptions{
		"Connections": {Connections: -1}, "PollInterval": {PollInterval: -1}, "BatchBytes": {BatchBytes: httpsx.MaxBatchSize + 1},
		"LockTimeout": {LockTimeout: time.Second},
	} {
		_, err := device.Dial(t.Context(), restDevice, device.HTTPS(&o), nil)
		if !errors.Is(err, hubwire.ArgumentInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHTTPSDoesNotOfferHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offered := make(chan []string, 1)
		o := &device.Options{
			TLSConfig: &tls.Config{NextProtos: []string{"h2", "http/1.1"}},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				client, server := testkit.Pipe()
				go func() {
					defer server.Close()
					tls.Server(server, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
						offered <- hello.SupportedProtos
						return nil, errors.New("that is all")
					}}).Handshake()
				}()
				return client, nil
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := device.Dial(ctx, restDevice, device.HTTPS(nil), o); err == nil {
			t.Error("it is connected")
		}
		if got := <-offered; got != nil {
			t.Errorf("it offers %q", got)
		}
	})
}

func TestHTTPSAPanicInAFunctionThatARequestNeedsFailsThatAttempt(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		var panics []any
		var tokenCalls, dials int
		cred := device.Credentials{HostName: "hub.example", Identity: dev, Tokens: tokens(func() (string, time.Time, error) {
			if tokenCalls++; tokenCalls == 1 {
				panic("token")
			}
			return "SharedAccessSignature sr=x&sig=x&se=1", time.Time{}, nil
		})}
		c, err := device.DialCredentials(t.Context(), cred, device.HTTPS(nil), h.options(func(o *device.Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials++; dials == 1 {
					panic("dial")
				}
				return dial(ctx, network, addr)
			}
			o.Hooks = &device.Hooks{
				HandlerPanic: func(v any, _ []byte) { panics = append(panics, v) },
				State:        func(device.State, error) { panic("state") },
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		want := []any{"token", "state", "dial", "state", "state", "state"} // connecting, twice; connected; closed
		if diff := cmp.Diff(want, panics); diff != "" {
			t.Errorf("panics (-want +got):\n%s", diff)
		}
	})
}

func TestHTTPSCloseDoesNotWaitForAFunctionThatDoesNotReturn(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		stuck, goOn := make(chan struct{}), make(chan struct{})
		n := 0
		cred := device.Credentials{HostName: "hub.example", Identity: dev, Tokens: tokens(func() (string, time.Time, error) {
			if n++; n > 1 {
				close(stuck)
				<-goOn // whatever its context says
			}
			return "SharedAccessSignature sr=x&sig=x&se=1", time.Now().Add(time.Minute), nil
		})}
		c, err := device.DialCredentials(t.Context(), cred, device.HTTPS(nil), h.options(nil))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		sent := make(chan error, 1)
		go func() { sent <- c.Send(t.Context(), &hubwire.Message{}) }()
		<-stuck
		start := time.Now()
		if err := c.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		<-c.Done()
		close(goOn)
		if err := <-sent; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the send: %v", err)
		}
	})
}

// TestHTTPSCloseIsInTimeWhateverEndsLast has a done function return when the time of Close is
// over, and not a moment earlier: the Dial after it, which never returns, gets no more of it.
func TestHTTPSCloseIsInTimeWhateverEndsLast(t *testing.T) {
	for range 20 { // who of the two is first is anybody's guess
		overREST(t, func(t *testing.T, h *restHub) {
			stuck, goOn, closing := make(chan struct{}), make(chan struct{}), make(chan struct{})
			time.AfterFunc(2*time.Hour, func() { close(goOn) })
			dials := 0
			c, err := device.Dial(t.Context(), restDevice, device.HTTPS(nil), h.options(func(o *device.Options) {
				dial := o.Dial
				o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if dials++; dials > 1 {
						close(stuck)
						<-goOn // whatever its context says
					}
					return dial(ctx, network, addr)
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			err = c.SendAsync(t.Context(), &hubwire.Message{}, func(error) {
				<-closing
				time.Sleep(closeTimeout * 3 / 4)
			})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // no connection is kept for so long
			ctx, giveUp := context.WithCancel(t.Context())
			go c.Send(ctx, &hubwire.Message{})
			<-stuck
			giveUp()
			synctest.Wait()
			start := time.Now()
			close(closing)
			if err := c.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > closeTimeout {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
			<-goOn
		})
	}
}
