package main

import (
	"bytes"
	"fmt"
	"io"

	paho "github.com/eclipse/paho.mqtt.golang/packets"
	mochi "github.com/mochi-mqtt/server/v2/packets"

	"github.com/hubwire/hubwire/mqtt"
)

// publishRows: the peer is mochi's server, the quickest of the others; paho's
// rows are for information.
func publishRows() ([]*row, error) {
	small, err := newPublishWork(256)
	if err != nil {
		return nil, err
	}
	big, err := newPublishWork(4096)
	if err != nil {
		return nil, err
	}
	return []*row{
		{
			name:  "PUBLISH 256 B, encode",
			floor: memcpyWork(small.wire),
			peer:  &work{name: "mochi", run: small.encodeMochi},
			ours:  &work{run: small.encode},
			gates: []bound{atLeast(6)}, targets: []bound{atMost(1.25)},
		},
		{
			name:  "PUBLISH 4 KiB, encode",
			floor: memcpyWork(big.wire),
			peer:  &work{name: "mochi", run: big.encodeMochi},
			ours:  &work{run: big.encode},
			gates: []bound{atLeast(2.2)}, targets: []bound{atMost(1.25)},
		},
		{
			name:  "PUBLISH 256 B, decode as a checked view",
			floor: memcpyWork(small.wire),
			peer:  &work{name: "mochi", run: small.decodeMochi},
			ours:  &work{run: small.decode},
			gates: []bound{atLeast(7)}, targets: []bound{atLeast(12)},
		},
		{
			name:  "PUBLISH 4 KiB, decode as a checked view",
			floor: &work{name: "ours, 256 B", run: small.decode},
			peer:  &work{name: "mochi", run: big.decodeMochi},
			ours:  &work{run: big.decode},
			gates: []bound{atMost(1.3)}, targets: []bound{atLeast(12)},
		},
		{
			name:  "PUBLISH 256 B, encode, against paho",
			floor: memcpyWork(small.wire),
			peer:  &work{name: "paho", run: small.encodePaho},
			ours:  &work{run: small.encode},
		},
		{
			name:  "PUBLISH 256 B, decode, against paho",
			floor: memcpyWork(small.wire),
			peer:  &work{name: "paho", run: small.decodePaho},
			ours:  &work{run: small.decode},
		},
	}, nil
}

// publishWork is one PUBLISH, as each of the three libraries has it.
type publishWork struct {
	wire  []byte
	ours  mqtt.Publish
	mochi mochi.Packet
	paho  *paho.PublishPacket

	buf     *space
	mochiTo *space
	reader  *bytes.Reader
}

func newPublishWork(size int) (*publishWork, error) {
	ours := mqtt.Publish{Topic: []byte(publishTopic), Payload: payload(size), ID: publishID, QoS: mqtt.AtLeastOnce}
	wire := placed(ours.AppendTo(nil))
	// Topic and payload stand in the packet, as those of one that came in do.
	ours.Payload = wire[len(wire)-size:]
	ours.Topic = wire[len(wire)-size-2-len(publishTopic):][:len(publishTopic)]
	w := &publishWork{
		wire: wire,
		ours: ours,
		mochi: mochi.Packet{
			FixedHeader: mochi.FixedHeader{Type: mochi.Publish, Qos: 1},
			TopicName:   publishTopic, Payload: ours.Payload, PacketID: publishID, ProtocolVersion: 4,
		},
		paho:    paho.NewControlPacket(paho.Publish).(*paho.PublishPacket),
		buf:     newSpace(len(wire)),
		mochiTo: newSpace(len(wire)),
		reader:  bytes.NewReader(nil),
	}
	w.paho.TopicName, w.paho.Payload, w.paho.MessageID, w.paho.Qos = publishTopic, ours.Payload, publishID, 1
	return w, w.check()
}

func (w *publishWork) check() error {
	var c checker
	c.ok("PUBLISH", w.ours.Check())
	c.equal("PUBLISH on the wire", len(w.wire), 78+len(w.ours.Payload))
	var buf bytes.Buffer
	c.ok("PUBLISH of mochi", w.mochi.PublishEncode(&buf))
	c.equal("PUBLISH of mochi", buf.Bytes(), w.wire)
	buf.Reset()
	c.ok("PUBLISH of paho", w.paho.Write(&buf))
	c.equal("PUBLISH of paho", buf.Bytes(), w.wire)

	packet, rest, err := mqtt.Split(w.wire, 0)
	c.ok("PUBLISH split off", err)
	c.equal("what follows the PUBLISH", len(rest), 0)
	got, err := mqtt.ParsePublish(packet)
	c.ok("PUBLISH read", err)
	c.equal("PUBLISH read", got, w.ours)

	want := []any{publishTopic, string(w.ours.Payload), publishID, byte(1)}
	var m mochi.Packet
	c.ok("PUBLISH read by mochi", readMochi(bytes.NewReader(w.wire), &m))
	c.equal("PUBLISH read by mochi", []any{m.TopicName, string(m.Payload), m.PacketID, m.FixedHeader.Qos}, want)
	p, err := readPaho(bytes.NewReader(w.wire))
	c.ok("PUBLISH read by paho", err)
	if err == nil {
		c.equal("PUBLISH read by paho", []any{p.TopicName, string(p.Payload), p.MessageID, p.Qos}, want)
	}
	return c.err
}

func (w *publishWork) encode(n int) {
	p, dst := w.ours, w.buf.next()
	for range n {
		dst = p.AppendTo(dst[:0])
	}
	sink.bytes = dst
}

// decode takes the packet off what was read, and checks and views all of it.
func (w *publishWork) decode(n int) {
	wire, sum := w.wire, 0
	for range n {
		packet, _, err := mqtt.Split(wire, 0)
		if err != nil {
			return
		}
		p, err := mqtt.ParsePublish(packet)
		if err != nil {
			return
		}
		sum += int(p.ID) + len(p.Topic) + len(p.Payload)
	}
	sink.n = sum
}

func (w *publishWork) encodeMochi(n int) {
	buf := bytes.NewBuffer(w.mochiTo.next())
	for range n {
		buf.Reset()
		w.mochi.PublishEncode(buf)
	}
}

func (w *publishWork) decodeMochi(n int) {
	var p mochi.Packet
	for range n {
		w.reader.Reset(w.wire)
		readMochi(w.reader, &p)
	}
	sink.n = len(p.Payload)
}

// readMochi does what mochi's server does with a packet, but for a second copy
// of the body.
func readMochi(r *bytes.Reader, p *mochi.Packet) error {
	b, err := r.ReadByte()
	if err != nil {
		return err
	}
	*p = mochi.Packet{ProtocolVersion: 4}
	if err := p.FixedHeader.Decode(b); err != nil {
		return err
	}
	if p.FixedHeader.Remaining, _, err = mochi.DecodeLength(r); err != nil {
		return err
	}
	body := make([]byte, p.FixedHeader.Remaining)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	if p.FixedHeader.Type == mochi.Puback {
		return p.PubackDecode(body)
	}
	return p.PublishDecode(body)
}

func (w *publishWork) encodePaho(n int) {
	for range n {
		w.paho.Write(io.Discard)
	}
}

func (w *publishWork) decodePaho(n int) {
	for range n {
		w.reader.Reset(w.wire)
		p, err := readPaho(w.reader)
		if err != nil {
			return
		}
		sink.n = len(p.Payload)
	}
}

func readPaho(r io.Reader) (*paho.PublishPacket, error) {
	packet, err := paho.ReadPacket(r)
	if err != nil {
		return nil, err
	}
	p, ok := packet.(*paho.PublishPacket)
	if !ok {
		return nil, fmt.Errorf("it is a %T", packet)
	}
	return p, nil
}
