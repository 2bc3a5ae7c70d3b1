package device_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/httpsx"
)

// queue has the hub answer polls with these messages, then with none, and settlements with 204.
func (h *restHub) queue(bodies ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	h.answer = func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.Method != http.MethodGet || n == len(bodies) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		n++
		httpsx.SetReceived(w.Header(), dev, &hubwire.Received{
			Message: hubwire.Message{ID: fmt.Sprint(n), Properties: []hubwire.Property{{Name: "K", Value: "v"}}}, SequenceNumber: int64(n), LockToken: fmt.Sprintf("lock %d", n), DeliveryCount: n - 1,
		})
		w.Write([]byte(bodies[n-1]))
	}
}

func TestHTTPSMessagesArePolledFor(t *testing.T) {
	for name, interval := range map[string]time.Duration{"as IoT Hub wants it": 0, "as the program wants it": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				c := h.dial(&device.HTTPSOptions{PollInterval: interval, LockTimeout: 90 * time.Second}, nil)
				h.queue("a", "b")
				start := time.Now()
				for i, want := range []string{"a", "b"} {
					m, err := c.Receive(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if string(m.Body) != want || m.ID != fmt.Sprint(i+1) || m.LockToken == "" || m.SequenceNumber != int64(i+1) || m.Redelivered != (i > 0) || m.Properties[0].Name != "k" {
						t.Errorf("%+v", m)
					}
				}
				if d := time.Since(start); d != 0 {
					t.Errorf("they came after %v", d)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
				defer cancel()
				for range 2 { // the second one's context has ended
					if _, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				}
				want := 2 + 1 + int(30*time.Minute/max(interval, time.Second))
				if interval == 0 {
					want = 2 + 2
				}
				if n := len(h.taken()); n < want-1 || n > want {
					t.Errorf("the hub was asked %d times, want %d", n, want)
				}
				if got := h.taken()[0].Header.Get("iothub-messagelocktimeout"); got != "90" {
					t.Errorf("a lock of %q seconds is asked for", got)
				}
			})
		})
	}
}

func TestHTTPSSettlements(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(nil, nil)
		h.queue("a", "b", "c")
		for _, settle := range []func(*hubwire.Received, context.Context) error{(*hubwire.Received).Complete, (*hubwire.Received).Reject, (*hubwire.Received).Abandon} {
			m, err := c.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := settle(m, context.Background()); err != nil {
					t.Error(err)
				}
			}
		}
		var got []string
		for _, r := range h.taken() {
			got = append(got, fmt.Sprintf("%v %s", r.op, r.lock))
		}
		want := []string{"receive ", "complete lock 1", "receive ", "reject lock 2", "receive ", "abandon lock 3"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestHTTPSALockThatIsLost(t *testing.T) {
	lost := refusing(&hubwire.Error{Code: hubwire.MessageLockLost})
	for _, tt := range []struct {
		name    string
		answers []http.HandlerFunc
		code    hubwire.Code
		outcome hubwire.Outcome
	}{
		{"by its time", []http.HandlerFunc{lost}, hubwire.MessageLockLost, hubwire.Refused},
		{"in an answer without a code", []http.HandlerFunc{status(412)}, hubwire.MessageLockLost, hubwire.Refused},
		{"perhaps by the settlement whose answer was lost", []http.HandlerFunc{cut, lost}, hubwire.MessageLockLost, hubwire.Unknown},
		{"not, but by a hub that was busy", []http.HandlerFunc{refusing(&hubwire.Error{Code: hubwire.ServerBusy}), status(204)}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				c := h.dial(nil, nil)
				h.queue("a")
				m, err := c.Receive(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				h.answers(tt.answers...)
				err = m.Complete(context.Background())
				e, _ := errors.AsType[*hubwire.Error](err)
				if tt.code == 0 && err != nil || tt.code != 0 && (!errors.Is(err, tt.code) || e.Outcome != tt.outcome || e.Op != "complete") {
					t.Error(err)
				}
				if m.Settled() != (tt.code == 0) || c.State() != device.Connected {
					t.Errorf("settled is %v, the state %v", m.Settled(), c.State())
				}
			})
		})
	}
}

func TestHTTPSAnswersToAPollThatMakeNoSense(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"no lock token": status(200),
		"a body without end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["ETag"] = []string{`"t"`}
			for range 1000 {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		},
		"headers without end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["ETag"] = []string{`"t"`}
			w.Header()["iothub-app-k"] = []string{strings.Repeat("x", 1<<20)}
		},
		"half a body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["ETag"] = []string{`"t"`}
			w.Header()["Content-Length"] = []string{"10"}
			w.Write([]byte("12345"))
			panic(http.ErrAbortHandler)
		},
		"a body that stalls": func(w http.ResponseWriter, r *http.Request) {
			w.Header()["ETag"] = []string{`"t"`}
			w.Header()["Content-Length"] = []string{"10"}
			w.Write([]byte("12345"))
			w.(http.Flusher).Flush()
			stall(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			overREST(t, func(t *testing.T, h *restHub) {
				c := h.dial(nil, nil)
				h.answers(answer)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				m, err := c.Receive(ctx)
				if e, ok := errors.AsType[*hubwire.Error](err); m != nil || !ok || e.Op != "receive" || !e.Retryable {
					t.Errorf("%v, %v", m, err)
				}
				if len(h.taken()) < 2 && name != "no lock token" {
					t.Error("it was not asked again")
				}
				h.queue("a")
				if m, err := c.Receive(t.Context()); err != nil || string(m.Body) != "a" {
					t.Errorf("afterwards: %v, %v", m, err)
				}
			})
		})
	}
}

func TestHTTPSReceiversTakeTurns(t *testing.T) {
	overREST(t, func(t *testing.T, h *restHub) {
		c := h.dial(&device.HTTPSOptions{PollInterval: time.Minute}, nil)
		h.queue("a", "b", "c")
		got := make(chan string, 3)
		for range 3 {
			go func() {
				m, err := c.Receive(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				got <- string(m.Body)
			}()
		}
		all := map[string]bool{<-got: true, <-got: true, <-got: true}
		if len(all) != 3 {
			t.Errorf("%v", all)
		}
		go c.HandleMessages(t.Context(), func(context.Context, *hubwire.Received) error { return errors.New("no") })
		synctest.Wait()
		h.queue("d")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		abandoned := 0
		for _, r := range h.taken() {
			if r.op == httpsx.AbandonC2D && r.lock == "lock 1" {
				abandoned++
			}
		}
		if abandoned != 1 {
			t.Errorf("what the handler did not want was abandoned %d times", abandoned)
		}
	})
}
