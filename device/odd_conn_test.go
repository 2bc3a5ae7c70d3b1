package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

// oddConn is a net.Conn with ways of its own; those of Read and Write begin when it is on.
type oddConn struct {
	net.Conn
	on          *atomic.Bool
	read        func(nc net.Conn, b []byte) (int, error) // nil: as ever
	write       func(b []byte) (int, error)
	close       func(nc net.Conn) error
	noDeadlines bool
	setDeadline func()
	noAddr      bool
}

func (c *oddConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.read != nil && c.on.Load() {
		return c.read(c.Conn, b)
	}
	return n, err
}

func (c *oddConn) Write(b []byte) (int, error) {
	if c.write != nil && c.on.Load() {
		return c.write(b)
	}
	return c.Conn.Write(b)
}

func (c *oddConn) Close() error {
	if c.close != nil {
		return c.close(c.Conn)
	}
	return c.Conn.Close()
}

func (c *oddConn) deadline(set func(time.Time) error, t time.Time) error {
	switch {
	case c.noDeadlines:
		return os.ErrNoDeadline
	case c.setDeadline != nil && c.on.Load():
		c.setDeadline()
	}
	return set(t)
}

func (c *oddConn) SetDeadline(t time.Time) error      { return c.deadline(c.Conn.SetDeadline, t) }
func (c *oddConn) SetReadDeadline(t time.Time) error  { return c.deadline(c.Conn.SetReadDeadline, t) }
func (c *oddConn) SetWriteDeadline(t time.Time) error { return c.deadline(c.Conn.SetWriteDeadline, t) }

func (c *oddConn) LocalAddr() net.Addr {
	if c.noAddr {
		return nil
	}
	return c.Conn.LocalAddr()
}

func (c *oddConn) RemoteAddr() net.Addr {
	if c.noAddr {
		return nil
	}
	return c.Conn.RemoteAddr()
}

// nilError is a nil pointer that became an error: its Unwrap panics.
var nilError error = (*net.OpError)(nil)

// hearNothing drops what comes, until the end.
func hearNothing(nc net.Conn, b []byte) (int, error) {
	for {
		if _, err := nc.Read(b); err != nil {
			return 0, err
		}
	}
}

func lose(b []byte) (int, error) { return len(b), nil }

func TestConnectionsWithWaysOfTheirOwn(t *testing.T) {
	for name, odd := range map[string]oddConn{
		"an error of Read that panics":         {read: func(net.Conn, []byte) (int, error) { return 0, nilError }},
		"a Read that panics":                   {read: func(net.Conn, []byte) (int, error) { panic("odd") }},
		"a Read of more than there is room":    {read: func(_ net.Conn, b []byte) (int, error) { return len(b) + 1, nil }},
		"a Read of less than nothing":          {read: func(net.Conn, []byte) (int, error) { return -1, nil }},
		"a Read of nothing, again and again":   {read: func(net.Conn, []byte) (int, error) { return 0, nil }},
		"an end together with bytes":           {read: func(_ net.Conn, b []byte) (int, error) { return 1, io.EOF }},
		"an error of Write that panics":        {write: func([]byte) (int, error) { return 0, nilError }},
		"a Write that panics":                  {write: func([]byte) (int, error) { panic("odd") }},
		"a Write that is short without a word": {write: func(b []byte) (int, error) { return len(b) / 2, nil }},
		"a Write of more than there is":        {write: func(b []byte) (int, error) { return len(b) + 5, nil }},
		"a Close that panics":                  {read: hearNothing, write: lose, close: func(nc net.Conn) error { nc.Close(); panic("odd") }},
		"a Close whose error panics":           {read: hearNothing, write: lose, close: func(nc net.Conn) error { nc.Close(); return nilError }},
		"a Close that waits, then closes":      {read: hearNothing, write: lose, close: func(nc net.Conn) error { time.Sleep(time.Hour); return nc.Close() }},
		"a Close that closes, then waits":      {read: hearNothing, write: lose, close: func(nc net.Conn) error { nc.Close(); time.Sleep(time.Hour); return nil }},
		"deadlines that panic":                 {setDeadline: func() { panic("odd") }},
		"no deadlines":                         {noDeadlines: true},
		"no deadlines, and a Write and a Close that wait": {
			noDeadlines: true, read: hearNothing,
			write: func([]byte) (int, error) { time.Sleep(time.Hour); return 0, net.ErrClosed },
			close: func(nc net.Conn) error { time.Sleep(time.Hour); return nc.Close() },
		},
		"no addresses": {noAddr: true},
	} {
		t.Run(name, func(t *testing.T) {
			overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
				var on atomic.Bool
				odd.on = &on
				dials := 0
				c, err := device.Dial(t.Context(), b.device, b.transport, b.options(func(o *device.Options) {
					o.KeepAlive, o.AckTimeout, o.MaxBackoff = 10*time.Second, 10*time.Second, time.Second
					o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
						nc, err := b.hub.Dial(ctx, network, addr)
						if dials++; err != nil || dials > 1 {
							return nc, err
						}
						first := odd
						first.Conn = nc
						return &first, nil
					}
				}))
				if err != nil {
					t.Fatal(err)
				}
				for i, text := range []string{"before", "while", "after"} {
					on.Store(i > 0)
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					if err := c.Send(ctx, &hubwire.Message{Body: []byte(text)}); err != nil {
						t.Errorf("%s: %v", text, err)
					}
					cancel()
				}
				begin := time.Now()
				err = c.Close()
				if late := errors.Is(err, context.DeadlineExceeded); err != nil && !late || time.Since(begin) > 2*time.Second {
					t.Errorf("Close: %v after %v", err, time.Since(begin))
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				got := map[string]bool{}
				for {
					ev, err := b.events.TryNext(t.Context())
					if ev == nil || err != nil {
						break
					}
					got[string(ev.Message.Body)] = true
				}
				if len(got) != 3 {
					t.Errorf("what was acknowledged and came is %v, want all three", got)
				}
			})
		})
	}
}

func TestAConnectionThatIsSlowToCloseIsWaitedForByClose(t *testing.T) {
	slow := func(dial func(context.Context, string, string) (net.Conn, error)) ws.DialFunc {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			return &oddConn{Conn: nc, close: func(nc net.Conn) error { time.Sleep(time.Hour); return nc.Close() }}, err
		}
	}
	for name, dial := range map[string]func(*testkit.Proxy) ws.DialFunc{
		"to the hub": func(p *testkit.Proxy) ws.DialFunc { return slow(p.Up) },
		"to a proxy": func(p *testkit.Proxy) ws.DialFunc {
			return ws.ProxyDialer(testkit.ProxyURL(testkit.ProxyUser()), slow(p.Dial))
		},
	} {
		t.Run(name, func(t *testing.T) {
			overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
				p := &testkit.Proxy{Up: b.hub.Dial}
				c, err := device.Dial(t.Context(), b.device, b.transport, b.options(func(o *device.Options) { o.Dial = dial(p) }))
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				if err := c.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 2*time.Second {
					t.Errorf("Close: %v after %v, want that something has not returned, after CloseTimeout", err, time.Since(begin))
				}
				<-c.Done()
				time.Sleep(2 * time.Hour)
				p.End(t)
			})
		})
	}
}

// TestErrorsThatNobodyCanLookInto are nil pointers that became errors, of all that a program hands in to dial with.
func TestErrorsThatNobodyCanLookInto(t *testing.T) {
	for name, bad := range map[string]error{"whose methods panic": nilError, "of the toolkit's own kind": (*hubwire.Error)(nil)} {
		for from, breaks := range map[string]func(*device.Credentials, *device.Options){
			"Dial": func(_ *device.Credentials, o *device.Options) {
				o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, bad }
			},
			"the source of tokens": func(c *device.Credentials, _ *device.Options) { c.Tokens = failingTokens{bad} },
			"the source of certificates": func(c *device.Credentials, _ *device.Options) {
				c.Tokens = nil
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, bad }
			},
		} {
			t.Run("of "+from+", "+name, func(t *testing.T) {
				for _, tr := range append(everywhere(), device.Auto(nil)) {
					over(t, tr, hub.Config{}, func(t *testing.T, b *bench) {
						cred, err := device.CredentialsFromConnectionString(b.device)
						if err != nil {
							t.Fatal(err)
						}
						o := b.options(func(o *device.Options) {
							o.Hooks = &device.Hooks{HandlerPanic: func(v any, _ []byte) { t.Errorf("over %s: a panic: %v", tr, v) }}
						})
						breaks(&cred, o)
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						defer cancel()
						if _, err := device.DialCredentials(ctx, cred, tr, o); !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("over %s: %v", tr, err)
						}
					})
				}
			})
		}
	}
}

// failingTokens is a source that has none.
type failingTokens struct{ err error }

func (f failingTokens) Token(context.Context, string) (string, time.Time, error) {
	return "", time.Time{}, f.err
}
