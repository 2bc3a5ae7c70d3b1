package main

import (
	"context"
	"io"

	"github.com/hubwire/hubwire/mqtt"
)

// One at a time: the next message goes when the last one is acknowledged.

// serialRawRole writes a packet that is ready and reads four bytes.
func serialRawRole(s setup) (*actor, error) {
	nc, err := s.dialMQTT()
	if err != nil {
		return nil, err
	}
	packet, ack, acked := publishBatches(publishTopic, 1)[0][:wireSize], make([]byte, ackSize), int64(0)
	return &actor{count: func() int64 { return acked }, run: func(n int) error {
		for range n {
			if _, err := nc.Write(packet); err != nil {
				return err
			}
			if _, err := io.ReadFull(nc, ack); err != nil {
				return err
			}
			acked++
		}
		return nil
	}}, nil
}

// serialSessionRole publishes in the same way.
func serialSessionRole(s setup) (*actor, error) {
	session, err := newSession(s.sessionDial(), ownID(), &mqtt.SessionOptions{CleanSession: true})
	if err != nil {
		return nil, err
	}
	p, acked := telemetry(), int64(0)
	return &actor{count: func() int64 { return acked }, run: func(n int) error {
		for range n {
			if err := session.Publish(context.Background(), p); err != nil {
				return err
			}
			acked++
		}
		return nil
	}}, nil
}
