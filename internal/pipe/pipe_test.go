package pipe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/pipe"
	"github.com/hubwire/hubwire/internal/testkit"
)

// bufferSize is how much each direction holds.
const bufferSize = 64 << 10

func ends() (c, s *pipe.Conn) { return pipe.New(pipe.Addr("client"), pipe.Addr("hub:1")) }

func TestBothEndsMayWriteFirst(t *testing.T) {
	c, s := ends()
	for _, nc := range []net.Conn{c, s} {
		if n, err := nc.Write(make([]byte, bufferSize)); n != bufferSize || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
}

func TestBytesArriveInOrderAtAnySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := ends()
		want := make([]byte, 5*bufferSize)
		for i := range want {
			want[i] = byte(i * i >> 3)
		}
		go func() {
			for b := want; len(b) > 0; {
				n := min(len(b), 1+len(b)*7%9001)
				if _, err := c.Write(b[:n]); err != nil {
					t.Error(err)
				}
				b = b[n:]
			}
			c.Close()
		}()
		var got []byte
		buf := make([]byte, 4099)
		for {
			n, err := s.Read(buf[:1+len(got)%len(buf)])
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived, which are not the %d that were sent", len(got), len(want))
		}
	})
}

func TestEndsAndErrors(t *testing.T) {
	tests := []struct {
		name string
		do   func(c, s *pipe.Conn) error
		want error
	}{
		{"read from an end closed by oneself", func(c, s *pipe.Conn) error { c.Close(); return read(c) }, net.ErrClosed},
		{"write to an end closed by oneself", func(c, s *pipe.Conn) error { c.Close(); return write(c) }, net.ErrClosed},
		{"read after the peer closed", func(c, s *pipe.Conn) error { s.Close(); return read(c) }, io.EOF},
		{"write after the peer closed", func(c, s *pipe.Conn) error { s.Close(); return write(c) }, io.ErrClosedPipe},
		{"read what was written before the peer closed", func(c, s *pipe.Conn) error { write(s); s.Close(); return read(c) }, nil},
		{"read after the peer ended its sending", func(c, s *pipe.Conn) error { s.CloseWrite(); return read(c) }, io.EOF},
		{"write after the peer ended its sending", func(c, s *pipe.Conn) error { s.CloseWrite(); return write(c) }, nil},
		{"read after the peer cut the connection", func(c, s *pipe.Conn) error { write(s); s.Abort(); return read(c) }, syscall.ECONNRESET},
		{"write after the peer cut the connection", func(c, s *pipe.Conn) error { s.Abort(); return write(c) }, syscall.ECONNRESET},
		{"read after one cut it oneself", func(c, s *pipe.Conn) error { c.Abort(); return read(c) }, net.ErrClosed},
		{"read after one closed what the peer had cut", func(c, s *pipe.Conn) error { s.Abort(); c.Close(); return read(c) }, net.ErrClosed},
		{"a deadline when the peer cut the connection", func(c, s *pipe.Conn) error { s.Abort(); return c.SetDeadline(time.Now()) }, nil},
		{"a deadline on a closed end", func(c, s *pipe.Conn) error { c.Close(); return c.SetDeadline(time.Now()) }, net.ErrClosed},
		{"a read deadline in the past", func(c, s *pipe.Conn) error { c.SetReadDeadline(time.Unix(1, 0)); return read(c) }, os.ErrDeadlineExceeded},
		{"a write deadline in the past", func(c, s *pipe.Conn) error { c.SetWriteDeadline(time.Unix(1, 0)); return write(c) }, os.ErrDeadlineExceeded},
		{"a deadline that was taken back", func(c, s *pipe.Conn) error {
			c.SetDeadline(time.Unix(1, 0))
			c.SetDeadline(time.Time{})
			return write(c)
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := ends()
			if err := tt.do(c, s); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func read(nc net.Conn) error  { _, err := nc.Read(make([]byte, 1)); return err }
func write(nc net.Conn) error { _, err := nc.Write([]byte("x")); return err }

func TestCloseWakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := ends()
		errs := make(chan error, 2)
		go func() { errs <- read(c) }()
		go func() { _, err := c.Write(make([]byte, bufferSize+1)); errs <- err }()
		synctest.Wait()
		c.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("error %v, want net.ErrClosed", err)
			}
		}
		s.Close()
	})
}

func TestDeadlinesWakeWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := ends()
		defer s.Close()
		defer c.Close()
		start := time.Now()
		c.SetReadDeadline(start.Add(time.Hour))
		c.SetReadDeadline(start.Add(time.Minute)) // the second counts
		if err := read(c); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		c.SetWriteDeadline(start.Add(2 * time.Minute))
		n, err := c.Write(make([]byte, bufferSize+1))
		if n != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %d, %v", n, err)
		}
		c.SetDeadline(time.Time{})
		if _, err := io.ReadFull(s, make([]byte, bufferSize)); err != nil {
			t.Errorf("what was written before the deadline: %v", err)
		}
		if err := write(c); err != nil {
			t.Errorf("a write after the deadline was lifted: %v", err)
		}
		if got := time.Since(start); got != 2*time.Minute {
			t.Errorf("it took %v, want 2 minutes", got)
		}
	})
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipe.Listen(pipe.Addr("hub:1"))
		go func() {
			nc, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			nc.Write([]byte("hello"))
			nc.Close()
		}()
		nc, err := l.Dial(t.Context(), pipe.Addr("client"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(nc)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("hello", string(got)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		addrs := []string{nc.LocalAddr().String(), nc.RemoteAddr().String(), nc.RemoteAddr().Network()}
		if diff := cmp.Diff([]string{"client", "hub:1", "memory"}, addrs); diff != "" {
			t.Errorf("addresses (-want +got)\n%s", diff)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Dial(ctx, pipe.Addr("client")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial without an Accept: %v", err)
		}
		l.Close()
		l.Close()
		if _, err := l.Dial(t.Context(), pipe.Addr("client")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial to a closed listener: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept of a closed listener: %v", err)
		}
	})
}

func TestTrafficAllocatesNothingWhereBuffersAreKept(t *testing.T) {
	c, s := ends()
	c.Keep()
	b := make([]byte, 1000)
	testkit.NoAllocs(t, "there and back", func() {
		for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
			if _, err := way[0].Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(way[1], b); err != nil {
				t.Fatal(err)
			}
		}
	})
}
