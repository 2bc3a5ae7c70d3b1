package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// dialEcho stands for a dialler with TLS: its server acknowledges each message, and sends
// it back to who has subscribed.
func dialEcho(context.Context) (net.Conn, error) {
	client, server := testkit.Pipe()
	go echo(mqtt.NewConn(server, nil))
	return client, nil
}

func echo(c *mqtt.Conn) {
	defer c.Close()
	for subscribed := false; ; {
		p, err := c.ReadPacket()
		if err != nil {
			return
		}
		var reply []byte
		switch p.Type() {
		case mqtt.TypeConnect:
			reply = (&mqtt.Connack{}).AppendTo(nil)
		case mqtt.TypeSubscribe:
			m, _ := mqtt.ParseSubscribe(p)
			reply = (&mqtt.Suback{ID: m.ID, Codes: []byte{1}}).AppendTo(nil)
			subscribed = true
		case mqtt.TypePublish:
			m, _ := mqtt.ParsePublish(p)
			if subscribed {
				reply = m.AppendTo(reply)
			}
			if m.QoS == mqtt.AtLeastOnce {
				reply = (&mqtt.Puback{ID: m.ID}).AppendTo(reply)
			}
		}
		if c.Write(reply) != nil {
			return
		}
	}
}

func login(context.Context) (mqtt.Login, error) {
	return mqtt.Login{
		ClientID: "dev-0001",
		UserName: "myhub.azure-devices.net/dev-0001/?api-version=2021-04-12",
		Password: mqtt.NewSecret([]byte("SharedAccessSignature ...")),
		Expires:  time.Now().Add(time.Hour),
	}, nil
}

func ExampleStartSession() {
	ctx := context.Background()
	s, err := mqtt.StartSession(ctx, dialEcho, login, &mqtt.SessionOptions{
		OnState:      func(state mqtt.SessionState, reason error) { fmt.Println(state) },
		CloseTimeout: time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Publish(ctx, &mqtt.Publish{
		Topic:   []byte("devices/dev-0001/messages/events/"),
		Payload: []byte("21.5"),
		QoS:     mqtt.AtLeastOnce,
	})
	fmt.Println("acknowledged:", err == nil)
	if err := s.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(errors.Is(s.Err(), net.ErrClosed))
	// Output:
	// connected
	// acknowledged: true
	// closed
	// true
}

func ExampleSession_PublishAsync() {
	ctx := context.Background()
	s, err := mqtt.StartSession(ctx, dialEcho, login, &mqtt.SessionOptions{
		CloseTimeout: time.Minute, // half of it for acknowledgements
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	acknowledged := 0
	for range 1000 {
		p := &mqtt.Publish{Topic: []byte("devices/dev-0001/messages/events/"), QoS: mqtt.AtLeastOnce}
		if err := s.PublishAsync(ctx, p, func(err error) {
			if err == nil {
				acknowledged++ // always on the session's own goroutine
			}
		}); err != nil {
			fmt.Println(err)
		}
	}
	if err := s.Close(); err != nil { // waits for what is under way
		fmt.Println(err)
	}
	fmt.Println(acknowledged)
	// Output: 1000
}

func ExampleSession_Subscribe() {
	ctx := context.Background()
	received := make(chan mqtt.Receipt, 1)
	s, err := mqtt.StartSession(ctx, dialEcho, login, &mqtt.SessionOptions{
		OnDelivery: func(d mqtt.Delivery) {
			fmt.Printf("%s: %s\n", d.Topic, d.Payload) // copy what is to be kept
			received <- d.Receipt
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Subscribe(ctx, mqtt.AtLeastOnce, "devices/dev-0001/messages/devicebound/#"); err != nil {
		fmt.Println(err)
	}
	p := &mqtt.Publish{Topic: []byte("devices/dev-0001/messages/devicebound/"), Payload: []byte("hello"), QoS: mqtt.AtLeastOnce}
	if err := s.Publish(ctx, p); err != nil {
		fmt.Println(err)
	}
	fmt.Println((<-received).Ack())
	// Output:
	// devices/dev-0001/messages/devicebound/: hello
	// <nil>
}
