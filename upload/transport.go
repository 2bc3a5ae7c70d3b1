package upload

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/hubwire/hubwire"
)

// transporter is the device's way to the account, for azcore.
type transporter struct{ http.RoundTripper }

// Do sends a request once. When it returns, nobody reads the body any more: net/http would, where the
// account has answered before it had all of it, and a block's buffer is soon another's.
func (t transporter) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		once := &attempt{ReadCloser: r.Body}
		defer once.end()
		own := *r
		own.Body, own.GetBody = once, nil
		r = &own
	}
	res, err := t.RoundTrip(r)
	if final, ok := errors.AsType[*hubwire.Error](err); ok {
		err = &finalError{final}
	}
	return res, err
}

// finalError is an error of the device, and not of the network: its Client has ended. azcore does not
// try again what has this method.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// NonRetriable implements an interface of azcore.
func (*finalError) NonRetriable() {}

// attempt is a body that ends with its request.
type attempt struct {
	io.ReadCloser
	mu   sync.Mutex
	over bool
}

var errOver = errors.New("upload: the request is over")

func (a *attempt) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return 0, errOver
	}
	return a.ReadCloser.Read(p)
}

func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
}
