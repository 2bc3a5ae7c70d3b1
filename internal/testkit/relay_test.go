package testkit

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// relayed returns a client and a server with a Relay between them.
func relayed(t *testing.T) (client, server net.Conn, r *Relay) {
	client, a := Pipe()
	b, server := Pipe()
	r = NewRelay(a, b)
	t.Cleanup(r.Close)
	return client, server, r
}

// say writes text and fails t when it cannot.
func say(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Error(err)
	}
}

// hear fails t unless text is what comes next.
func hear(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	buf := make([]byte, len(text))
	if n, err := io.ReadFull(nc, buf); string(buf[:n]) != text {
		t.Errorf("heard %q, want %q (%v)", buf[:n], text, err)
	}
}

// silence fails t when something comes from nc within a minute.
func silence(t *testing.T, nc net.Conn) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(time.Minute))
	defer nc.SetReadDeadline(time.Time{})
	if n, err := nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes came, %v", n, err)
	}
}

func TestRelay(t *testing.T) {
	for name, test := range map[string]func(t *testing.T, client, server net.Conn, r *Relay){
		"carries both ways, and the end of each": func(t *testing.T, client, server net.Conn, r *Relay) {
			say(t, client, "up")
			hear(t, server, "up")
			client.(interface{ CloseWrite() error }).CloseWrite()
			if _, err := server.Read(make([]byte, 1)); err != io.EOF {
				t.Error(err)
			}
			say(t, server, "down")
			hear(t, client, "down")
			server.Close()
			if _, err := client.Read(make([]byte, 1)); err != io.EOF {
				t.Error(err)
			}
			r.pumps.Wait()
		},
		"resets": func(t *testing.T, client, server net.Conn, r *Relay) {
			say(t, client, "lost")
			r.Reset()
			for _, nc := range []net.Conn{client, server} {
				if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("read: %v", err)
				}
				if _, err := nc.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("write: %v", err)
				}
				if err := nc.SetDeadline(time.Time{}); err != nil {
					t.Errorf("a deadline on what the peer has reset: %v", err)
				}
				nc.Close()
				if err := nc.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a deadline on what is closed: %v", err)
				}
			}
		},
		"finishes": func(t *testing.T, client, server net.Conn, r *Relay) {
			say(t, server, "seen")
			synctest.Wait()
			r.Finish()
			hear(t, client, "seen")
			if _, err := client.Read(make([]byte, 1)); err != io.EOF {
				t.Error(err)
			}
			if _, err := client.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
				t.Error(err)
			}
		},
		"swallows one way": func(t *testing.T, client, server net.Conn, r *Relay) {
			r.Up.Swallow(true)
			say(t, client, "lost")
			say(t, server, "down")
			hear(t, client, "down")
			silence(t, server)
			r.Up.Swallow(false)
			say(t, client, "seen")
			hear(t, server, "seen")
			r.Up.Swallow(true)
			client.Close()
			silence(t, server)
		},
		"stops one way": func(t *testing.T, client, server net.Conn, r *Relay) {
			r.Down.Stop(true)
			say(t, server, "late")
			silence(t, client)
			server.SetWriteDeadline(time.Now().Add(time.Second))
			if n, err := server.Write(make([]byte, 1<<20)); n > 2*pipeBuffer || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("it took %d bytes, %v", n, err)
			}
			r.Down.Stop(false)
			hear(t, client, "late")
		},
		"acts between two bytes": func(t *testing.T, client, server net.Conn, r *Relay) {
			r.Up.After(3, r.Finish)
			say(t, client, "ab")
			say(t, client, "cd")
			if got, err := io.ReadAll(server); string(got) != "abc" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		},
		"acts at once": func(t *testing.T, client, server net.Conn, r *Relay) {
			r.Down.After(0, func() { r.Down.Swallow(true) })
			say(t, server, "lost")
			silence(t, client)
		},
		"dribbles": func(t *testing.T, client, server net.Conn, r *Relay) {
			start := time.Now()
			r.Down.Chunk(func() int { return 0 }, time.Second)
			say(t, server, "slow")
			buf := make([]byte, 4)
			if n, err := client.Read(buf); n != 1 || err != nil {
				t.Errorf("%d bytes at once, %v", n, err)
			}
			hear(t, client, "low")
			if d := time.Since(start); d != 4*time.Second {
				t.Errorf("it took %v", d)
			}
			say(t, server, "more")
			synctest.Wait() // and so the Relay is closed while it waits
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, r := relayed(t)
				test(t, client, server, r)
			})
		})
	}
}

func TestResetOfASocketIsRead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	Reset(b)
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}
