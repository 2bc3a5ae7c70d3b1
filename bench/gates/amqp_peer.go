package main

import (
	"fmt"
	"net"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

// amqpPeer is an end of AMQP that goes by a script: it writes frames, of which
// several can go in one write, and looks at no more of what comes than it must.
type amqpPeer struct {
	nc  net.Conn
	out []byte // frames that wait
	in  []byte // room for what is read; what is between r and w is not taken yet
	r   int
	w   int
}

func newAMQPPeer(nc net.Conn) *amqpPeer { return &amqpPeer{nc: nc, in: make([]byte, readSize)} }

// performative is what a frame begins with.
type performative interface{ AppendTo([]byte) []byte }

// say adds a frame of the connection's one channel to what waits.
func (p *amqpPeer) say(t amqp10.FrameType, what performative, payload ...byte) {
	at := len(p.out)
	b := what.AppendTo(amqp10.OpenFrame(p.out, t, 0))
	p.out = amqp10.CloseFrame(append(b, payload...), at)
}

func (p *amqpPeer) flush() error {
	_, err := p.nc.Write(p.out)
	p.out = p.out[:0]
	return err
}

// fill reads once, behind what waits to be written.
func (p *amqpPeer) fill() error {
	if len(p.out) > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.w, p.r = copy(p.in, p.in[p.r:p.w]), 0
	n, err := p.nc.Read(p.in[p.w:])
	p.w += n
	if n > 0 {
		return nil
	}
	return err
}

// header reads a protocol header.
func (p *amqpPeer) header() (amqp10.Protocol, error) {
	for p.w-p.r < amqp10.ProtocolHead {
		if err := p.fill(); err != nil {
			return 0, err
		}
	}
	p.r += amqp10.ProtocolHead
	return amqp10.ParseProtocol(p.in[p.r-amqp10.ProtocolHead : p.r])
}

// next returns the next frame that has a body, up to the next call.
func (p *amqpPeer) next() (amqp10.Frame, error) {
	for {
		f, rest, err := amqp10.SplitFrame(p.in[p.r:p.w], readSize)
		if err != nil {
			return nil, err
		}
		if f == nil {
			if err := p.fill(); err != nil {
				return nil, err
			}
			continue
		}
		if p.r = p.w - len(rest); len(f.Body()) > 0 {
			return f, nil
		}
	}
}

// await returns the next frame that is one of these, and passes over flows and dispositions. Anything else is an error.
func (p *amqpPeer) await(what amqp10.Descriptor) (amqp10.Frame, error) {
	for {
		f, err := p.next()
		if err != nil {
			return nil, fmt.Errorf("waiting for %v: %w", what, err)
		}
		switch got := amqp10.PeekDescriptor(f.Body()); got {
		case what:
			return f, nil
		case amqp10.DescFlow, amqp10.DescDisposition:
		default:
			return nil, fmt.Errorf("waiting for %v: there is %v: %.200q", what, got, f.Body())
		}
	}
}

// Handles of a client's links. Those of a server are the same, as it counts them too.
const (
	tokensHandle  uint32 = iota // to $cbs
	answersHandle               // from it
	firstHandle                 // of what the client is for
)

// plenty is what a client that reads everything takes, in frames or messages.
const plenty = 1 << 30

// dialAMQP connects a client, which skips the SASL layer and has links to show tokens by.
func (s setup) dialAMQP() (*amqpPeer, error) {
	nc, err := s.dial()
	if err != nil {
		return nil, err
	}
	p := newAMQPPeer(nc)
	p.out = amqp10.AppendProtocol(p.out, amqp10.ProtocolAMQP)
	p.say(amqp10.FrameAMQP, &amqp10.Open{ContainerID: []byte(ownID()), Hostname: []byte(s.Door.Host), MaxFrameSize: amqp10.Some[uint32](readSize)})
	p.say(amqp10.FrameAMQP, &amqp10.Begin{IncomingWindow: plenty, OutgoingWindow: plenty})
	p.sendTo("$cbs", tokensHandle)
	p.receiveFrom("$cbs", answersHandle, plenty, amqp10.Value{})
	if _, err := p.header(); err != nil {
		return nil, err
	}
	for _, what := range []amqp10.Descriptor{amqp10.DescOpen, amqp10.DescBegin, amqp10.DescAttach, amqp10.DescAttach} {
		if _, err := p.await(what); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// sendTo attaches a link to send by.
func (p *amqpPeer) sendTo(target string, handle uint32) {
	p.say(amqp10.FrameAMQP, &amqp10.Attach{
		Name: linkName(handle), Handle: handle, Role: amqp10.RoleSender, InitialDeliveryCount: amqp10.Some[uint32](0),
		Source: amqp10.Some(amqp10.Source{}), Target: amqp10.Some(amqp10.Target{Address: text(target)}),
	})
}

// receiveFrom attaches a link to receive settled messages by, and gives it credit.
func (p *amqpPeer) receiveFrom(source string, handle, credit uint32, filter amqp10.Value) {
	p.say(amqp10.FrameAMQP, &amqp10.Attach{
		Name: linkName(handle), Handle: handle, Role: amqp10.RoleReceiver, SendMode: amqp10.Some(amqp10.SendSettled),
		Source: amqp10.Some(amqp10.Source{Address: text(source), Filter: filter}), Target: amqp10.Some(amqp10.Target{}),
	})
	p.say(amqp10.FrameAMQP, &amqp10.Flow{
		NextIncomingID: amqp10.Some[uint32](1), IncomingWindow: plenty, OutgoingWindow: plenty,
		Handle: amqp10.Some(handle), DeliveryCount: amqp10.Some[uint32](0), LinkCredit: amqp10.Some(credit),
	})
}

func linkName(handle uint32) []byte { return fmt.Appendf(nil, "link-%d", handle) }

func text(s string) amqp10.Value { return amqp10.ValueOf(amqp10.AppendString(nil, s)) }

// put sends a token by the first link. Its answer has to be awaited.
func (p *amqpPeer) put(id uint32, audience, token string) {
	p.say(amqp10.FrameAMQP, &amqp10.Transfer{
		Handle: tokensHandle, DeliveryID: amqp10.Some(id), DeliveryTag: fmt.Append(nil, id), Settled: amqp10.Some(true),
	}, amqp.AppendPutToken(nil, &amqp.PutToken{Type: amqp.SASTokenType, Name: audience, Token: sas.NewSecret(token)})...)
}

// answered waits for the answer to a put.
func (p *amqpPeer) answered() error {
	f, err := p.await(amqp10.DescTransfer)
	if err != nil {
		return err
	}
	var t amqp10.Transfer
	payload, err := t.Parse(f.Body())
	if err != nil {
		return err
	}
	m, err := amqp.ParseMessage(payload)
	if err != nil {
		return err
	}
	r, err := amqp.ParseResponse(&m)
	if err != nil {
		return err
	}
	return r.Err("put token")
}
