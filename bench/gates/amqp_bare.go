package main

import (
	"fmt"
	"net"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// The do-nothing sender is the least that a server can be which a receiver of AMQP takes for one: it says what
// the receiver wants to hear, and then writes frames that are ready, as many as there is credit for. The
// frames are a hub's own, of its events.

// bareRole begins with reading them.
func bareRole(s setup) (*actor, error) {
	frames, err := s.recordEvents()
	if err != nil {
		return nil, err
	}
	d, err := listen(func(nc net.Conn) { (&bareSender{peer: newAMQPPeer(nc), frames: frames}).serve() })
	d.Host, d.Service, d.Uncounted = s.Door.Host, s.Door.Service, true
	return &actor{door: d}, err
}

// recordEvents reads as many events from a hub as a receiver gives credit for, as frames. The first ones are left
// out, since a low delivery-id makes a frame shorter.
func (s setup) recordEvents() ([][]byte, error) {
	const first = 256
	p, err := s.dialAMQP()
	if err != nil {
		return nil, err
	}
	defer p.nc.Close()
	host, token, err := s.serviceToken()
	if err != nil {
		return nil, err
	}
	p.put(0, host, token)
	if err := p.answered(); err != nil {
		return nil, err
	}
	p.receiveFrom(partitionAddress(s.Door.Host), firstHandle, first+readCredit, amqp10.ValueOf((amqp.Start{}).AppendFilter(nil)))
	if _, err := p.await(amqp10.DescAttach); err != nil {
		return nil, err
	}
	var frames [][]byte
	for range first + readCredit {
		f, err := p.await(amqp10.DescTransfer)
		if err != nil {
			return nil, err
		}
		var t amqp10.Transfer
		message, err := t.Parse(f.Body())
		if err != nil {
			return nil, err
		}
		if t.Handle != firstHandle || !t.Settled.Or(false) {
			return nil, fmt.Errorf("the hub's transfer is on handle %d, settled %v", t.Handle, t.Settled)
		}
		t.Handle = 0
		frames = append(frames, appendTransfer(nil, &t, message))
	}
	return frames[first:], nil
}

func appendTransfer(dst []byte, t *amqp10.Transfer, message []byte) []byte {
	at := len(dst)
	return amqp10.CloseFrame(append(t.AppendTo(amqp10.OpenFrame(dst, amqp10.FrameAMQP, 0)), message...), at)
}

// bareSender is one connection. It has one link at a time.
type bareSender struct {
	peer   *amqpPeer
	frames [][]byte
	next   int // of frames

	attached bool
	sent     uint32 // on the link
	limit    uint32 // how many the receiver has given credit for, since the link began
}

// serve speaks until the receiver is gone, or says what is not in the script.
func (b *bareSender) serve() {
	if b.login() != nil {
		return
	}
	for {
		f, err := b.peer.next()
		if err != nil || !b.answer(f.Body()) {
			return
		}
		b.deliver()
	}
}

// login goes through the SASL layer.
func (b *bareSender) login() error {
	p := b.peer
	if _, err := p.header(); err != nil {
		return err
	}
	p.out = amqp10.AppendProtocol(p.out, amqp10.ProtocolSASL)
	p.say(amqp10.FrameSASL, &amqp10.SASLMechanisms{Mechanisms: amqp10.ValueOf(amqp10.AppendSymbolArray(nil, "PLAIN"))})
	if _, err := p.next(); err != nil {
		return err
	}
	p.say(amqp10.FrameSASL, &amqp10.SASLOutcome{})
	if _, err := p.header(); err != nil {
		return err
	}
	p.out = amqp10.AppendProtocol(p.out, amqp10.ProtocolAMQP)
	return nil
}

// answer acts on a frame.
func (b *bareSender) answer(body []byte) bool {
	p := b.peer
	switch amqp10.PeekDescriptor(body) {
	case amqp10.DescOpen:
		p.say(amqp10.FrameAMQP, &amqp10.Open{ContainerID: []byte("bare"), MaxFrameSize: amqp10.Some[uint32](readSize)})
	case amqp10.DescBegin:
		p.say(amqp10.FrameAMQP, &amqp10.Begin{RemoteChannel: amqp10.Some[uint16](0), NextOutgoingID: 1, IncomingWindow: plenty, OutgoingWindow: plenty})
	case amqp10.DescAttach:
		var a amqp10.Attach
		if a.Parse(body) != nil {
			return false
		}
		a.Role, a.Handle, a.InitialDeliveryCount = amqp10.RoleSender, 0, amqp10.Some[uint32](0)
		p.say(amqp10.FrameAMQP, &a)
		b.attached, b.sent, b.limit = true, 0, 0
	case amqp10.DescFlow:
		var f amqp10.Flow
		if f.Parse(body) != nil {
			return false
		}
		if f.LinkCredit.Valid && b.attached { // go-amqp may send one behind its detach
			b.limit = f.DeliveryCount.Or(0) + f.LinkCredit.Value
		}
	case amqp10.DescDetach:
		b.attached = false
		p.say(amqp10.FrameAMQP, &amqp10.Detach{Closed: amqp10.Some(true)})
	default:
		return false
	}
	return true
}

// deliver adds what there is credit for to what is written next.
func (b *bareSender) deliver() {
	for ; b.sent != b.limit; b.sent++ {
		b.peer.out = append(b.peer.out, b.frames[b.next]...)
		b.next = (b.next + 1) % len(b.frames)
	}
}
