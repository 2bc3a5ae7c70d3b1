package httpfront

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// pair is a connection that puts its deadlines off, its other end, and how often the one
// below was asked for one.
func pair(t *testing.T) (c *deferring, peer net.Conn, asked *int) {
	t.Helper()
	us, peer := net.Pipe()
	t.Cleanup(func() { us.Close(); peer.Close() })
	asked = new(int)
	c = &deferring{Conn: us}
	c.read.arm = func(at time.Time) error { *asked++; return us.SetReadDeadline(at) }
	c.write.arm = func(at time.Time) error { *asked++; return us.SetWriteDeadline(at) }
	return c, peer, asked
}

func TestDeadlinesComeWhenTheyWereAskedFor(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name  string
		asked []time.Duration // from now, one after the other; 0 for none
		want  time.Duration   // until it comes
	}{
		{"once", []time.Duration{5 * s}, 5 * s},
		{"moved on", []time.Duration{5 * s, 60 * s}, 60 * s},
		{"moved on and on", []time.Duration{5 * s, 60 * s, 10 * s, 90 * s}, 90 * s},
		{"moved back", []time.Duration{60 * s, 5 * s}, 5 * s},
		{"lifted", []time.Duration{5 * s, 0}, 0},
		{"lifted, and set again", []time.Duration{5 * s, 0, 30 * s}, 30 * s},
		{"passed already", []time.Duration{60 * s, -s}, 0},
		{"passed, and lifted", []time.Duration{-s, 0, 7 * s}, 7 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer, _ := pair(t)
				begin := time.Now()
				for _, d := range tt.asked {
					at := time.Time{}
					if d != 0 {
						at = time.Now().Add(d)
					}
					if err := c.SetDeadline(at); err != nil {
						t.Fatal(err)
					}
				}
				last := tt.asked[len(tt.asked)-1]
				for name, use := range map[string]func([]byte) (int, error){"read": c.Read, "write": c.Write} {
					if last == 0 { // it goes on until the peer does something
						time.AfterFunc(time.Hour, func() {
							if name == "read" {
								peer.Write([]byte("x"))
							} else {
								peer.Read(make([]byte, 1))
							}
						})
						if n, err := use(make([]byte, 1)); n != 1 || err != nil {
							t.Errorf("%s: %d, %v", name, n, err)
						}
						continue
					}
					_, err := use(make([]byte, 1))
					if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took != tt.want {
						t.Errorf("%s: %v after %v, want %v", name, err, took, tt.want)
					}
				}
			})
		})
	}
}

// TestAWriteGoesOnWhereItTimedOutEarly has half of it gone when the deadline of the
// connection below comes.
func TestAWriteGoesOnWhereItTimedOutEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer, _ := pair(t)
		c.SetWriteDeadline(time.Now().Add(5 * time.Second))
		c.SetWriteDeadline(time.Now().Add(time.Minute))
		got := make(chan string)
		go func() {
			b := make([]byte, 6)
			io.ReadFull(peer, b[:3])
			time.Sleep(10 * time.Second)
			io.ReadFull(peer, b[3:])
			got <- string(b)
		}()
		if n, err := c.Write([]byte("abcdef")); n != 6 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if s := <-got; s != "abcdef" {
			t.Errorf("the peer got %q", s)
		}
	})
}

// TestAPendingReadIsEnded has a deadline in the past end a read that waits, as net/http does.
func TestAPendingReadIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := pair(t)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		done := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		synctest.Wait()
		c.SetReadDeadline(time.Unix(1, 0))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

// TestDeadlinesArePutOff has those of ordinary requests cost the connection below one in a while.
func TestDeadlinesArePutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, asked := pair(t)
		for range 1000 {
			c.SetWriteDeadline(time.Now().Add(30 * time.Second))
			c.SetWriteDeadline(time.Time{})
			time.Sleep(time.Millisecond)
		}
		if *asked != 1 {
			t.Errorf("it was asked %d times", *asked)
		}
	})
}
