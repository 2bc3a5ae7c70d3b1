package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What a peer does that the library would not let a test do: frames by hand, on
// both ends.

func TestAStreamThatEndsWithinAMessageEndsUnexpectedly(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		borders    []int // where it may end
	}{
		{"a frame", frame(fin|binary, "abcdef"), []int{0, 12}},
		{"two frames of a message", frame(binary, "abc") + frame(fin|cont, "def"), []int{0, 18}},
		{"two messages", frame(fin|binary, "abc") + frame(fin|binary, "def"), []int{0, 9, 18}},
		{"a ping within a message", frame(binary, "ab") + frame(fin|ping, "p") + frame(fin|cont, ""), []int{0, 21}},
		{"pings and pongs", frame(fin|ping, "ping") + frame(fin|pong, ""), []int{0, 10, 16}},
		{"a frame with a length of two bytes", frame(fin|binary, strings.Repeat("x", 3*readAhead)), []int{0, 8 + 3*readAhead}},
		{"a frame with a length of eight bytes", frame(fin|binary, strings.Repeat("x", 1<<16)), []int{0, 14 + 1<<16}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := 0; n <= len(c.sent); n++ {
				if n > 20 && n < len(c.sent)-1 && (n-8)%readAhead != 0 && (n-14)%readAhead != 0 {
					continue // all bytes of a long payload are alike, but for where a read ends
				}
				want := io.ErrUnexpectedEOF
				for _, border := range c.borders {
					if n == border {
						want = io.EOF
					}
				}
				synctest.Test(t, func(t *testing.T) {
					raw, srv := rawTunnel(t)
					go io.Copy(io.Discard, raw)
					go func() {
						io.WriteString(raw, c.sent[:n])
						raw.(interface{ CloseWrite() error }).CloseWrite()
					}()
					_, err := io.Copy(io.Discard, srv)
					if err == nil {
						err = io.EOF
					}
					if err != want {
						t.Errorf("%d bytes of %d: %v, want %v", n, len(c.sent), err, want)
					}
				})
			}
		})
	}
}

func TestAServerMustNotMask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, raw := rawServer(t)
		io.WriteString(raw, "\x82\x03abc"+frame(fin|binary, "def"))
		got, err := io.ReadAll(client)
		if string(got) != "abc" || !errors.Is(err, ErrProtocol) {
			t.Errorf("got %q, %v, want %v", got, err, ErrProtocol)
		}
	})
}

func TestAMessageOf300KiBInOneFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw, srv := rawTunnel(t)
		want := bytes.Repeat([]byte("0123456789ab"), 300<<10/12)
		go io.WriteString(raw, frame(fin|binary, string(want)))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(srv, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read: %v, equal: %t", err, bytes.Equal(got, want))
		}
	})
}

func TestWriteIsOneMaskedBinaryMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, raw := rawServer(t)
		keys := map[string]bool{}
		for _, c := range []struct {
			size int
			head string
		}{
			{1, "\x82\x81"}, {125, "\x82\xfd"}, {126, "\x82\xfe\x00\x7e"}, {65535, "\x82\xfe\xff\xff"},
			{300 << 10, "\x82\xff\x00\x00\x00\x00\x00\x04\xb0\x00"},
		} {
			msg := bytes.Repeat([]byte{'m'}, c.size)
			go client.Write(msg)
			got := make([]byte, len(c.head)+4+c.size)
			if _, err := io.ReadFull(raw, got); err != nil {
				t.Fatal(err)
			}
			head, rest := string(got[:len(c.head)]), got[len(c.head):]
			key, payload := rest[:4], rest[4:]
			for i := range payload {
				payload[i] ^= key[i%4]
			}
			if head != c.head || !bytes.Equal(payload, msg) || keys[string(key)] {
				t.Errorf("%d bytes: head %x, key %x, payload equal: %t", c.size, head, key, bytes.Equal(payload, msg))
			}
			keys[string(key)] = true // which must not be used again
		}
	})
}

func TestTheCloseFrameTellsWhatWasWrong(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		status     int
	}{
		{"a text frame", frame(fin|text, "abc"), 1003},
		{"an unknown opcode", frame(fin|0x3, "abc"), 1002},
		{"a reserved bit", frame(fin|0x20|binary, "abc"), 1002},
		{"a long ping", frame(fin|ping, strings.Repeat("x", 126)), 1002},
		{"half a ping", frame(ping, "x"), 1002},
		{"a continuation of nothing", frame(fin|cont, "abc"), 1002},
		{"a close frame, which is answered", frame(fin|closed, "\x03\xf3oops"), 1011},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				raw, srv := rawTunnel(t)
				io.WriteString(raw, c.sent)
				if _, err := srv.Read(make([]byte, 1)); err == nil {
					t.Error("read something")
				}
				got, _ := io.ReadAll(raw)
				if len(got) < 4 || got[0] != fin|closed || int(got[2])<<8|int(got[3]) != c.status {
					t.Errorf("got %q, want a close frame with %d", got, c.status)
				}
			})
		})
	}
}

// ends gives a tunnel each way round: our end, the peer's as bare bytes, and
// what the peer sends and gets as a frame of its kind.
func ends(t *testing.T, f func(t *testing.T, ours, peer net.Conn, masked bool)) {
	for _, end := range []string{"server", "client"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if end == "server" {
					peer, ours := rawTunnel(t)
					f(t, ours, peer, true)
				} else {
					ours, peer := rawServer(t)
					f(t, ours, peer, false)
				}
			})
		})
	}
}

// fromPeer is a frame as a client sends it, or a server.
func fromPeer(masked bool, first byte, payload string) string {
	if masked {
		return frame(first, payload)
	}
	return string([]byte{first, byte(len(payload))}) + payload
}

func TestAPingWaitsForTheMessageThatIsBeingWritten(t *testing.T) {
	ends(t, func(t *testing.T, ours, peer net.Conn, masked bool) {
		const size = 400 << 10 // more than the pipe holds
		written := make(chan error, 1)
		go func() { _, err := ours.Write(make([]byte, size)); written <- err }()
		synctest.Wait()
		io.WriteString(peer, fromPeer(masked, fin|ping, "first")+fromPeer(masked, fin|ping, "last")+fromPeer(masked, fin|binary, "x"))
		got := make([]byte, 1)
		if _, err := ours.Read(got); string(got) != "x" || err != nil {
			t.Errorf("what follows a ping: %q, %v", got, err)
		}
		time.Sleep(time.Minute) // a slow line
		message := 10 + size
		if !masked {
			message += 4
		}
		if _, err := io.CopyN(io.Discard, peer, int64(message)); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Errorf("write: %v", err)
		}
		if got := readPong(t, peer); got != "last" {
			t.Errorf("got a pong with %q, want the answer to the last ping", got)
		}
		io.WriteString(peer, fromPeer(masked, fin|ping, strings.Repeat("x", 125)))
		if got := readPong(t, peer); got != strings.Repeat("x", 125) {
			t.Errorf("got a pong with %q", got)
		}
	})
}

// readPong reads a pong, masked or not.
func readPong(t *testing.T, peer net.Conn) string {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(peer, head); err != nil || head[0] != fin|pong {
		t.Fatalf("got a frame with %x, %v, want a pong", head, err)
	}
	var key [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(peer, key[:]); err != nil {
			t.Fatal(err)
		}
	}
	payload := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(peer, payload); err != nil {
		t.Fatal(err)
	}
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return string(payload)
}

func TestAFloodOfPingsStopsNothing(t *testing.T) {
	ends(t, func(t *testing.T, ours, peer net.Conn, masked bool) {
		for range 5000 { // whose answers nobody reads
			io.WriteString(peer, fromPeer(masked, fin|ping, strings.Repeat("x", 125)))
		}
		io.WriteString(peer, fromPeer(masked, fin|binary, "data"))
		got := make([]byte, 4)
		if _, err := io.ReadFull(ours, got); string(got) != "data" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		start := time.Now()
		ours.SetWriteDeadline(start.Add(time.Second))
		var err error
		for err == nil {
			_, err = ours.Write(make([]byte, 1000))
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("the write deadline took %v: %v", took, err)
		}
		start = time.Now()
		ours.Close()
		if took := time.Since(start); took > closeGrace {
			t.Errorf("close took %v", took)
		}
	})
}

// Run it under the race detector.
func TestEverythingAtOnce(t *testing.T) {
	for round := range 8 {
		synctest.Test(t, func(t *testing.T) {
			client, srv := pair(t, nil)
			var all sync.WaitGroup
			for _, nc := range []net.Conn{client, srv} {
				for n := range 3 {
					all.Go(func() {
						for {
							if _, err := nc.Write(bytes.Repeat([]byte{byte(n + 1)}, 1000*(n+1))); err != nil {
								return
							}
							time.Sleep(100 * time.Microsecond)
						}
					})
				}
				all.Go(func() { // until there is no more, whatever the deadlines
					for errors.Is(second(io.Copy(io.Discard, nc)), os.ErrDeadlineExceeded) {
						time.Sleep(time.Millisecond)
					}
				})
				all.Go(func() {
					for i := range 50 {
						nc.SetReadDeadline(time.Now().Add(time.Duration(i%3-1) * time.Millisecond))
						nc.SetWriteDeadline(time.Now().Add(time.Hour))
						time.Sleep(time.Millisecond)
					}
					nc.SetDeadline(time.Time{})
					if round%2 == 0 || nc == client {
						nc.Close()
					}
				})
			}
			all.Wait()
		})
	}
}

func TestBordersDoNotDependOnTheChunks(t *testing.T) {
	all := frame(fin|binary, "abc") + frame(binary, strings.Repeat("x", 300)) + frame(fin|ping, "") +
		frame(fin|cont, strings.Repeat("y", 1<<16)) + "\x82\x03abc" + "\x02\x7e\x00\x00"
	var want borders
	want.pass([]byte(all), true)
	if !want.within() || !want.message || want.left != 0 || want.n != 0 {
		t.Fatalf("at the end: %+v", want)
	}
	for _, size := range []int{1, 2, 3, 5, 7, 100, 4096} {
		var got borders
		for rest := []byte(all); len(rest) > 0; {
			k := min(size, len(rest))
			if n, ok := got.pass(rest[:k], true); n != k || !ok {
				t.Fatalf("passed %d of %d, %t", n, k, ok)
			}
			rest = rest[k:]
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in chunks of %d: %+v, want %+v", size, got, want)
		}
	}
}
