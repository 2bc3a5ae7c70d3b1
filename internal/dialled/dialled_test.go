package dialled

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

type slow struct{ net.Conn }

func (s slow) Close() error { time.Sleep(time.Hour); return s.Conn.Close() }

func TestCloseLetsGoAndDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		var cs Conns
		nc := cs.Wrap(slow{near})
		if cs.Wrap(nc) != nc || cs.Wrap(nil) != nil {
			t.Error("what is wrapped, or nil, is wrapped again")
		}
		read := make(chan error)
		go func() { _, err := nc.Read(make([]byte, 1)); read <- err }()
		synctest.Wait()
		begin := time.Now()
		if err := nc.Close(); err != nil {
			t.Error(err)
		}
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the Read that waited: %v", err)
		}
		if _, err := nc.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a Write afterwards: %v", err)
		}
		if err := nc.SetWriteDeadline(time.Now().Add(time.Hour)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a deadline afterwards: %v", err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
		if !cs.Wait(nil) || time.Since(begin) != time.Hour {
			t.Errorf("Wait returned after %v, want when it is closed", time.Since(begin))
		}
	})
}

// endless is a connection whose calls return when it is closed, which takes an hour, and not by a deadline.
type endless struct{ slow }

func (endless) SetDeadline(time.Time) error { return os.ErrNoDeadline }

func TestCloseLetsGoWhereThereAreNoDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		var cs Conns
		nc := cs.Wrap(endless{slow{near}})
		go far.Write([]byte("abc"))
		got := make([]byte, 8)
		if n, err := nc.Read(got); string(got[:n]) != "abc" || err != nil {
			t.Errorf("read %q, %v", got[:n], err)
		}
		calls := make(chan error)
		go func() { _, err := nc.Read(got); calls <- err }()
		go func() { _, err := nc.Write(got); calls <- err }()
		synctest.Wait()
		begin := time.Now()
		nc.Close()
		for range 2 {
			if err := <-calls; !errors.Is(err, net.ErrClosed) || time.Since(begin) != 0 {
				t.Errorf("a call returned %v after %v", err, time.Since(begin))
			}
		}
		if !cs.Wait(nil) || time.Since(begin) != time.Hour {
			t.Errorf("Wait returned after %v, want when it is closed", time.Since(begin))
		}
	})
}

func TestWhatNobodysConnsHaveWrappedIsWrappedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		var cs Conns
		nc := cs.Wrap((*Conns)(nil).Wrap(slow{near}))
		if (*Conns)(nil).Wrap(nc) != nc || new(Conns).Wrap(nc) != nc {
			t.Error("what is somebody's becomes another's")
		}
		begin := time.Now()
		nc.Close()
		if took := time.Since(begin); took != 0 {
			t.Errorf("Close took %v", took)
		}
		if !cs.Wait(nil) || time.Since(begin) != time.Hour {
			t.Errorf("Wait returned after %v, want when it is closed", time.Since(begin))
		}
	})
}

// harmless is an error that does not mind to be nil.
type harmless struct{}

func (*harmless) Error() string { return "none" }

type empty struct{ net.Conn }

func (empty) Read([]byte) (int, error) { return 0, nil }

func TestReadsOfNothingEnd(t *testing.T) {
	nc, err := new(Conns).Wrap(empty{}), error(nil)
	for i := 0; i < 1000 && err == nil; i++ {
		_, err = nc.Read(make([]byte, 1))
	}
	if err != io.ErrNoProgress {
		t.Errorf("%v, want %v", err, io.ErrNoProgress)
	}
}

func TestSound(t *testing.T) {
	if err := Sound(net.ErrClosed); err != net.ErrClosed {
		t.Errorf("%v has become %v", net.ErrClosed, err)
	}
	for _, bad := range []error{(*net.OpError)(nil), (*harmless)(nil), fmt.Errorf("wrapped: %w", (*harmless)(nil))} {
		if err := Sound(bad); err == nil || errors.Is(err, net.ErrClosed) || errors.As(err, new(*harmless)) {
			t.Errorf("%v", err)
		}
	}
}
