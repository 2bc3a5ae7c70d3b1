package mqttfront

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/pipe"
	"github.com/hubwire/hubwire/mqtt"
)

// opened returns an out behind its CONNACK, and the peer's end of its connection.
func opened() (o *out, peer net.Conn, isCut func() bool) {
	peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
	cut := false
	o = newOut(mqtt.NewConn(nc, nil), new(buffers), 30*time.Second, func() { cut = true; nc.Close() }, nil)
	o.open(nil)
	return o, peer, func() bool { return cut }
}

// hold adds an answer as the reader does.
func hold(o *out, add func([]byte) []byte) error {
	o.hold()
	o.open(add)
	return o.cause()
}

func bytesOf(b byte, n int) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, bytes.Repeat([]byte{b}, n)...) }
}

func TestOutKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
		o := newOut(mqtt.NewConn(nc, nil), new(buffers), time.Minute, func() { nc.Close() }, nil)
		o.push(true, bytesOf('b', 1)) // before the CONNACK
		o.push(true, bytesOf('c', 1))
		synctest.Wait()
		o.open(bytesOf('a', 1))
		o.push(false, bytesOf('d', 1))
		if err := hold(o, bytesOf('e', 1)); err != nil {
			t.Error(err)
		}
		o.push(true, bytesOf('f', 1))
		synctest.Wait()
		nc.Close()
		got, err := io.ReadAll(peer)
		if err != nil || string(got) != "abcdef" {
			t.Errorf("%q, %v", got, err)
		}
		o.close()
	})
}

// TestOutAnswerWaitsForTheWriter has the writer stuck in a write when the
// reader comes with more answers than may wait.
func TestOutAnswerWaitsForTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, peer, isCut := opened()
		o.push(true, bytesOf('x', 100_000)) // more than the pipe holds
		synctest.Wait()
		if err := hold(o, bytesOf('y', softLimit+1)); err != nil {
			t.Error(err)
		}
		answered := false
		go func() {
			if err := hold(o, bytesOf('z', 1)); err != nil {
				t.Error(err)
			}
			answered = true
		}()
		synctest.Wait()
		if answered {
			t.Error("answer did not wait")
		}
		n, err := io.CopyN(io.Discard, peer, 100_000+softLimit+1)
		synctest.Wait()
		if err != nil || !answered || isCut() {
			t.Errorf("after %d bytes: answered %v, %v", n, answered, err)
		}
		peer.Close()
		o.close()
	})
}

func TestOutAnswerEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, peer, _ := opened()
		o.push(true, bytesOf('x', 100_000))
		synctest.Wait()
		if err := hold(o, bytesOf('y', softLimit+1)); err != nil {
			t.Error(err)
		}
		failed := make(chan error, 1)
		go func() { failed <- hold(o, bytesOf('z', 1)) }()
		synctest.Wait()
		peer.Close()
		if err := <-failed; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v", err)
		}
		o.close()
	})
}

func TestOutCutsWhoDoesNotRead(t *testing.T) {
	t.Run("when too much waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, peer, isCut := opened()
			for range 3 + hardLimit/softLimit {
				o.push(true, bytesOf('x', softLimit))
				synctest.Wait()
			}
			if !isCut() || !errors.Is(o.cause(), errSlow) {
				t.Errorf("cut %v, cause %v", isCut(), o.cause())
			}
			if o.push(true, bytesOf('x', 1)) {
				t.Error("more was taken")
			}
			o.close()
			peer.Close()
		})
	})
	t.Run("when a write takes too long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, peer, isCut := opened()
			start := time.Now()
			o.push(true, bytesOf('x', 100_000))
			o.drain()
			if took := time.Since(start); took != 30*time.Second || !isCut() {
				t.Errorf("cut %v, after %v", isCut(), took)
			}
			o.close()
			peer.Close()
		})
	})
}

func TestOutKeepsNoBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, peer, _ := opened()
		go io.Copy(io.Discard, peer)
		for _, n := range []int{0, 1, burst, 50_000} {
			if err := hold(o, bytesOf('x', n)); err != nil {
				t.Error(err)
			}
			o.flush()
			if o.buf != nil || o.early != nil {
				t.Errorf("after %d bytes, buffers for %d and %d are kept", n, cap(o.buf), cap(o.early))
			}
		}
		o.cut()
		o.close()
	})
}
