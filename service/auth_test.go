package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

// numbered is a token source that counts, and so gives each time another token.
type numbered struct{ n atomic.Int64 }

func (s *numbered) Token(_ context.Context, audience string) (string, time.Time, error) {
	return fmt.Sprintf("Bearer %s-%d", audience, s.n.Add(1)), time.Now().Add(time.Hour), nil
}

// only refuses all tokens but this one.
func only(token string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != token {
			refuses(hubwire.Unauthorized)(w, r)
			return
		}
		says(200, aTwin)(w, r)
	}
}

func withTokens(f *fake, tokens sas.TokenSource) *service.Client {
	f.t.Helper()
	c, err := service.NewWithCredentials(service.Credentials{HostName: hubName, Tokens: tokens}, f.options(nil))
	if err != nil {
		f.t.Fatal(err)
	}
	closedInTheEnd(f.t, c)
	return c
}

// TestATokenThatIsRefusedIsRenewedOnce has a hub that takes the second token, or none.
func TestATokenThatIsRefusedIsRenewedOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		takes    string
		attempts int
		ok       bool
	}{
		"the first will do": {"Bearer hub.example-1", 1, true},
		"the second":        {"Bearer hub.example-2", 2, true},
		"none":              {"", 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{only(tt.takes)}, func(t *testing.T, f *fake) {
				c := withTokens(f, new(numbered))
				_, err := c.Twin(t.Context(), dev)
				if (err == nil) != tt.ok || len(f.came()) != tt.attempts {
					t.Fatalf("%v after %d attempts", err, len(f.came()))
				}
				if err != nil && (errorOf(t, err).Code != hubwire.Unauthorized || errorOf(t, err).Outcome != hubwire.Refused) {
					t.Error(err)
				}
				if !tt.ok {
					return
				}
				if _, err := c.Twin(t.Context(), dev); err != nil || len(f.came()) != tt.attempts+1 {
					t.Errorf("the next call: %v after %d attempts", err, len(f.came()))
				}
			})
		})
	}
}

// TestAMethodIsInvokedAgainWithAnotherToken: the hub looked at the token first, so nothing ran.
func TestAMethodIsInvokedAgainWithAnotherToken(t *testing.T) {
	withFake(t, []http.HandlerFunc{refuses(hubwire.Unauthorized), says(200, `{"status":200,"payload":null}`)}, func(t *testing.T, f *fake) {
		c := withTokens(f, new(numbered))
		if _, err := c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "reboot"}, nil); err != nil || len(f.came()) != 2 {
			t.Errorf("%v after %d attempts", err, len(f.came()))
		}
	})
}

// TestAMethodIsNotInvokedAgainForAPageThatNamesACode: what says 200 is no refusal, so it may have run.
func TestAMethodIsNotInvokedAgainForAPageThatNamesACode(t *testing.T) {
	page := says(200, "<html>", "Content-Type", "text/html", "iothub-errorcode", "IotHubUnauthorized")
	withFake(t, []http.HandlerFunc{page}, func(t *testing.T, f *fake) {
		c := withTokens(f, new(numbered))
		_, err := c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "reboot"}, nil)
		if e := errorOf(t, err); e.Outcome != hubwire.Unknown || len(f.came()) != 1 {
			t.Errorf("%v after %d attempts", err, len(f.came()))
		}
	})
}

func TestATokenIsRenewedBeforeItExpires(t *testing.T) {
	withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
		c := f.client(func(o *service.Options) { o.TokenTTL = 10 * time.Minute })
		used := map[string]bool{}
		for range 61 {
			if _, err := c.Twin(t.Context(), dev); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		for _, r := range f.came() {
			token, err := sas.ParseToken(r.Header.Get("Authorization"))
			if err != nil {
				t.Fatal(err)
			}
			if left := token.Expires.Sub(r.at); left < 2*time.Minute || left > 10*time.Minute {
				t.Errorf("a token was used %v before its end", left)
			}
			used[r.Header.Get("Authorization")] = true
		}
		if len(used) != 8 {
			t.Errorf("%d tokens in an hour, each good for 8 minutes", len(used))
		}
	})
}

// TestATokenWithoutAKeyEndsWithIt has one that expires after a minute, and cannot be renewed.
func TestATokenWithoutAKeyEndsWithIt(t *testing.T) {
	withFake(t, []http.HandlerFunc{only("")}, func(t *testing.T, f *fake) {
		cred, err := service.CredentialsFromConnectionString("HostName=hub.example;SharedAccessKeyName=service;SharedAccessSignature=" + shortToken)
		if err != nil {
			t.Fatal(err)
		}
		c := withTokens(f, cred.Tokens)
		if _, err := c.Twin(t.Context(), dev); !errors.Is(err, hubwire.Unauthorized) || len(f.came()) != 1 {
			t.Errorf("refused by the hub: %v after %d attempts", err, len(f.came()))
		}
		time.Sleep(time.Hour)
		_, err = c.Twin(t.Context(), dev)
		if e := errorOf(t, err); e.Code != hubwire.Unauthorized || e.Outcome != hubwire.NotSent || e.Retryable || !errors.Is(err, sas.ErrExpired) || len(f.came()) != 1 {
			t.Errorf("expired: %v after %d attempts", err, len(f.came()))
		}
	})
}

const shortToken = "SharedAccessSignature sr=hub.example&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=946684860&skn=service" // 2000-01-01 00:01

func TestAWrongClockIsNamed(t *testing.T) {
	for name, tt := range map[string]struct{ date, want string }{
		"ahead":       {"Fri, 31 Dec 1999 23:23:00 GMT", "this machine's clock is 37m0s ahead of the hub's"},
		"behind":      {"Sat, 01 Jan 2000 01:00:00 GMT", "this machine's clock is 1h0m0s behind the hub's"},
		"close by":    {"Sat, 01 Jan 2000 00:04:00 GMT", ""},
		"not a date":  {"yesterday", ""},
		"not a clock": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{refuses(hubwire.Unauthorized, "Date", tt.date)}, func(t *testing.T, f *fake) {
				_, err := f.client(nil).Twin(t.Context(), dev)
				if e := errorOf(t, err); !strings.HasSuffix(e.Message, tt.want) || strings.Contains(e.Message, "clock") != (tt.want != "") {
					t.Errorf("%q", e.Message)
				}
			})
		})
	}
}

// failing is a token source that fails.
type failing struct{ err error }

func (s failing) Token(context.Context, string) (string, time.Time, error) {
	return "", time.Time{}, s.err
}

func TestATokenSourceThatFailsEndsTheCall(t *testing.T) {
	other := errors.New("no identity")
	for name, tt := range map[string]struct {
		err       error
		code      hubwire.Code
		retryable bool
	}{
		"an error of its own":   {other, 0, true},
		"one that says for how": {&hubwire.Error{Code: hubwire.Unauthorized, Outcome: hubwire.NotSent, Err: other}, hubwire.Unauthorized, false},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
				_, err := withTokens(f, failing{tt.err}).Twin(t.Context(), dev)
				if e := errorOf(t, err); e.Code != tt.code || e.Retryable != tt.retryable || e.Outcome != hubwire.NotSent || e.Op != "twin get" || !errors.Is(err, other) || f.dialled() != 0 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}
