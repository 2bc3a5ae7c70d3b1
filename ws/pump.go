package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/coder/websocket"
)

// pump brings the messages' bytes to Read until there are no more, says why,
// and closes the connection.
func (c *conn) pump() {
	defer close(c.pumped)
	err := c.explain(c.readMessages())
	c.mu.Lock()
	c.err = err
	c.changed.Broadcast()
	byUser := c.closed
	c.mu.Unlock()

	defer c.cutAfterGrace()()
	defer c.pongs.Wait()
	switch {
	case byUser:
		_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // the library waits for an answer
		_ = c.ws.Close(websocket.StatusNormalClosure, "")
	case errors.Is(err, ErrTextFrame):
		_ = c.raw.SetReadDeadline(time.Now().Add(closeGrace))
		_ = c.ws.Close(websocket.StatusUnsupportedData, "binary only")
	default:
		_ = c.ws.CloseNow()
	}
}

// readMessages ends with the library's error, or nil when Close was called.
func (c *conn) readMessages() error {
	buf := make([]byte, readAhead)
	for {
		kind, r, err := c.ws.Reader(context.Background())
		if err != nil {
			return err
		}
		if kind != websocket.MessageBinary {
			return ErrTextFrame
		}
		for err == nil {
			var n int
			n, err = r.Read(buf)
			if err != nil {
				c.tap.borders.unmask(buf[:n]) // the library leaves it on what came of a frame that is cut short
			}
			if n > 0 && !c.offer(buf[:n]) {
				return nil
			}
		}
		// A message ends with io.EOF. So may a stream that is cut within one,
		// which the next Reader then complains about.
		if !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// offer leaves b to Read and waits until it is taken; false means Close was called.
func (c *conn) offer(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = b
	c.changed.Broadcast()
	for len(c.buf) > 0 && !c.closed {
		c.changed.Wait()
	}
	return !c.closed
}

// explain turns the library's error into what Read gives.
func (c *conn) explain(err error) error {
	var frame websocket.CloseError
	switch {
	case c.isClosed():
		return net.ErrClosed
	case errors.Is(err, ErrTextFrame):
		return ErrTextFrame
	case errors.As(err, &frame):
		switch frame.Code {
		case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
			return io.EOF
		}
		return &CloseError{Status: int(frame.Code), Reason: frame.Reason}
	}
	switch end := c.tap.end; {
	case errors.Is(end, io.EOF) && c.tap.borders.within():
		return io.ErrUnexpectedEOF
	case errors.Is(end, io.EOF):
		return io.EOF
	case end != nil:
		return fmt.Errorf("ws: read: %w", end)
	}
	return fmt.Errorf("%w: %w", ErrProtocol, err)
}
