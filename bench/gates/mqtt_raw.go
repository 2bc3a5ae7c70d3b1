package main

import (
	"fmt"
	"io"
	"net"
	"os"

	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// A raw client has its packets ready, writes them in batches, and counts what
// comes back without looking at it: the ceiling of any client, not a usable one.

const (
	batch    = 180  // packets in a write
	window   = 1000 // packets without an acknowledgement
	wireSize = 334  // of the PUBLISH
	ackSize  = 4    // of the PUBACK
)

// rawClient is the client's end of one connection.
type rawClient struct {
	nc      net.Conn
	frames  [][]byte // batches
	next    int      // of them
	acks    [readSize]byte
	settled int64
}

// publishBatches encodes n batches of the PUBLISH, with identifiers from 1 up.
func publishBatches(topic string, n int) [][]byte {
	p := mqtt.Publish{Topic: []byte(topic), Payload: payload(256), QoS: mqtt.AtLeastOnce}
	var all [][]byte
	for range n {
		var b []byte
		for range batch {
			p.ID++
			b = p.AppendTo(b)
		}
		all = append(all, b)
	}
	return all
}

// floorClientRole is the socket floor: the same bytes both ways, and no MQTT.
func floorClientRole(s setup) (*actor, error) {
	nc, err := s.dial()
	if err != nil {
		return nil, err
	}
	return (&rawClient{nc: nc, frames: publishBatches(publishTopic, 1)}).actor(), nil
}

// rawClientRole speaks MQTT. An identifier comes again only when the window has
// gone past it.
func rawClientRole(s setup) (*actor, error) {
	nc, err := s.dialMQTT()
	if err != nil {
		return nil, err
	}
	return (&rawClient{nc: nc, frames: publishBatches(publishTopic, window/batch+1)}).actor(), nil
}

// dialMQTT connects and logs in.
func (s setup) dialMQTT() (net.Conn, error) {
	nc, err := s.dial()
	if err != nil {
		return nil, err
	}
	login := mqtt.Connect{ClientID: []byte(ownID()), CleanSession: true}
	if s.Door.Host != "" {
		login.ClientID = []byte(identity.DeviceID)
		if err := s.authorize(&login); err != nil {
			return nil, err
		}
	}
	if err := request(nc, login.AppendTo(nil), (&mqtt.Connack{}).AppendTo(nil)); err != nil {
		return nil, fmt.Errorf("CONNECT: %w", err)
	}
	return nc, nil
}

// ownID is a client id that no other process has: a broker lets go of a client when another comes by its name.
func ownID() string { return fmt.Sprintf("%s-%d", identity.DeviceID, os.Getpid()) }

// authorize says who connects in the way of IoT Hub.
func (s setup) authorize(login *mqtt.Connect) error {
	token, err := s.token()
	if err != nil {
		return err
	}
	login.UserName = topics.AppendUserName(nil, &topics.UserName{Host: s.Door.Host, Identity: identity, APIVersion: "2021-04-12"})
	login.Password = mqtt.NewSecret([]byte(token))
	return nil
}

func (c *rawClient) actor() *actor {
	return &actor{run: c.pipeline, count: func() int64 { return c.settled }}
}

// pipeline sends n, a batch whenever the window has room for one, and waits for
// their acknowledgements.
func (c *rawClient) pipeline(n int) error {
	for sent, acked := 0, 0; acked < n; {
		for k := min(batch, n-sent); k > 0 && sent+k-acked <= window; k = min(batch, n-sent) {
			if _, err := c.nc.Write(c.frames[c.next][:k*wireSize]); err != nil {
				return err
			}
			c.next = (c.next + 1) % len(c.frames)
			sent += k
		}
		k, err := io.ReadAtLeast(c.nc, c.acks[:], ackSize)
		if err == nil {
			_, err = io.ReadFull(c.nc, c.acks[k:k+(ackSize-k%ackSize)%ackSize]) // the rest of one
		}
		if err != nil {
			return err
		}
		acked += (k + ackSize - 1) / ackSize
		c.settled += int64((k + ackSize - 1) / ackSize)
	}
	return nil
}
