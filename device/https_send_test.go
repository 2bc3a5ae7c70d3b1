package device_test

import (
	"context"
	"crypto/rand"
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
	"github.com/hubwire/hubwire/internal/notls"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func TestHTTPSWhatASendIsOnTheWire(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, func(o *device.Options) { o.ProductInfo = "my app\u00e9" })
		m := &hubwire.Message{
			Body: []byte(`{"t":21}`), ID: "m1", ContentType: "application/json", ContentEncoding: "utf-8",
			Properties: []hubwire.Property{{Name: "level", Value: "3"}},
		}
		for range 2 { // the second has what the first left
			if err := c.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}
		got := h.taken()
		for i, r := range got {
			want := http.Header{"Accept": {"application/json"}, "User-Agent": {"hubwire my app??"}, "Content-Length": {"0"}}
			if i < 2 {
				want = http.Header{
					"Accept": {"application/json"}, "User-Agent": {"hubwire my app??"}, "Content-Length": {"8"},
					"Iothub-Messageid": {"m1"}, "Iothub-Contenttype": {"application/json"}, "Iothub-Contentencoding": {"utf-8"}, "Iothub-App-Level": {"3"},
				}
			}
			token, err := sas.ParseToken(r.Header.Get("Authorization"))
			if err != nil || token.Resource != "hub.example%2Fdevices%2Fdev-1" {
				t.Errorf("the token is for %q: %v", token.Resource, err)
			}
			r.Header.Del("Authorization")
			if diff := cmp.Diff(want, r.Header); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if r.URL.String() != "/devices/dev-1/messages/events?api-version=2021-04-12" || r.Method != "POST" || r.Host != "hub.example" || i < 2 && r.body != string(m.Body) {
				t.Errorf("%s %s to %s: %s", r.Method, r.URL, r.Host, r.body)
			}
		}
		if len(got) != 3 || h.dials != 1 {
			t.Errorf("%d requests over %d connections", len(got), h.dials)
		}
	})
}

func TestHTTPSAModuleBehindAGatewayWithAPort(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c, err := device.Dial(t.Context(), "HostName=hub.example;DeviceId=d'1;ModuleId=m+1;SharedAccessKey=c2VjcmV0;GatewayHostName=edge.example", device.HTTPS(nil),
			h.options(func(o *device.Options) { o.Port = 8443 }))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}
		r := h.taken()[0]
		if got := r.URL.EscapedPath(); got != "/devices/d%271/modules/m%2B1/messages/events" || r.Host != "edge.example:8443" {
			t.Errorf("%s of %s", got, r.Host)
		}
	})
}

func TestHTTPSASendIsTriedAgainWhereThatIsSafe(t *testing.T) {
	throttled := &hubwire.Error{Code: hubwire.Throttled, RetryAfter: 40 * time.Second}
	for _, tt := range []struct {
		name   string
		first  http.HandlerFunc
		atMost time.Duration // until the second attempt
		least  time.Duration
	}{
		{"throttled, when the hub says", refusing(throttled), 41 * time.Second, 40 * time.Second},
		{"throttled, for no longer than makes sense", refusing(&hubwire.Error{Code: hubwire.Throttled, RetryAfter: 1000 * time.Hour}), 6 * time.Minute, 5 * time.Minute},
		{"trouble of the hub's", refusing(&hubwire.Error{Code: hubwire.ServerError}), time.Second + 1, 1},
		{"a hub that is busy", status(http.StatusServiceUnavailable), time.Second + 1, 1},
		{"a gateway that has none behind it", status(http.StatusBadGateway), time.Second + 1, 1},
		{"a connection that is cut", cut, time.Second + 1, 1},
		{"a hub that does not answer", stall, 62 * time.Second, time.Minute},
		{"half an answer", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusServiceUnavailable)
			panic(http.ErrAbortHandler)
		}, time.Second + 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				c := h.dial(nil, nil)
				h.answers(tt.first, status(http.StatusNoContent))
				if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("body")}); err != nil {
					t.Fatal(err)
				}
				got := h.taken()
				if len(got) != 2 || got[0].body != "body" || got[1].body != "body" {
					t.Fatalf("%d requests: %v", len(got), got)
				}
				if d := got[1].at.Sub(got[0].at); d < tt.least || d > tt.atMost {
					t.Errorf("the second came after %v, want %v to %v", d, tt.least, tt.atMost)
				}
				if c.State() != device.Connected {
					t.Errorf("the state is %v", c.State())
				}
			})
		})
	}
}

func TestHTTPSWhatIsRefusedIsNotTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		code   hubwire.Code
		again  bool // later, by the caller
	}{
		{"too large", refusing(&hubwire.Error{Code: hubwire.MessageTooLarge, TrackingID: "T1"}), hubwire.MessageTooLarge, false},
		{"not understood", refusing(&hubwire.Error{Code: hubwire.ArgumentInvalid}), hubwire.ArgumentInvalid, false},
		{"no more for today", refusing(&hubwire.Error{Code: hubwire.QuotaExceeded, RetryAfter: time.Hour}), hubwire.QuotaExceeded, true},
		{"a page of a proxy's", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			w.Write([]byte("<html>"))
		}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				c := h.dial(nil, nil)
				h.answers(tt.answer)
				err := c.Send(t.Context(), &hubwire.Message{Body: []byte("body")})
				e, ok := errors.AsType[*hubwire.Error](err)
				if !ok || e.Code != tt.code || e.Outcome != hubwire.Refused || e.Retryable != tt.again || e.Op != "send" {
					t.Errorf("%#v", err)
				}
				if n := len(h.taken()); n != 1 || c.State() != device.Connected {
					t.Errorf("%d requests; the state is %v", n, c.State())
				}
			})
		})
	}
}

// TestHTTPSAPageIsNoAcknowledgement has a portal answer in the hub's place, which wants a login.
func TestHTTPSAPageIsNoAcknowledgement(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, nil)
		h.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte("<html>log in first</html>"))
		})
		err := c.Send(t.Context(), &hubwire.Message{Body: []byte("body")})
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Outcome != hubwire.Unknown || !strings.Contains(e.Message, "text/html") {
			t.Errorf("%v", err)
		}
		h.answers(status(http.StatusOK))
		if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("body")}); err != nil {
			t.Errorf("a hub that says 200: %v", err)
		}
	})
}

// TestHTTPSATokenIsOverBeforeTheHubLooksAtIt has the hub so slow, again and again, that it refuses tokens which were good when
// they were sent.
func TestHTTPSATokenIsOverBeforeTheHubLooksAtIt(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		const life = 2 * time.Second
		c := h.dial(nil, func(o *device.Options) { o.TokenTTL = life })
		late := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * life)
			refusing(&hubwire.Error{Code: hubwire.Unauthorized})(w, r)
		}
		h.answers(late, late, late, status(http.StatusNoContent))
		if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("body")}); err != nil {
			t.Error(err)
		}
		if n := len(h.taken()); n != 4 || c.State() != device.Connected {
			t.Errorf("%d requests; the state is %v", n, c.State())
		}
	})
}

func TestHTTPSARedirectIsNotFollowed(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, nil)
		h.answers(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
		})
		err := c.Send(t.Context(), &hubwire.Message{Body: []byte("body")})
		if !errors.Is(err, device.ErrRedirect) {
			t.Error(err)
		}
		if n := len(h.taken()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestHTTPSTheOutcomeOfASendThatItsContextEnds(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		body    int
		noWay   bool
		outcome hubwire.Outcome
		code    hubwire.Code
	}{
		{"no answer", stall, 1, false, hubwire.Unknown, 0},
		{"no answer to nothing", stall, 0, false, hubwire.Unknown, 0},
		{"cut each time", cut, 1, false, hubwire.Unknown, 0},
		{"throttled each time", refusing(&hubwire.Error{Code: hubwire.Throttled}), 1, false, hubwire.Refused, hubwire.Throttled},
		{"no way to the hub", nil, 1, true, hubwire.NotSent, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				noWay := make(chan struct{})
				c := h.dial(nil, func(o *device.Options) {
					dial := o.Dial
					o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						select {
						case <-noWay:
							return nil, errors.New("no way")
						default:
							return dial(ctx, network, addr)
						}
					}
				})
				if tt.noWay {
					close(noWay)
					time.Sleep(2 * time.Minute) // the connection of Dial goes
				}
				h.answers(tt.answer)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				start := time.Now()
				err := c.Send(ctx, &hubwire.Message{Body: make([]byte, tt.body)})
				e, ok := errors.AsType[*hubwire.Error](err)
				if !ok || !errors.Is(err, context.DeadlineExceeded) || e.Outcome != tt.outcome || e.Code != tt.code || !e.Retryable {
					t.Errorf("%v", err)
				}
				if d := time.Since(start); d != 30*time.Second {
					t.Errorf("it took %v", d)
				}
				if tt.noWay && c.State() != device.Connecting {
					t.Errorf("the state is %v", c.State())
				}
			})
		})
	}
}

func TestHTTPSAnAnswerBeforeTheRequestIsWhole(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		dials := make(chan net.Conn, 1)
		c := h.dial(nil, func(o *device.Options) {
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if len(dials) == 0 {
					dials <- nil
					return h.dialTo(ctx, network, addr)
				}
				client, server := testkit.Pipe() // of 64 KiB
				go func() {
					server.Read(make([]byte, 4096))
					server.Write([]byte("HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\n\r\n"))
					<-t.Context().Done()
					server.Close()
				}()
				return notls.Conn{Conn: client}, nil
			}
		})
		h.answers(cut) // the connection of Dial goes
		body := make([]byte, 200<<10)
		rand.Read(body)
		err := c.Send(t.Context(), &hubwire.Message{Body: body, Properties: []hubwire.Property{{Name: "k", Value: "v"}}})
		clear(body) // the race detector sees who reads it still
		if !errors.Is(err, hubwire.RequestTooLarge) {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

func TestHTTPSPropertiesThatItCannotCarry(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, nil)
		m := &hubwire.Message{Properties: []hubwire.Property{{Name: "place", Value: "living room"}}}
		for name, err := range map[string]error{
			"send": c.Send(t.Context(), m), "send async": c.SendAsync(t.Context(), m, func(error) { t.Error("done is called") }),
		} {
			e, ok := errors.AsType[*httpsx.PropertyError](err)
			if !ok || e.Name != "place" || e.Offset != 6 || !errors.Is(err, hubwire.ArgumentInvalid) || !errors.Is(err, httpsx.ErrNotToken) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(h.taken()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestHTTPSEachCodeOfASendComesThrough(t *testing.T) {
	for _, code := range []hubwire.Code{
		hubwire.InvalidProtocolVersion, hubwire.ArgumentInvalid, hubwire.FormatError, hubwire.QuotaExceeded, hubwire.QueueDepthExceeded, hubwire.NotAvailableInTier,
		hubwire.MessageTooLarge, hubwire.MessageLockLost, hubwire.PreconditionFailed, hubwire.MethodNotAllowed, hubwire.RequestTooLarge,
		hubwire.Throttled, hubwire.ServerError, hubwire.ServerBusy, hubwire.ServiceUnavailable, hubwire.GatewayTimeout,
	} {
		overREST(t, func(t *testing.T, h *restHub) {
			c := h.dial(nil, nil)
			h.answers(refusing(&hubwire.Error{Code: code, RetryAfter: 2 * time.Second, TrackingID: "06e0221675514160850421f0b3b787a9-G:0-TimeStamp:10/24/2023 16:53:16"}))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			err := c.Send(ctx, &hubwire.Message{Body: []byte("x")})
			e, ok := errors.AsType[*hubwire.Error](err)
			if !ok || !errors.Is(err, code) || e.Outcome != hubwire.Refused || e.RetryAfter != 2*time.Second || !strings.HasPrefix(e.TrackingID, "06e0") || e.Op != "send" {
				t.Errorf("%v: %v", code, err)
			}
			retryable := code.Retryable() || code.Status() == 504
			again := retryable && code.Status() != 403
			if tries := len(h.taken()); (tries > 1) != again || errors.Is(err, context.DeadlineExceeded) != again || ok && e.Retryable != retryable {
				t.Errorf("%v: %d attempts: %v", code, tries, err)
			}
		})
	}
}
