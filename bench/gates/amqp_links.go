package main

import (
	"fmt"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

// gateway is a client with the links of many devices on one connection, each device with a token of
// its own. go-amqp would do, but takes 70 KiB for a link.
type gateway struct {
	peer  *amqpPeer
	s     setup
	links int64
}

// kinds are the links of a device, of which each has some, in this order.
var kinds = []amqp.Node{amqp.Telemetry, amqp.C2D, amqp.MethodRequests, amqp.MethodResponses, amqp.TwinResponses, amqp.TwinRequests}

// gatewayRole attaches as many links as it is told, of as many devices as s says, and holds them.
func gatewayRole(s setup) (*actor, error) {
	warm, err := s.newGateway()
	if err != nil {
		return nil, err
	}
	if err := warm.attach(s.WarmUp); err != nil {
		return nil, err
	}
	warm.peer.nc.Close()
	g, err := s.newGateway()
	if err != nil {
		return nil, err
	}
	return &actor{run: g.attach, count: g.count}, nil
}

func (s setup) newGateway() (*gateway, error) {
	p, err := s.dialAMQP()
	return &gateway{peer: p, s: s}, err
}

// attach attaches n links, the same number for each device but for what is left over.
func (g *gateway) attach(n int) error {
	each := (n + g.s.Devices - 1) / g.s.Devices
	if each > len(kinds) {
		return fmt.Errorf("%d links for each of %d devices: there are %d kinds", each, g.s.Devices, len(kinds))
	}
	for i := 0; n > 0; i++ {
		of := min(each, n)
		if err := g.device(i, kinds[:of]); err != nil {
			return err
		}
		n -= of
	}
	return nil
}

// device puts the token of a device, and attaches its links.
func (g *gateway) device(i int, kinds []amqp.Node) error {
	id := fleetDevice(int64(i))
	token, err := g.s.tokenOf(id)
	if err != nil {
		return err
	}
	p := g.peer
	p.put(uint32(i), sas.Audience(g.s.host(), id), token)
	if err := p.answered(); err != nil {
		return err
	}
	for _, kind := range kinds {
		address, handle := (amqp.Address{Node: kind, Identity: id}).String(), firstHandle+uint32(g.links)
		switch kind {
		case amqp.Telemetry, amqp.MethodResponses, amqp.TwinRequests:
			p.sendTo(address, handle)
		default:
			p.receiveFrom(address, handle, window, amqp10.Value{})
		}
		g.links++
	}
	for range kinds {
		f, err := p.await(amqp10.DescAttach)
		if err != nil {
			return err
		}
		var a amqp10.Attach
		if err := a.Parse(f.Body()); err != nil {
			return err
		}
		if !a.Source.Valid || !a.Target.Valid {
			return fmt.Errorf("the link of %v is refused", id)
		}
	}
	return nil
}

// count returns how many links are up: all of them, when the hub still answers and has not said otherwise.
func (g *gateway) count() int64 {
	p := g.peer
	p.say(amqp10.FrameAMQP, &amqp10.Flow{
		NextIncomingID: amqp10.Some[uint32](1), IncomingWindow: plenty, OutgoingWindow: plenty, Echo: amqp10.Some(true),
	})
	for {
		f, err := p.next()
		if err != nil || amqp10.PeekDescriptor(f.Body()) == amqp10.DescDetach {
			return 0
		}
		var answer amqp10.Flow
		if answer.Parse(f.Body()) == nil && !answer.Handle.Valid {
			return g.links
		}
	}
}
