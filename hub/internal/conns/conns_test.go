package conns

import (
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/pipe"
)

// troubled is a listener that has only trouble, until it is closed.
type troubled struct {
	net.Listener
	mu     sync.Mutex
	calls  int
	closed bool
}

func (l *troubled) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.closed {
		return nil, net.ErrClosed
	}
	return nil, syscall.EMFILE
}

// TestAcceptSurvivesTrouble has a system out of file descriptors for a while.
func TestAcceptSurvivesTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("test", time.Minute, slog.New(slog.DiscardHandler))
		l := &troubled{}
		done := make(chan struct{})
		go func() { defer close(done); s.Accept(l, nil, nil) }()
		time.Sleep(time.Minute)
		l.mu.Lock()
		if l.calls < 60 || l.calls > 80 {
			t.Errorf("%d attempts in a minute, want one a second and a few more at first", l.calls)
		}
		l.closed = true
		l.mu.Unlock()
		<-done
	})
}

func TestCloseEndsAnAcceptInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("test", time.Minute, slog.New(slog.DiscardHandler))
		done := make(chan struct{})
		go func() { defer close(done); s.Accept(&troubled{}, nil, nil) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		start := time.Now()
		s.Close()
		<-done
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// TestAfterClose has connections come to a Set that is closed already.
func TestAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("test", time.Minute, slog.New(slog.DiscardHandler))
		s.Close()
		for _, serve := range []func(nc net.Conn){
			func(nc net.Conn) { s.Serve(nc, Peer{Raw: nc}, func(net.Conn, Peer) { t.Error("it was served") }) },
			func(nc net.Conn) { s.start(nc, func() { t.Error("it was served") }) },
		} {
			peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
			serve(nc)
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("reading: %v", err)
			}
		}
	})
}
