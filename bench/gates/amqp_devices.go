package main

import (
	"context"
	"fmt"
	"runtime"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/sas"
)

// multiplexer is a connection that many devices share.
type multiplexer interface {
	add(hubwire.Identity) error // a device
	attach() error              // the links of all
	up() int                    // how many devices have all of their links
	close()
}

// multiplexerRole holds as many devices as it is told on one connection. First there are some on another, which is
// closed: see holder.
func multiplexerRole(s setup, open func() (multiplexer, error)) (*actor, error) {
	of := func(devices int) (multiplexer, error) {
		m, err := open()
		for i := 0; i < devices && err == nil; i++ {
			err = m.add(fleetDevice(int64(i)))
		}
		if err != nil {
			return nil, err
		}
		return m, m.attach()
	}
	warm, err := of(s.WarmUp)
	if err != nil {
		return nil, err
	}
	warm.close()
	warm = nil
	settleDown()
	var m multiplexer
	return &actor{
		run: func(n int) (err error) {
			m, err = of(n)
			settleDown()
			return err
		},
		count: func() int64 {
			if m == nil {
				return 0
			}
			return int64(m.up())
		},
	}, nil
}

// bareDevices are devices on go-amqp alone: a session for each, so that one that fails leaves the others alone, and
// one pair of links to show the tokens of all.
type bareDevices struct {
	s       setup
	conn    *goamqp.Conn
	tokens  *goamqp.Sender
	answers *goamqp.Receiver
	others  int // goroutines that are not of a device
	devices int
	links   []any
}

func bareDevicesRole(s setup) (*actor, error) {
	return multiplexerRole(s, func() (multiplexer, error) { return s.newBareDevices() })
}

func (s setup) newBareDevices() (*bareDevices, error) {
	ctx := context.Background()
	b := &bareDevices{s: s, others: runtime.NumGoroutine()}
	var err error
	if b.conn, err = s.goamqpConn(ctx, goamqp.SASLTypeAnonymous()); err != nil {
		return nil, err
	}
	session, err := b.conn.NewSession(ctx, nil)
	if err != nil {
		return nil, err
	}
	if b.tokens, err = session.NewSender(ctx, "$cbs", nil); err != nil {
		return nil, err
	}
	b.answers, err = session.NewReceiver(ctx, "$cbs", nil)
	b.others += 2 + 1 + 2 // the connection's, the session's, the links'
	return b, err
}

// add shows the token of a device, and attaches its links.
func (b *bareDevices) add(id hubwire.Identity) error {
	ctx := context.Background()
	if err := b.put(ctx, id); err != nil {
		return err
	}
	session, err := b.conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	for _, kind := range kinds[:b.s.Links] {
		link, err := attach(ctx, session, kind, id)
		if err != nil {
			return fmt.Errorf("%v of %v: %w", kind, id, err)
		}
		b.links = append(b.links, link)
	}
	b.devices++
	if b.s.Links < len(kinds) {
		return nil
	}
	return getTwin(ctx, b.links[len(b.links)-2].(*goamqp.Receiver), b.links[len(b.links)-1].(*goamqp.Sender))
}

// getTwin uses the links of the twin once, as a device client does to have them attached.
func getTwin(ctx context.Context, responses *goamqp.Receiver, requests *goamqp.Sender) error {
	var request goamqp.Message
	if err := request.UnmarshalBinary(amqp.AppendTwinRequest(nil, &amqp.TwinRequest{ID: amqp.String("1").Value(), Operation: amqp.TwinGet})); err != nil {
		return err
	}
	if err := requests.Send(ctx, &request, nil); err != nil {
		return err
	}
	response, err := responses.Receive(ctx, nil)
	if err != nil {
		return err
	}
	if status := response.Annotations[amqp.KeyTwinStatus]; status != int32(200) {
		return fmt.Errorf("the twin is answered with %v", status)
	}
	return responses.AcceptMessage(ctx, response)
}

// attach has nothing to do: add has done it.
func (b *bareDevices) attach() error { return nil }

func attach(ctx context.Context, session *goamqp.Session, kind amqp.Node, id hubwire.Identity) (link any, err error) {
	address := (amqp.Address{Node: kind, Identity: id}).String()
	properties := map[string]any{amqp.LinkAPIVersion: "2021-04-12"}
	switch kind {
	case amqp.MethodRequests, amqp.MethodResponses:
		properties[amqp.LinkChannel] = "methods:" + id.DeviceID
	case amqp.TwinRequests, amqp.TwinResponses:
		properties[amqp.LinkChannel] = "twin:" + id.DeviceID
	}
	switch kind {
	case amqp.Telemetry, amqp.MethodResponses, amqp.TwinRequests:
		return session.NewSender(ctx, address, &goamqp.SenderOptions{Properties: properties})
	}
	return session.NewReceiver(ctx, address, &goamqp.ReceiverOptions{Properties: properties})
}

// put shows a token.
func (b *bareDevices) put(ctx context.Context, id hubwire.Identity) error {
	token, err := b.s.tokenOf(id)
	if err != nil {
		return err
	}
	request := goamqp.Message{
		Value:      token,
		Properties: &goamqp.MessageProperties{MessageID: uint64(b.devices)},
		ApplicationProperties: map[string]any{
			"operation": amqp.PutTokenOperation, "type": amqp.SASTokenType, "name": sas.Audience(b.s.Door.Host, id),
		},
	}
	if err := b.tokens.Send(ctx, &request, nil); err != nil {
		return err
	}
	answer, err := b.answers.Receive(ctx, nil)
	if err != nil {
		return err
	}
	if status := answer.ApplicationProperties["status-code"]; status != int32(200) {
		return fmt.Errorf("the token of %v is answered with %v", id, status)
	}
	return b.answers.AcceptMessage(ctx, answer)
}

// up goes by the goroutines: go-amqp has one for each session and for each link that is up.
func (b *bareDevices) up() int {
	if runtime.NumGoroutine() < b.others+b.devices*(1+b.s.Links) {
		return 0
	}
	return b.devices
}

func (b *bareDevices) close() { b.conn.Close() }
