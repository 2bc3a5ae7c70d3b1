package service_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

const aTwin = `{"deviceId":"dev-1","etag":"AAAAAAAAAAE=","version":2,"properties":{"desired":{"$version":1},"reported":{"$version":1}}}`

// kinds are calls of each kind that there is: how often they may be tried.
var kinds = map[string]func(ctx context.Context, c *service.Client) error{
	"reads":   func(ctx context.Context, c *service.Client) error { _, err := c.Twin(ctx, dev); return err },
	"changes": func(ctx context.Context, c *service.Client) error { return c.DeleteDevice(ctx, "dev-1", "MA==") },
	"creates": func(ctx context.Context, c *service.Client) error {
		_, err := c.CreateDevice(ctx, &service.Device{DeviceID: "dev-1"})
		return err
	},
	"invokes": func(ctx context.Context, c *service.Client) error {
		_, err := c.Invoke(ctx, dev, hubwire.MethodRequest{Name: "reboot"}, nil)
		return err
	},
}

// TestWhatIsTriedAgain has each fault meet each kind of call: how often it is tried, and what it
// ends with.
func TestWhatIsTriedAgain(t *testing.T) {
	html := func(status int) http.HandlerFunc {
		return says(status, "<html>secret</html>", "Content-Type", "text/html")
	}
	for name, tt := range map[string]struct {
		answer    http.HandlerFunc
		attempts  map[string]int // of 3; those not named: 1
		code      hubwire.Code
		outcome   hubwire.Outcome
		retryable bool
		is        error
	}{
		"throttled":                    {refuses(hubwire.Throttled), all(3), hubwire.Throttled, hubwire.Refused, true, nil},
		"busy":                         {refuses(hubwire.ServerBusy), all(3), hubwire.ServerBusy, hubwire.Refused, true, nil},
		"a server error":               {refuses(hubwire.ServerError), safe(3), hubwire.ServerError, hubwire.Refused, true, nil},
		"a quota":                      {refuses(hubwire.QuotaExceeded), nil, hubwire.QuotaExceeded, hubwire.Refused, true, nil},
		"not found":                    {refuses(hubwire.DeviceNotFound), nil, hubwire.DeviceNotFound, hubwire.Refused, false, nil},
		"a stale etag":                 {refuses(hubwire.PreconditionFailed), nil, hubwire.PreconditionFailed, hubwire.Refused, false, nil},
		"a gateway that waits in vain": {html(504), safe(3), hubwire.GenericGatewayTimeout, hubwire.Unknown, true, nil},
		"a gateway without a hub":      {html(502), safe(3), hubwire.BadGateway, hubwire.Unknown, true, nil},
		"a gateway that is busy":       {html(503), safe(3), hubwire.GenericServiceUnavailable, hubwire.Unknown, true, nil},
		"a redirect":                   {says(302, "", "Location", "https://login.example/?t=secret"), nil, 0, hubwire.Refused, false, nil},
		"a page of a portal":           {html(200), nil, 0, hubwire.Unknown, false, nil},
		"cut before the answer":        {raw(""), safe(3), 0, hubwire.Unknown, true, net.ErrClosed},
		"half a head":                  {raw("HTTP/1.1 200 OK\nContent-Ty"), safe(3), 0, hubwire.Unknown, true, net.ErrClosed},
		"half a body":                  {raw("HTTP/1.1 200 OK\nContent-Length: 100\n\n{\"deviceId\":"), map[string]int{"reads": 3}, 0, hubwire.Unknown, true, io.ErrUnexpectedEOF},
		"no HTTP":                      {raw("220 ready\n"), safe(3), 0, hubwire.Unknown, true, net.ErrClosed},
		"a head without end":           {raw("HTTP/1.1 200 OK\nA: " + strings.Repeat("x", 1<<20)), safe(3), 0, hubwire.Unknown, true, net.ErrClosed},
		"silence":                      {stalls, safe(3), 0, hubwire.Unknown, true, context.DeadlineExceeded},
	} {
		for kind, call := range kinds {
			if name == "half a body" && kind == "changes" {
				continue // it wants none
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				withFake(t, []http.HandlerFunc{tt.answer}, func(t *testing.T, f *fake) {
					c := f.client(func(o *service.Options) { o.MaxAttempts = 3 })
					e := errorOf(t, call(t.Context(), c))
					want := max(tt.attempts[kind], 1)
					if got := len(f.came()); got != want {
						t.Errorf("%d attempts, want %d", got, want)
					}
					if e.Code != tt.code || e.Outcome != tt.outcome || e.Retryable != tt.retryable || tt.is != nil && !errors.Is(e, tt.is) {
						t.Errorf("%v: code %d, %v, retryable %v", e, e.Code, e.Outcome, e.Retryable)
					}
					if strings.Contains(e.Error(), "secret") {
						t.Errorf("it shows what it must not: %v", e)
					}
				})
			})
		}
	}
}

// all and safe are how often the kinds are tried after a fault: when the hub surely did nothing,
// and when it may have.
func all(n int) map[string]int { return map[string]int{"reads": n, "changes": n, "creates": n} }

func safe(n int) map[string]int { return map[string]int{"reads": n, "changes": n} }

func TestAnErrorOfTheHubIsWhole(t *testing.T) {
	withFake(t, []http.HandlerFunc{refuses(hubwire.Throttled, "Retry-After", "7")}, func(t *testing.T, f *fake) {
		c := f.client(func(o *service.Options) { o.MaxAttempts = 1 })
		_, err := c.Twin(t.Context(), dev)
		want := hubwire.Error{
			Op: "twin get", Code: hubwire.Throttled, Outcome: hubwire.Refused, Retryable: true, RetryAfter: 7 * time.Second,
			TrackingID: "abc-TimeStamp:x", Message: "the hub's words",
		}
		if got := errorOf(t, err); *got != want {
			t.Errorf("got  %+v\nwant %+v", *got, want)
		}
	})
}

func TestAttemptsHeedRetryAfterAndBackOff(t *testing.T) {
	for name, tt := range map[string]struct {
		retryAfter string
		low, high  []time.Duration // between the attempts
	}{
		"without Retry-After": {"", []time.Duration{0, 0, 0}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		"in seconds":          {"20", []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second}, []time.Duration{21 * time.Second, 22 * time.Second, 24 * time.Second}},
		"what is none":        {"soon", []time.Duration{0, 0, 0}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			no := refuses(hubwire.Throttled)
			if tt.retryAfter != "" {
				no = refuses(hubwire.Throttled, "Retry-After", tt.retryAfter)
			}
			withFake(t, []http.HandlerFunc{no, no, no, says(200, aTwin)}, func(t *testing.T, f *fake) {
				if _, err := f.client(nil).Twin(t.Context(), dev); err != nil {
					t.Fatal(err)
				}
				came := f.came()
				if len(came) != 4 {
					t.Fatalf("%d attempts", len(came))
				}
				for i := range tt.low {
					if wait := came[i+1].at.Sub(came[i].at); wait < tt.low[i] || wait > tt.high[i]+time.Millisecond {
						t.Errorf("the wait behind attempt %d is %v, not in [%v, %v]", i+1, wait, tt.low[i], tt.high[i])
					}
				}
				if f.dialled() != 1 {
					t.Errorf("%d connections for one call", f.dialled())
				}
			})
		})
	}
}

// TestAThrottledFleetDoesNotComeBackInStep has a thousand calls refused at once.
func TestAThrottledFleetDoesNotComeBackInStep(t *testing.T) {
	const clients = 1000
	var waits []time.Duration
	withFake(t, []http.HandlerFunc{refuses(hubwire.ServerBusy)}, func(t *testing.T, f *fake) {
		c := f.client(func(o *service.Options) {
			o.MinBackoff, o.MaxBackoff, o.MaxAttempts, o.MaxConns = 10*time.Second, 10*time.Second, 2, 1
			o.Hooks = &service.Hooks{Attempt: func(a service.Attempt) {
				if a.Next >= 0 {
					waits = append(waits, a.Next)
				}
			}}
		})
		for range clients {
			if _, err := c.Twin(t.Context(), dev); err == nil {
				t.Fatal("no error")
			}
		}
	})
	testkit.NoSpike(t, waits, 0, 10*time.Second, 100*time.Millisecond)
}

func TestTheBudgetIsTheContexts(t *testing.T) {
	for name, tt := range map[string]struct {
		answer   http.HandlerFunc
		deadline time.Duration
		attempts int
		took     time.Duration
		is       error
	}{
		"a wait that would outlast it is not begun": {refuses(hubwire.Throttled, "Retry-After", "60"), 30 * time.Second, 1, 0, hubwire.Throttled},
		"silence outlasts it":                       {stalls, 30 * time.Second, 1, 30 * time.Second, context.DeadlineExceeded},
		"without one it is that of the options":     {refuses(hubwire.Throttled, "Retry-After", "60"), 0, 4, 0, hubwire.Throttled},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{tt.answer}, func(t *testing.T, f *fake) {
				ctx := t.Context()
				if tt.deadline != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				start := time.Now()
				_, err := f.client(nil).Twin(ctx, dev)
				if !errors.Is(err, tt.is) || len(f.came()) != tt.attempts || tt.took != 0 && time.Since(start) != tt.took {
					t.Errorf("%v after %d attempts and %v", err, len(f.came()), time.Since(start))
				}
			})
		})
	}
}

// TestALostAnswerLeavesAMark has what the hub says the second time be the work of the first.
func TestALostAnswerLeavesAMark(t *testing.T) {
	for name, tt := range map[string]struct {
		kind   string
		second hubwire.Code
		want   hubwire.Outcome
	}{
		"a delete finds nothing":        {"changes", hubwire.DeviceNotFound, hubwire.Unknown},
		"a delete finds another etag":   {"changes", hubwire.PreconditionFailed, hubwire.Unknown},
		"reading leaves nothing behind": {"reads", hubwire.DeviceNotFound, hubwire.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{raw(""), refuses(tt.second)}, func(t *testing.T, f *fake) {
				e := errorOf(t, kinds[tt.kind](t.Context(), f.client(nil)))
				if e.Code != tt.second || e.Outcome != tt.want || len(f.came()) != 2 {
					t.Errorf("%v after %d attempts", e, len(f.came()))
				}
			})
		})
	}
}

// TestAConnectionThatFailsBeforeTheRequest has the outcome say that nothing was sent.
func TestAConnectionThatFailsBeforeTheRequest(t *testing.T) {
	refused := errors.New("connection refused")
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
				f.onDial = func(context.Context, string) error { return refused }
				e := errorOf(t, call(t.Context(), f.client(func(o *service.Options) { o.MaxAttempts = 3 })))
				if e.Outcome != hubwire.NotSent || !e.Retryable || !errors.Is(e, refused) || f.dialled() != max(all(3)[kind], 1) {
					t.Errorf("%v after %d dials", e, f.dialled())
				}
			})
		})
	}
}

func TestAPanicOfTheProgramIsContained(t *testing.T) {
	for name, change := range map[string]func(o *service.Options){
		"dial": func(o *service.Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) { panic("the program's own") }
		},
		"verify a connection": func(o *service.Options) {
			o.TLSConfig.VerifyConnection = func(tls.ConnectionState) error { panic("the program's own") }
		},
		"verify a certificate": func(o *service.Options) {
			o.TLSConfig.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { panic("the program's own") }
		},
		"show a certificate": func(o *service.Options) {
			o.TLSConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { panic("the program's own") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
				_, err := f.client(func(o *service.Options) { o.MaxAttempts = 1; change(o) }).Twin(t.Context(), dev)
				if e := errorOf(t, err); e.Outcome != hubwire.NotSent || !strings.Contains(e.Error(), "the program's own") {
					t.Error(e)
				}
			})
		})
	}
}

func TestTheAttemptHookSeesAllButSecrets(t *testing.T) {
	var attempts []service.Attempt
	withFake(t, []http.HandlerFunc{refuses(hubwire.ServerBusy), says(200, aTwin)}, func(t *testing.T, f *fake) {
		c := f.client(func(o *service.Options) {
			o.Hooks = &service.Hooks{Attempt: func(a service.Attempt) { attempts = append(attempts, a) }}
		})
		if _, err := c.Twin(t.Context(), hubwire.Identity{DeviceID: "dev#1"}); err != nil {
			t.Fatal(err)
		}
		came := f.came()
		for i, want := range []struct {
			status int
			failed bool
		}{{503, true}, {200, false}} {
			a := attempts[i]
			if a.Op != "twin get" || a.Method != "GET" || a.Path != "/twins/dev%231" || a.Number != i+1 || a.Status != want.status ||
				(a.Err != nil) != want.failed || a.Next >= 0 != want.failed || a.RequestID != came[i].Header.Get("Request-Id") {
				t.Errorf("attempt %d: %+v", i+1, a)
			}
			if all := fmt.Sprintf("%+v", a); strings.Contains(all, "SharedAccess") || strings.Contains(all, "sig=") {
				t.Errorf("it shows the token: %s", all)
			}
		}
	})
}
