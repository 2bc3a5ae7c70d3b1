package ws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestMessagesOf256KiBPassBothWays(t *testing.T) {
	testkit.LeakCheck(t)
	client, srv := pair(t, nil)
	want := bytes.Repeat([]byte("0123456789abcdef"), (256<<10)/16)
	for _, way := range []struct{ from, to net.Conn }{{client, srv}, {srv, client}} {
		sent := make(chan error, 1)
		go func() { _, err := way.from.Write(want); sent <- err }()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(way.to, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read: %v, equal: %t", err, bytes.Equal(got, want))
		}
		if err := <-sent; err != nil {
			t.Errorf("write: %v", err)
		}
	}
}

func TestAnyChunkingBelowGivesTheSameBytes(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5, 7, 16, 125, 126, 1000, 4096, 70000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, srv := pair(t, chunks(size))
				exchange(t, client, srv)
				exchange(t, srv, client)
			})
		})
	}
}

// exchange sends messages of many sizes from one end to the other.
func exchange(t *testing.T, from, to net.Conn) {
	t.Helper()
	var all []byte
	go func() {
		rnd := rand.New(rand.NewPCG(1, 2))
		for _, n := range []int{1, 2, 0, 125, 126, 127, 4095, 4096, 4097, 8000, 1} {
			msg := make([]byte, n)
			for i := range msg {
				msg[i] = byte(rnd.Uint32())
			}
			all = append(all, msg...)
			if n, err := from.Write(msg); n != len(msg) || err != nil {
				t.Errorf("write of %d: %d, %v", len(msg), n, err)
			}
		}
	}()
	synctest.Wait() // the pipe holds all of it
	got := make([]byte, len(all))
	if _, err := io.ReadFull(testkit.Rechunk(to, func() int { return 1 + len(all)/97 }), got); err != nil || !bytes.Equal(got, all) {
		t.Errorf("read: %v, equal: %t", err, bytes.Equal(got, all))
	}
}

func TestPacketsMayBeSplitAndMergedOverFrames(t *testing.T) {
	const want = "one packet and another"
	for size := 1; size <= len(want); size++ {
		synctest.Test(t, func(t *testing.T) {
			raw, srv := rawTunnel(t)
			// A message of several frames with a ping between each two.
			for at := 0; at < len(want); at += size {
				end := min(at+size, len(want))
				first := byte(cont)
				if at == 0 {
					first = binary
				}
				if end == len(want) {
					first |= fin
				}
				io.WriteString(raw, frame(first, want[at:end])+frame(fin|ping, "hi"))
			}
			// The same as messages of their own, among them empty ones.
			for at := 0; at < len(want); at += size {
				io.WriteString(raw, frame(fin|binary, "")+frame(fin|binary, want[at:min(at+size, len(want))]))
			}
			go io.Copy(io.Discard, raw) // the pongs
			got := make([]byte, 2*len(want))
			if _, err := io.ReadFull(srv, got); err != nil || string(got) != want+want {
				t.Errorf("frames of %d: %q, %v", size, got, err)
			}
		})
	}
}

func TestPingsAreAnsweredWhileNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, _ := rawTunnel(t)
		io.WriteString(raw, frame(fin|ping, "still there?"))
		got := make([]byte, 14)
		if _, err := io.ReadFull(raw, got); err != nil || string(got) != string([]byte{fin | pong, 12})+"still there?" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestWriteIsOneUnmaskedBinaryMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, srv := rawTunnel(t)
		for _, msg := range []string{"a", "", "bc"} {
			if n, err := srv.Write([]byte(msg)); n != len(msg) || err != nil {
				t.Errorf("write: %d, %v", n, err)
			}
		}
		srv.Close()
		got, _ := io.ReadAll(raw)
		want := "\x82\x01a\x82\x02bc" + "\x88\x02\x03\xe8" // and a close frame with 1000
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestHowReadingEnds(t *testing.T) {
	for _, c := range []struct {
		name, sent, before string
		want               error
	}{
		{"a close frame with status 1000", frame(fin|closed, "\x03\xe8"), "", io.EOF},
		{"a close frame with status 1001", frame(fin|closed, "\x03\xe9bye"), "", io.EOF},
		{"a close frame without a status", frame(fin|closed, ""), "", io.EOF},
		{"a close frame after data", frame(fin|binary, "abc") + frame(fin|closed, "\x03\xe8"), "abc", io.EOF},
		{"a close frame with another status", frame(fin|closed, "\x03\xf3oops"), "", net.ErrClosed},
		{"the stream ends between messages", frame(fin|binary, "abc"), "abc", io.EOF},
		{"the stream ends between frames of a message", frame(binary, "abc"), "abc", io.ErrUnexpectedEOF},
		{"the stream ends within a frame", frame(fin|binary, "abcdef")[:9], "abc", io.ErrUnexpectedEOF},
		{"the stream ends within a long frame", frame(fin|binary, strings.Repeat("abc", 3000))[:8+3*1667], strings.Repeat("abc", 1667), io.ErrUnexpectedEOF},
		{"a text frame", frame(fin|text, "abc"), "", ErrTextFrame},
		{"a text frame after data", frame(fin|binary, "abc") + frame(fin|text, "abc"), "abc", ErrTextFrame},
		{"a length that never comes", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00abc", "abc", io.ErrUnexpectedEOF},
		{"a continuation of nothing", frame(fin|cont, "abc"), "", ErrProtocol},
		{"a message within a message", frame(binary, "abc") + frame(fin|binary, "def"), "abc", ErrProtocol},
		{"an unknown opcode", frame(fin|0x3, "abc"), "", ErrProtocol},
		{"an unknown control opcode", frame(fin|0xB, "abc"), "", ErrProtocol},
		{"a reserved bit", frame(fin|0x10|binary, "abc"), "", ErrProtocol},
		{"the bit of compression", frame(fin|0x40|binary, "abc"), "", ErrProtocol},
		{"a long ping", frame(fin|ping, strings.Repeat("x", 126)), "", ErrProtocol},
		{"a ping of 2^62 bytes", "\x89\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "", ErrProtocol},
		{"half a ping", frame(ping, "x"), "", ErrProtocol},
		{"half a close frame", frame(closed, "\x03\xe8"), "", ErrProtocol},
		{"a close frame with half a status", frame(fin|closed, "\x03"), "", ErrProtocol},
		{"a close frame with a status that is not for the wire", frame(fin|closed, "\x03\xed"), "", ErrProtocol},
		{"an unmasked frame", "\x82\x03abc", "", ErrProtocol},
		{"a length of 2^63", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abc", "", ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				raw, srv := rawTunnel(t)
				go io.Copy(io.Discard, raw)
				io.WriteString(raw, c.sent)
				raw.(interface{ CloseWrite() error }).CloseWrite()
				got, err := io.ReadAll(srv)
				if err == nil {
					err = io.EOF
				}
				if string(got) != c.before || !errors.Is(err, c.want) {
					t.Errorf("got %q, %v; want %q, %v", got, err, c.before, c.want)
				}
				if _, again := srv.Read(make([]byte, 1)); again != err {
					t.Errorf("the next read: %v, want %v again", again, err)
				}
				synctest.Wait()
				if _, err := srv.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a write after that: %v, want %v", err, net.ErrClosed)
				}
			})
		})
	}
}

func TestCloseErrorTellsStatusAndReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, srv := rawTunnel(t)
		io.WriteString(raw, frame(fin|closed, "\x03\xf3oops"))
		_, err := srv.Read(make([]byte, 1))
		var ce *CloseError
		if !errors.As(err, &ce) || ce.Status != 1011 || ce.Reason != "oops" {
			t.Errorf("got %v", err)
		}
		if _, err := srv.Write([]byte("x")); !errors.As(err, &ce) || ce.Status != 1011 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("a write after that: %v", err)
		}
		srv.Close()
		if _, err := srv.Write([]byte("x")); err != net.ErrClosed {
			t.Errorf("a write after Close: %v", err)
		}
	})
}

func TestCloseErrorShowsNoSecret(t *testing.T) {
	e := &CloseError{4000, "SharedAccessSignature sr=h&sig=abc%3D&se=1"} // an echo of what it got
	if text := e.Error(); strings.Contains(text, "abc") || !strings.Contains(text, "4000") || !strings.Contains(text, "sr=h") {
		t.Error(text)
	}
}

func TestAReadDeadlineEndsOnlyTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, srv := rawTunnel(t)
		whole := frame(fin|binary, "patience")
		buf := make([]byte, 20)
		for at := range len(whole) { // the deadline passes at every byte of a frame
			start := time.Now()
			srv.SetReadDeadline(start.Add(time.Second))
			n, err := srv.Read(buf)
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
				t.Fatalf("before byte %d: %d, %v after %v", at, n, err, time.Since(start))
			}
			io.WriteString(raw, whole[at:at+1])
		}
		synctest.Wait()
		if _, err := srv.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a read after the deadline, with data there: %v", err)
		}
		srv.SetReadDeadline(time.Time{})
		if n, err := srv.Read(buf); string(buf[:n]) != "patience" || err != nil {
			t.Errorf("after the deadline was lifted: %q, %v", buf[:n], err)
		}
	})
}

func TestAReadDeadlineMayBeSetWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, srv := pair(t, nil)
		for _, at := range []time.Duration{-time.Second, 0, time.Second} {
			failed := make(chan error)
			go func() { _, err := srv.Read(make([]byte, 1)); failed <- err }()
			synctest.Wait()
			srv.SetReadDeadline(time.Now().Add(at))
			err := <-failed
			var ne net.Error
			if !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("%v: got %v, want a time-out", at, err)
			}
			srv.SetReadDeadline(time.Time{})
		}
	})
}

func TestAWriteDeadlineThatPassedLeavesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, srv := pair(t, nil)
		client.SetDeadline(time.Now().Add(time.Second))
		time.Sleep(time.Second)
		if n, err := client.Write([]byte("late")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("late write: %d, %v", n, err)
		}
		client.SetDeadline(time.Now().Add(time.Second)) // in time, and not in the way afterwards
		if _, err := client.Write([]byte("in time")); err != nil {
			t.Errorf("write: %v", err)
		}
		time.Sleep(time.Minute)
		client.SetWriteDeadline(time.Time{})
		if _, err := client.Write([]byte(", again")); err != nil {
			t.Errorf("write: %v", err)
		}
		got := make([]byte, 14)
		if _, err := io.ReadFull(srv, got); err != nil || string(got) != "in time, again" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestAWriteDeadlineEndsAWriteThatWaits(t *testing.T) {
	for name, set := range map[string]func(client net.Conn){
		"set before": func(client net.Conn) { client.SetWriteDeadline(time.Now().Add(time.Second)) },
		"set meanwhile": func(client net.Conn) {
			time.AfterFunc(time.Second, func() { client.SetWriteDeadline(time.Now()) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, srv := pair(t, nil)
				start := time.Now()
				set(client)
				var err error
				for err == nil { // the server's program does not read
					_, err = client.Write(make([]byte, 32<<10))
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
				client.SetWriteDeadline(time.Time{})
				if _, err := client.Write([]byte("x")); err == nil {
					t.Error("a message was cut short, and another can be written")
				}
				if _, err := srv.Write([]byte("x")); err != nil {
					t.Errorf("the other direction: %v", err)
				}
				if _, err := client.Read(make([]byte, 1)); err != nil {
					t.Errorf("the other direction: %v", err)
				}
			})
		})
	}
}

func TestCloseEndsCallsThatWaitAndAllGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails when a goroutine stays
		client, srv := pair(t, nil)
		failed := make(chan error, 2)
		go func() { _, err := client.Read(make([]byte, 1)); failed <- err }()
		go func() {
			var err error
			for err == nil { // nobody reads this
				_, err = client.Write(make([]byte, 32<<10))
			}
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		closed := make(chan error, 3)
		for range cap(closed) { // more than once, and at once
			go func() { closed <- client.Close() }()
		}
		for range cap(closed) {
			if err := <-closed; err != nil {
				t.Errorf("close: %v", err)
			}
		}
		for range 2 {
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v, want %v", err, net.ErrClosed)
			}
		}
		if took := time.Since(start); took > closeGrace {
			t.Errorf("close took %v, more than %v", took, closeGrace)
		}
		for name, err := range map[string]error{
			"read": second(client.Read(make([]byte, 1))), "write": second(client.Write([]byte("x"))),
			"deadline": client.SetReadDeadline(time.Now()), "write deadline": client.SetWriteDeadline(time.Now()),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after close: %v, want %v", name, err, net.ErrClosed)
			}
		}
		io.Copy(io.Discard, srv)
	})
}

func second[T any](_ T, err error) error { return err }

func TestCloseNowDoesNotWaitForThePeer(t *testing.T) {
	for name, before := range map[string]func(net.Conn){
		"":                               func(net.Conn) {},
		" while a Close takes its leave": func(nc net.Conn) { go nc.Close() },
	} {
		synctest.Test(t, func(t *testing.T) { // which fails when a goroutine stays
			client, srv := pair(t, nil)
			failed := make(chan error, 1)
			go func() {
				var err error
				for err == nil { // nobody reads this
					_, err = client.Write(make([]byte, 32<<10))
				}
				failed <- err
			}()
			synctest.Wait()
			before(client)
			synctest.Wait()
			start := time.Now()
			if err := client.(interface{ CloseNow() error }).CloseNow(); err != nil {
				t.Errorf("close now%s: %v", name, err)
			}
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Errorf("close now%s: the write: got %v, want %v", name, err, net.ErrClosed)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("close now%s took %v", name, took)
			}
			io.Copy(io.Discard, srv)
		})
	}
}

func TestCloseIsQuickOnALivePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, srv := pair(t, nil)
		start := time.Now()
		srv.Close()
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read: %v, want %v", err, io.EOF)
		}
		client.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestCloseIsBoundedWhenThePeerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hole *testkit.Hole
		client, _ := pair(t, func(nc net.Conn) net.Conn { hole = testkit.BlackHole(nc); return hole })
		hole.Swallow(true)
		start := time.Now()
		client.Close()
		if took := time.Since(start); took > closeGrace {
			t.Errorf("close took %v, more than %v", took, closeGrace)
		}
	})
}

func TestTheConnectionOutlivesTheContextOfItsDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccepting(MQTT)
		s := serve(t, a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		client, err := Dial(ctx, hubName, s.options())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		srv := <-a.got
		defer srv.Close()
		cancel()
		time.Sleep(time.Hour)
		go srv.Write([]byte("x"))
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}
