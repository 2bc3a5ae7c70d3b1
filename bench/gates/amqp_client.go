package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/sas"
)

// Clients that are bare go-amqp, as who writes one against the documentation has them: SASL PLAIN, one
// link, and nothing else on the connection.

// goamqpConn connects go-amqp. It may be idle until its turn comes for longer than the do-nothing sender, which
// has no heartbeat, could be silent else.
func (s setup) goamqpConn(ctx context.Context, login goamqp.SASLType) (*goamqp.Conn, error) {
	nc, err := s.dial()
	if err != nil {
		return nil, err
	}
	return goamqp.NewConn(ctx, nc, &goamqp.ConnOptions{HostName: s.Door.Host, SASLType: login, IdleTimeout: -1})
}

// session is the one session of a connection.
func (s setup) session(ctx context.Context, user, password string) (*goamqp.Session, error) {
	conn, err := s.goamqpConn(ctx, goamqp.SASLTypePlain(user, password))
	if err != nil {
		return nil, err
	}
	return conn.NewSession(ctx, nil)
}

// goamqpSenderRole is a device that sends the telemetry of all these rows, with one producer that does not wait
// for the outcomes.
func goamqpSenderRole(s setup) (*actor, error) {
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	session, err := s.session(ctx, identity.DeviceID+"@sas."+s.Door.Host, token)
	if err != nil {
		return nil, err
	}
	link, err := session.NewSender(ctx, eventsAddress(identity.DeviceID), &goamqp.SenderOptions{
		SettlementMode: goamqp.SenderSettleModeUnsettled.Ptr(),
	})
	if err != nil {
		return nil, err
	}
	w := &goamqpWindow{link: link, message: goamqpTelemetry()}
	return &actor{run: w.send, count: func() int64 { return w.accepted }}, nil
}

func eventsAddress(device string) string { return "/devices/" + device + "/messages/events" }

// goamqpTelemetry is telemetryMessage for go-amqp.
func goamqpTelemetry() *goamqp.Message {
	m := goamqp.NewMessage(telemetryMessage.Body)
	m.Properties = &goamqp.MessageProperties{ContentType: &telemetryMessage.ContentType, ContentEncoding: &telemetryMessage.ContentEncoding}
	return m
}

// goamqpWindow keeps a window of messages that have no outcome yet.
type goamqpWindow struct {
	link     *goamqp.Sender
	message  *goamqp.Message
	receipts [window]goamqp.SendReceipt
	accepted int64
}

// send sends n, and waits for their outcomes.
func (w *goamqpWindow) send(n int) (err error) {
	ctx := context.Background()
	for sent, settled := 0, 0; settled < n; {
		if sent < n && sent-settled < window {
			if w.receipts[sent%window], err = w.link.SendWithReceipt(ctx, w.message, nil); err != nil {
				return err
			}
			sent++
			continue
		}
		state, err := w.receipts[settled%window].Wait(ctx)
		if err != nil {
			return err
		}
		if _, ok := state.(*goamqp.StateAccepted); !ok {
			return fmt.Errorf("a message was not accepted: %v", state)
		}
		settled++
		w.accepted++
	}
	return nil
}

const (
	loggedEvents = 50_000 // in the log that is read
	readCredit   = 1000
)

// goamqpReceiverRole reads the log of a hub from its beginning, as often as it takes.
func goamqpReceiverRole(s setup) (*actor, error) {
	cs, err := sas.ParseConnectionString(s.Door.Service)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	session, err := s.session(ctx, cs.SharedAccessKeyName, cs.SharedAccessKey.Reveal())
	if err != nil {
		return nil, err
	}
	var received int64
	return &actor{count: func() int64 { return received }, run: func(n int) error {
		for n > 0 {
			part := min(n, loggedEvents)
			got, err := receive(ctx, session, partitionAddress(s.Door.Host), part)
			received += int64(got)
			if err != nil {
				return err
			}
			n -= part
		}
		return nil
	}}, nil
}

// partitionAddress is where the events of a hub with one partition come from.
func partitionAddress(host string) string {
	hub, _, _ := strings.Cut(host, ".")
	return hub + "/ConsumerGroups/$Default/Partitions/0"
}

// receive reads n events from the beginning, on a link of its own.
func receive(ctx context.Context, session *goamqp.Session, source string, n int) (got int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	link, err := session.NewReceiver(ctx, source, &goamqp.ReceiverOptions{
		Credit: readCredit, RequestedSenderSettleMode: goamqp.SenderSettleModeSettled.Ptr(),
		Filters: []goamqp.LinkFilter{goamqp.NewSelectorFilter("amqp.annotation.x-opt-offset > '-1'")},
	})
	if err != nil {
		return 0, err
	}
	for ; got < n; got++ {
		m, err := link.Receive(ctx, nil)
		if err != nil {
			return got, err
		}
		if len(m.GetData()) != len(telemetryMessage.Body) {
			return got, fmt.Errorf("an event has %d bytes, want %d", len(m.GetData()), len(telemetryMessage.Body))
		}
	}
	return got, link.Close(ctx)
}
