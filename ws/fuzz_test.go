package ws

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzPeer sends anything at all to either end of a tunnel: reading ends, when the peer does at the latest, with one
// of the errors that there are, and what was read is no more than what came.
func FuzzPeer(f *testing.F) {
	for _, s := range []string{
		frame(fin|binary, "abc") + frame(fin|closed, "\x03\xe8"),
		"\x82\x03abc\x88\x02\x03\xe9",
		frame(binary, "ab") + frame(fin|ping, "p") + frame(fin|cont, "cd"),
		"\x02\x01a\x89\x00\x80\x01b",
		frame(fin|binary, strings.Repeat("x", 300)),
		frame(fin|text, "abc"), "\x81\x03abc",
		"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
		frame(fin|closed, "\x0f\xa0bye"), "\x88\x01x", "\x8a\x7e\x00\x7e",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		for name, tunnel := range map[string]func(testing.TB) (net.Conn, net.Conn){
			"server": func(t testing.TB) (net.Conn, net.Conn) { peer, ours := rawTunnel(t); return ours, peer },
			"client": func(t testing.TB) (net.Conn, net.Conn) { return rawServer(t) },
		} {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := tunnel(t)
				go io.Copy(io.Discard, peer)
				go func() {
					peer.Write(sent)
					peer.(interface{ CloseWrite() error }).CloseWrite()
				}()
				start := time.Now()
				got, err := io.ReadAll(ours)
				if len(got) > len(sent) || time.Since(start) > closeGrace {
					t.Errorf("%s: %d bytes of %d after %v", name, len(got), len(sent), time.Since(start))
				}
				var ce *CloseError
				if err != nil && !errors.As(err, &ce) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrTextFrame) {
					t.Errorf("%s: %v", name, err)
				}
				ours.Close()
			})
		}
	})
}
