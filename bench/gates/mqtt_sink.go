package main

import (
	"encoding/binary"
	"net"
	"sync/atomic"
)

// Two servers that do as little as can be done, so that what a client costs is
// what shows. Both read as much as there is, and answer all of it in one write.

// readSize is the room for one read. A record of TLS has a quarter of it.
const readSize = 64 << 10

// sinkRole is a server that acknowledges MQTT, and does nothing else with it.
func sinkRole(setup) (*actor, error) {
	var messages atomic.Int64
	d, err := listen(func(nc net.Conn) { serveSink(nc, &messages) })
	return &actor{door: d, count: messages.Load}, err
}

// serveSink answers all packets that come in, and counts the messages. It reads
// no more of a packet than its length and its identifier.
func serveSink(nc net.Conn, messages *atomic.Int64) {
	answerAll(nc, func(in, out []byte) (rest, answers []byte, ok bool) {
		n := int64(0)
		for {
			size, head, whole := packetSize(in)
			if !whole {
				break
			}
			answers, counts, ok := acknowledge(out, in[:size], head)
			if !ok {
				messages.Add(n)
				return nil, out, false
			}
			out = answers
			if counts {
				n++
			}
			in = in[size:]
		}
		messages.Add(n)
		return in, out, true
	})
}

// floorRole is a server without MQTT: for each wireSize bytes it says four.
func floorRole(setup) (*actor, error) {
	var messages atomic.Int64
	ack := [4]byte{0x40, 2, 0, 7}
	d, err := listen(func(nc net.Conn) {
		answerAll(nc, func(in, out []byte) (rest, answers []byte, ok bool) {
			n := len(in) / wireSize
			for range n {
				out = append(out, ack[:]...)
			}
			messages.Add(int64(n))
			return in[n*wireSize:], out, true
		})
	})
	return &actor{door: d, count: messages.Load}, err
}

// answerAll reads until there is nothing more, or something that is not ok.
func answerAll(nc net.Conn, answer func(in, out []byte) (rest, answers []byte, ok bool)) {
	in, out, have := make([]byte, readSize), make([]byte, 0, readSize), 0
	for {
		n, err := nc.Read(in[have:])
		if err != nil {
			return
		}
		rest, answers, ok := answer(in[:have+n], out[:0])
		if len(answers) > 0 {
			if _, err := nc.Write(answers); err != nil {
				return
			}
		}
		if !ok || len(rest) == len(in) {
			return
		}
		have = copy(in, rest)
	}
}

// packetSize finds out how long the first packet of b is, and its fixed header.
func packetSize(b []byte) (size, head int, whole bool) {
	n := 0
	for i := 1; i < len(b) && i < 5; i++ {
		n |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			return 1 + i + n, 1 + i, 1+i+n <= len(b)
		}
	}
	return 0, 0, false
}

// acknowledge appends the answer to a packet. counts: it is a message.
func acknowledge(out, packet []byte, head int) (_ []byte, counts, ok bool) {
	body := packet[head:]
	switch packet[0] >> 4 {
	case 1: // CONNECT
		return append(out, 0x20, 2, 0, 0), false, true
	case 3: // PUBLISH
		if packet[0]&6 == 0 {
			return out, true, true
		}
		if len(body) < 2 {
			return nil, false, false
		}
		at := 2 + int(binary.BigEndian.Uint16(body))
		if len(body) < at+2 {
			return nil, false, false
		}
		return append(out, 0x40, 2, body[at], body[at+1]), true, true
	case 8: // SUBSCRIBE of one filter
		if len(body) < 2 {
			return nil, false, false
		}
		return append(out, 0x90, 3, body[0], body[1], 1), false, true
	case 12: // PINGREQ
		return append(out, 0xd0, 0), false, true
	}
	return nil, false, false // DISCONNECT, or what no client here sends
}
