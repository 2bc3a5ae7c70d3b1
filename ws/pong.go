package ws

import (
	"bytes"
	"context"
	"crypto/rand"
)

// pinged takes a ping from the library. That would answer it itself, wait no
// more than five seconds for a Write that is at work, and then give the
// connection up: a large message on a slow line would not survive a ping. And
// it would not read on while it waits.
func (c *conn) pinged(_ context.Context, payload []byte) (answer bool) {
	owed := bytes.Clone(payload)
	c.owed.Store(&owed)
	c.pongs.Go(c.pong)
	return false
}

// pong answers the latest ping (RFC 6455 section 5.5.3). While something is being
// written it does nothing: whoever writes calls it when done.
func (c *conn) pong() {
	for c.owed.Load() != nil {
		select {
		case c.frames <- struct{}{}:
		default:
			return
		}
		if owed := c.owed.Swap(nil); owed != nil {
			_, _ = c.raw.Write(appendPong(nil, *owed, c.tap.client)) // when it fails, so will others
		}
		<-c.frames
	}
}

const opPong = 0x0a

// appendPong appends a pong, masked when it is a client's. The payload has at
// most 125 bytes.
func appendPong(dst, payload []byte, client bool) []byte {
	if !client {
		dst = append(dst, frameFin|opPong, byte(len(payload)))
		return append(dst, payload...)
	}
	var key [4]byte
	rand.Read(key[:])
	dst = append(dst, frameFin|opPong, frameMasked|byte(len(payload)))
	dst = append(dst, key[:]...)
	for i, b := range payload {
		dst = append(dst, b^key[i%len(key)])
	}
	return dst
}
