package main

import (
	"context"
	"fmt"

	"github.com/hubwire/hubwire/service"
)

// eventReaderRole reads the log of a hub from its beginning, as often as it takes, as goamqpReceiverRole does.
func eventReaderRole(s setup) (*actor, error) {
	cfg, err := s.Door.clientTLS()
	if err != nil {
		return nil, err
	}
	c, err := service.New(s.Door.Service, &service.Options{Dial: s.dialTCP, TLSConfig: cfg})
	if err != nil {
		return nil, err
	}
	var received int64
	return &actor{count: func() int64 { return received }, run: func(n int) error {
		for n > 0 {
			part := min(n, loggedEvents)
			got, err := readEvents(c, part)
			received += int64(got)
			if err != nil {
				return err
			}
			n -= part
		}
		return nil
	}}, nil
}

// readEvents reads n events from the beginning.
func readEvents(c *service.Client, n int) (got int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for e, err := range c.Events(ctx, &service.EventOptions{Prefetch: readCredit}) {
		if err != nil {
			return got, err
		}
		if len(e.Body) != len(telemetryMessage.Body) {
			return got, fmt.Errorf("an event has %d bytes, want %d", len(e.Body), len(telemetryMessage.Body))
		}
		if got++; got == n {
			break
		}
	}
	return got, nil
}
