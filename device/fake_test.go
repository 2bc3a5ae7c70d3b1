package device

import (
	"context"
	"sync"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// fakeLink is a link whose hub is the test.
type fakeLink struct {
	cfg *config

	mu      sync.Mutex
	sent    []*hubwire.Message
	done    []func(error)
	serve   func(hubwire.MethodRequest, replyFunc)
	change  func(int64, []byte)
	reset   func()
	stopped int
	reports []string

	onSend   func(context.Context, *hubwire.Message) error
	onTwin   func(context.Context) (*hubwire.Twin, error)
	messages chan *hubwire.Received
	subErr   error
	closed   int
}

func (f *fakeLink) send(ctx context.Context, m *hubwire.Message) error {
	f.mu.Lock()
	f.sent = append(f.sent, m)
	f.mu.Unlock()
	if f.onSend != nil {
		return f.onSend(ctx, m)
	}
	return nil
}

func (f *fakeLink) sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error {
	if err := f.send(ctx, m); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, tellsSend(done))
	return nil
}

// acknowledge lets the n oldest messages be acknowledged.
func (f *fakeLink) acknowledge(n int, err error) {
	f.mu.Lock()
	now := f.done[:n]
	f.done = f.done[n:]
	f.mu.Unlock()
	for _, done := range now {
		if done != nil {
			done(err)
		}
	}
}

func (f *fakeLink) receive(ctx context.Context) (*hubwire.Received, error) {
	select {
	case m := <-f.messages:
		return m, nil
	case <-ctx.Done():
		return nil, ended(ctx, f.cfg.life)
	case <-f.cfg.life.Done():
		return nil, ended(ctx, f.cfg.life)
	}
}

func (f *fakeLink) serveMethods(ctx context.Context, serve func(hubwire.MethodRequest, replyFunc)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subErr != nil {
		return f.subErr
	}
	f.serve = serve
	return nil
}

func (f *fakeLink) twin(ctx context.Context) (*hubwire.Twin, error) { return f.onTwin(ctx) }

func (f *fakeLink) report(ctx context.Context, patch []byte) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, string(patch))
	return int64(len(f.reports)), nil
}

func (f *fakeLink) watchDesired(ctx context.Context, change func(int64, []byte), reset func()) (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.change, f.reset = change, reset
	return func() { f.mu.Lock(); f.stopped++; f.mu.Unlock() }, f.subErr
}

func (f *fakeLink) state() State { return Connected }

func (f *fakeLink) mayWait() error { return nil }

func (f *fakeLink) close() error {
	f.end(nil)
	return nil
}

// end ends the Client, the first time.
func (f *fakeLink) end(reason error) {
	f.mu.Lock()
	f.closed++
	first := f.closed == 1
	f.mu.Unlock()
	if first {
		f.cfg.state(Closed, reason)
	}
}

var fakeCredentials = Credentials{
	HostName: "hub.example", Identity: hubwire.Identity{DeviceID: "dev"}, Tokens: (*sas.Source)(nil),
}

// fake returns a Client on a fakeLink, closed by t's cleanup.
func fake(t *testing.T, o *Options) (*Client, *fakeLink) {
	t.Helper()
	f := &fakeLink{messages: make(chan *hubwire.Received, 100)}
	c, err := DialCredentials(t.Context(), fakeCredentials, Transport{name: "fake", open: func(_ context.Context, cfg *config) (link, error) {
		f.cfg = cfg
		return f, nil
	}}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, f
}
