package main

import (
	"bytes"

	mochi "github.com/mochi-mqtt/server/v2/packets"

	"github.com/hubwire/hubwire/mqtt"
)

// pubackRows are for information.
func pubackRows() ([]*row, error) {
	w := &pubackWork{
		ours:  mqtt.Puback{ID: publishID},
		mochi: mochi.Packet{FixedHeader: mochi.FixedHeader{Type: mochi.Puback}, PacketID: publishID, ProtocolVersion: 4},
		buf:   newSpace(4), mochiTo: newSpace(4), reader: bytes.NewReader(nil),
	}
	w.wire = placed(w.ours.AppendTo(nil))
	return []*row{
		{
			name:  "PUBACK, encode",
			floor: memcpyWork(w.wire),
			peer:  &work{name: "mochi", run: w.encodeMochi},
			ours:  &work{run: w.encode},
		},
		{
			name:  "PUBACK, decode",
			floor: memcpyWork(w.wire),
			peer:  &work{name: "mochi", run: w.decodeMochi},
			ours:  &work{run: w.decode},
		},
	}, w.check()
}

type pubackWork struct {
	wire  []byte
	ours  mqtt.Puback
	mochi mochi.Packet

	buf     *space
	mochiTo *space
	reader  *bytes.Reader
}

func (w *pubackWork) check() error {
	var c checker
	var buf bytes.Buffer
	c.ok("PUBACK of mochi", w.mochi.PubackEncode(&buf))
	c.equal("PUBACK of mochi", buf.Bytes(), w.wire)
	got, err := mqtt.ParsePuback(w.wire)
	c.ok("PUBACK read", err)
	c.equal("PUBACK read", got, w.ours)
	var read mochi.Packet
	c.ok("PUBACK read by mochi", readMochi(bytes.NewReader(w.wire), &read))
	c.equal("PUBACK read by mochi", read.PacketID, publishID)
	return c.err
}

func (w *pubackWork) encode(n int) {
	p, dst := w.ours, w.buf.next()
	for range n {
		dst = p.AppendTo(dst[:0])
	}
	sink.bytes = dst
}

func (w *pubackWork) decode(n int) {
	wire, sum := w.wire, 0
	for range n {
		p, err := mqtt.ParsePuback(wire)
		if err != nil {
			return
		}
		sum += int(p.ID)
	}
	sink.n = sum
}

func (w *pubackWork) encodeMochi(n int) {
	buf := bytes.NewBuffer(w.mochiTo.next())
	for range n {
		buf.Reset()
		w.mochi.PubackEncode(buf)
	}
}

func (w *pubackWork) decodeMochi(n int) {
	var p mochi.Packet
	for range n {
		w.reader.Reset(w.wire)
		readMochi(w.reader, &p)
	}
	sink.n = int(p.PacketID)
}
