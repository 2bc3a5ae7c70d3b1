package main

import (
	"sync/atomic"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// dialPaho connects a client of paho's, as it comes.
func (s setup) dialPaho(id string) (paho.Client, error) {
	o := paho.NewClientOptions().SetClientID(id).SetAutoReconnect(false)
	if s.TLS {
		cfg, err := s.Door.clientTLS()
		if err != nil {
			return nil, err
		}
		o.AddBroker("ssl://" + s.Door.TLS).SetTLSConfig(cfg)
	} else {
		o.AddBroker("tcp://" + s.Door.TCP)
	}
	c := paho.NewClient(o)
	t := c.Connect()
	t.Wait()
	return c, t.Error()
}

// pahoRole is one producer that does not wait for the acknowledgements. The
// window is its own: paho has none.
func pahoRole(s setup) (*actor, error) {
	c, err := s.dialPaho(identity.DeviceID)
	if err != nil {
		return nil, err
	}
	body := payload(256)
	var acked atomic.Int64
	return &actor{count: acked.Load, run: func(n int) error {
		sent := make(chan paho.Token, window)
		failed := make(chan error, 1)
		go func() {
			var failure error
			for t := range sent {
				if t.Wait(); t.Error() != nil && failure == nil {
					failure = t.Error()
				} else {
					acked.Add(1)
				}
			}
			failed <- failure
		}()
		for range n {
			sent <- c.Publish(publishTopic, 1, false, body)
		}
		close(sent)
		return <-failed
	}}, nil
}

// pahoSendersRole is many producers that each wait for every acknowledgement.
func pahoSendersRole(s setup) (*actor, error) {
	c, err := s.dialPaho(identity.DeviceID)
	if err != nil {
		return nil, err
	}
	body := payload(256)
	var acked atomic.Int64
	return &actor{count: acked.Load, run: func(n int) error {
		return together(senders, n, func() error {
			t := c.Publish(publishTopic, 1, false, body)
			if t.Wait(); t.Error() != nil {
				return t.Error()
			}
			acked.Add(1)
			return nil
		})
	}}, nil
}
