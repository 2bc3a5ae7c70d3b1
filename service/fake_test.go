package service_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

const (
	hubName          = "hub.example"
	policyKey        = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	connectionString = "HostName=" + hubName + ";SharedAccessKeyName=service;SharedAccessKey=" + policyKey
)

var dev = hubwire.Identity{DeviceID: "dev-1"}

// fake is an HTTPS server on in-memory connections, which answers as a test wants.
type fake struct {
	t      *testing.T
	server http.Server
	*testkit.Listener

	mu       sync.Mutex
	requests []*seen
	dials    []string
	answers  []http.HandlerFunc
	onDial   func(ctx context.Context, addr string) error
	deaf     bool             // nobody answers who connects
	shows    *tls.Certificate // nil: that of authority
}

// seen is a request as it came.
type seen struct {
	*http.Request
	body string
	at   time.Time
}

// certificate is for the fake's name.
var certificate = testkit.Certificate(hubName)

// authority is who made it.
var authority = rootOf(certificate)

func rootOf(c tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return pool
}

// withFake runs a test with a fake hub in a bubble, which gives these answers, one
// after another and then the last one again.
func withFake(t *testing.T, answers []http.HandlerFunc, test func(t *testing.T, f *fake)) {
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		f := &fake{t: t, Listener: testkit.NewListener(), answers: answers}
		f.server.Handler = http.HandlerFunc(f.serve)
		f.server.ErrorLog = log.New(io.Discard, "", 0)
		done := make(chan struct{})
		go func() {
			defer close(done)
			config := &tls.Config{GetCertificate: f.certificate, ClientAuth: tls.RequestClientCert}
			if err := f.server.Serve(tls.NewListener(f, config)); !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("the fake: %v", err)
			}
		}()
		t.Cleanup(func() {
			f.server.Close()
			<-done
		})
		test(t, f)
	})
}

func (f *fake) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shows != nil {
		return f.shows, nil
	}
	return &certificate, nil
}

func (f *fake) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, addr)
	onDial := f.onDial
	f.mu.Unlock()
	if onDial != nil {
		if err := onDial(ctx, addr); err != nil {
			return nil, err
		}
	}
	if f.deaf {
		client, _ := testkit.Pipe()
		return client, nil
	}
	return f.Dial(ctx)
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Errorf("the request's body: %v", err)
	}
	f.mu.Lock()
	answer := f.answers[min(len(f.requests), len(f.answers)-1)]
	f.requests = append(f.requests, &seen{r, string(body), time.Now()})
	f.mu.Unlock()
	answer(w, r)
}

// came returns the requests that came.
func (f *fake) came() []*seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// dialled returns how often somebody dialled.
func (f *fake) dialled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.dials)
}

// options returns what a Client of the fake needs, with changes.
func (f *fake) options(change func(*service.Options)) *service.Options {
	o := &service.Options{Dial: f.dial, TLSConfig: &tls.Config{RootCAs: authority}}
	if change != nil {
		change(o)
	}
	return o
}

// client opens a Client of the fake, which the test's cleanup closes.
func (f *fake) client(change func(*service.Options)) *service.Client {
	f.t.Helper()
	c, err := service.New(connectionString, f.options(change))
	if err != nil {
		f.t.Fatal(err)
	}
	closedInTheEnd(f.t, c)
	return c
}

func closedInTheEnd(t *testing.T, c *service.Client) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// says is a JSON answer. Headers are names and values in turn.
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header()[headers[i]] = []string{headers[i+1]}
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// refuses is an error of the hub in its classic form.
func refuses(code hubwire.Code, headers ...string) http.HandlerFunc {
	return says(code.Status(), `{"Message":"ErrorCode:`+code.Name()+`;the hub's words","ExceptionMessage":"Tracking ID:abc-TimeStamp:x"}`,
		append(headers, "iothub-errorcode", code.Name())...)
}

// raw takes the connection over, writes, and cuts it.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(nc, strings.ReplaceAll(text, "\n", "\r\n"))
		nc.Close()
	}
}

// stalls reads, and does not answer. It aborts when the client has gone: a handler that
// returned would have net/http write a 200, which the client's transport may still read.
func stalls(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// errorOf is err as it has to be.
func errorOf(t *testing.T, err error) *hubwire.Error {
	t.Helper()
	e, ok := err.(*hubwire.Error)
	if !ok {
		t.Fatalf("%T is no *hubwire.Error: %v", err, err)
	}
	return e
}
