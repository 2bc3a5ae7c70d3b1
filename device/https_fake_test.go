package device_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/notls"
	"github.com/hubwire/hubwire/internal/testkit"
)

// restHub is a hub's REST endpoint that answers as a test wants, over connections in memory and
// without TLS.
type restHub struct {
	t *testing.T
	*testkit.Listener

	mu       sync.Mutex
	answer   http.HandlerFunc // to all but the question of Dial; nil says 204
	requests []seen           // but for that
	dials    int
	admits   func(*http.Request) error // answers the question of Dial; nil lets all in
}

// seen is a request that came.
type seen struct {
	*http.Request
	op   httpsx.Operation
	lock string
	body string
	at   time.Time
}

// overREST runs a test with a restHub in a bubble.
func overREST(t *testing.T, test func(*testing.T, *restHub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		h := &restHub{t: t, Listener: testkit.NewListener()}
		s := &http.Server{Handler: http.HandlerFunc(h.serve), ErrorLog: log.New(io.Discard, "", 0)}
		served := make(chan error, 1)
		go func() { served <- s.Serve(h) }()
		t.Cleanup(func() { s.Close(); <-served })
		test(t, h)
	})
}

func (h *restHub) serve(w http.ResponseWriter, r *http.Request) {
	op, target, err := httpsx.Match(r)
	if err != nil {
		h.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	if op == httpsx.AbandonC2D && strings.Trim(target.Name, "0-") == "" {
		err := error(&hubwire.Error{Code: hubwire.MessageLockLost})
		if h.admits != nil {
			err = h.admits(r)
		}
		refuse(w, op, err)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut off
	}
	h.mu.Lock()
	h.requests = append(h.requests, seen{r, op, target.Name, string(body), time.Now()})
	answer := h.answer
	h.mu.Unlock()
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, r)
}

// refuse answers with an error, as the hub writes it.
func refuse(w http.ResponseWriter, op httpsx.Operation, err error) {
	httpsx.NewErrorAnswer(op, err, time.Now()).Write(w)
}

// answers has the hub answer the n-th request, from 0, by the n-th of these, and then by the last.
func (h *restHub) answers(all ...http.HandlerFunc) {
	n := 0
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		f := all[min(n, len(all)-1)]
		n++
		h.mu.Unlock()
		f(w, r)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// refusing answers with that error.
func refusing(e *hubwire.Error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { refuse(w, httpsx.SendTelemetry, e) }
}

// cut ends the connection without an answer.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// stall never answers, not even when the client has gone (a handler that returned would).
func stall(w http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	cut(w, r)
}

// taken returns the requests that have come so far.
func (h *restHub) taken() []seen {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]seen(nil), h.requests...)
}

// dialTo is Options.Dial.
func (h *restHub) dialTo(ctx context.Context, _, addr string) (net.Conn, error) {
	client, err := h.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("no way to %s: %w", addr, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dials++
	return notls.Conn{Conn: client}, nil
}

const restDevice = "HostName=hub.example;DeviceId=dev-1;SharedAccessKey=c2VjcmV0LXNlY3JldC1zZWNyZXQ="

func (h *restHub) options(change func(*device.Options)) *device.Options {
	o := &device.Options{Dial: h.dialTo}
	if change != nil {
		change(o)
	}
	return o
}

// dial opens a Client, which the test's cleanup closes.
func (h *restHub) dial(ho *device.HTTPSOptions, change func(*device.Options)) *device.Client {
	h.t.Helper()
	c, err := device.Dial(h.t.Context(), restDevice, device.HTTPS(ho), h.options(change))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			h.t.Errorf("close: %v", err)
		}
	})
	return c
}
