package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/hubwire/hubwire/mqtt"
)

// sessionDial returns what connects the sessions with the server of s.
func (s setup) sessionDial() mqtt.DialFunc {
	return func(context.Context) (net.Conn, error) { return s.dial() }
}

// newSession starts a session.
func newSession(dial mqtt.DialFunc, id string, o *mqtt.SessionOptions) (*mqtt.Session, error) {
	login := func(context.Context) (mqtt.Login, error) { return mqtt.Login{ClientID: id}, nil }
	return mqtt.StartSession(context.Background(), dial, login, o)
}

func telemetry() *mqtt.Publish {
	return &mqtt.Publish{Topic: []byte(publishTopic), Payload: payload(256), QoS: mqtt.AtLeastOnce}
}

// sessionRole is one producer that does not wait for the acknowledgements.
func sessionRole(s setup) (*actor, error) {
	session, err := newSession(s.sessionDial(), identity.DeviceID, &mqtt.SessionOptions{Window: window, CleanSession: true})
	if err != nil {
		return nil, err
	}
	p, ctx, t := telemetry(), context.Background(), newTally()
	return &actor{count: t.count, run: func(n int) error {
		return t.wait(n, func() error { return session.PublishAsync(ctx, p, t.done) })
	}}, nil
}

// tally counts the acknowledgements of messages that are sent without waiting.
type tally struct {
	settled, failed atomic.Int64
	want            atomic.Int64 // of settled
	all             chan struct{}
	failure         atomic.Pointer[error]
	done            func(error) // for each message
}

func newTally() *tally {
	t := &tally{all: make(chan struct{}, 1)}
	t.done = func(err error) {
		if err != nil {
			t.fail(err)
		}
		if t.settled.Add(1) == t.want.Load() {
			t.all <- struct{}{}
		}
	}
	return t
}

func (t *tally) fail(err error) {
	t.failed.Add(1)
	t.failure.Store(&err)
}

func (t *tally) count() int64 { return t.settled.Load() - t.failed.Load() }

// wait calls send n times, and waits until done was called as often.
func (t *tally) wait(n int, send func() error) error {
	t.want.Add(int64(n))
	for range n {
		if err := send(); err != nil {
			return err
		}
	}
	<-t.all
	if err := t.failure.Load(); err != nil {
		return fmt.Errorf("%d messages failed: %w", t.failed.Load(), *err)
	}
	return nil
}
