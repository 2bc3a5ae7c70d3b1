package faults_test

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// parser finds the frames of AMQP in what one side of a connection says.
type parser struct {
	webSocket bool         // that the frames are in
	raw       func([]byte) // gets what belongs to the WebSocket alone; or nil
	frame     func([]byte) // gets a protocol header or a frame

	upgraded bool
	socket   []byte // not whole yet
	stream   []byte // likewise
}

// take goes on with b.
func (p *parser) take(b []byte) {
	if p.webSocket {
		p.socket = append(p.socket, b...)
		p.unwrap()
	} else {
		p.stream = append(p.stream, b...)
	}
	for {
		n := p.whole()
		if n == 0 {
			p.stream = slices.Clone(p.stream)
			return
		}
		p.frame(p.stream[:n:n])
		p.stream = p.stream[n:]
	}
}

// whole returns how long the first header or frame is, 0 when it is not whole.
func (p *parser) whole() int {
	if bytes.HasPrefix(p.stream, []byte("AMQP")) && len(p.stream) >= amqp10.ProtocolHead {
		return amqp10.ProtocolHead
	}
	f, _, err := amqp10.SplitFrame(p.stream, 1<<30)
	if err != nil {
		return len(p.stream) // no AMQP any more
	}
	return len(f)
}

// unwrap goes on with what is whole of the WebSocket.
func (p *parser) unwrap() {
	if !p.upgraded {
		end := []byte("\r\n\r\n")
		i := bytes.Index(p.socket, end)
		if i < 0 {
			return
		}
		p.pass(i + len(end))
		p.upgraded = true
	}
	for {
		head, size := socketFrame(p.socket)
		if head == 0 || len(p.socket) < head+size {
			return
		}
		if p.socket[0]&0xf > 2 {
			p.pass(head + size)
			continue
		}
		payload := slices.Clone(p.socket[head : head+size])
		if p.socket[1]&0x80 != 0 {
			for i := range payload {
				payload[i] ^= p.socket[head-4+i%4]
			}
		}
		p.stream = append(p.stream, payload...)
		p.socket = p.socket[head+size:]
	}
}

func (p *parser) pass(n int) {
	if p.raw != nil {
		p.raw(p.socket[:n])
	}
	p.socket = p.socket[n:]
}

// socketFrame returns how long the head of a WebSocket's frame is, 0 when it is not whole, and its payload.
func socketFrame(b []byte) (head, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	head, size = 2, int(b[1]&0x7f)
	switch size {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	if len(b) < head {
		return 0, 0
	}
	switch size {
	case 126:
		size = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		size = int(binary.BigEndian.Uint64(b[2:]))
	}
	if b[1]&0x80 != 0 {
		head += 4
	}
	return head, size
}

// appendSocketFrame appends a hub's binary frame with that payload.
func appendSocketFrame(dst, payload []byte) []byte {
	dst = append(dst, 0x82)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}
