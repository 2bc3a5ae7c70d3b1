package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/hubwire/hubwire/mqtt"
)

func ExampleParsePuback() {
	packet := (&mqtt.Puback{ID: 10}).AppendTo(nil)
	p, err := mqtt.ParsePuback(packet)
	fmt.Printf("% x: %d %v\n", packet, p.ID, err)

	_, err = mqtt.ParsePuback([]byte("\x40\x02\x00\x00"))
	fmt.Println(errors.Is(err, mqtt.ErrPacketID))
	// Output:
	// 40 02 00 0a: 10 <nil>
	// true
}

// What follows a PUBLISH with QoS 2, which IoT Hub does not have.
func ExampleParsePubrec() {
	wire := (&mqtt.Pubrec{ID: 10}).AppendTo(nil)
	received, err := mqtt.ParsePubrec(wire)
	fmt.Printf("% x %v\n", wire, err)

	wire = (&mqtt.Pubrel{ID: received.ID}).AppendTo(nil)
	released, err := mqtt.ParsePubrel(wire)
	fmt.Printf("% x %v\n", wire, err)

	wire = (&mqtt.Pubcomp{ID: released.ID}).AppendTo(nil)
	completed, err := mqtt.ParsePubcomp(wire)
	fmt.Printf("% x %v, %d is free again\n", wire, err, completed.ID)
	// Output:
	// 50 02 00 0a <nil>
	// 62 02 00 0a <nil>
	// 70 02 00 0a <nil>, 10 is free again
}

func ExampleParsePingreq() {
	_, err := mqtt.ParsePingreq((&mqtt.Pingreq{}).AppendTo(nil))
	answer := (&mqtt.Pingresp{}).AppendTo(nil)
	fmt.Printf("%v, answered with % x\n", err, answer)
	_, err = mqtt.ParsePingresp(answer)
	fmt.Println(err)
	// Output:
	// <nil>, answered with d0 00
	// <nil>
}

func ExampleParseDisconnect() {
	packet := (&mqtt.Disconnect{}).AppendTo(nil)
	_, err := mqtt.ParseDisconnect(packet)
	fmt.Printf("% x %v\n", packet, err)

	_, err = mqtt.ParseDisconnect([]byte("\xe0\x01\x00")) // as of MQTT 5
	fmt.Println(err != nil)
	// Output:
	// e0 00 <nil>
	// true
}

func ExampleParseSubscribe() {
	s, err := mqtt.ParseSubscribe([]byte("\x82\x08\x00\x01\x00\x03a/#\x01"))
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := mqtt.Suback{ID: s.ID}
	for filter, qos := range s.Filters.All() {
		fmt.Printf("%s at QoS %d\n", filter, qos)
		answer.Codes = append(answer.Codes, byte(qos)) // or SubackFailure
	}
	fmt.Printf("% x %v\n", answer.AppendTo(nil), answer.Check())
	// Output:
	// a/# at QoS 1
	// 90 03 00 01 01 <nil>
}

func ExampleParseSuback() {
	s, err := mqtt.ParseSuback([]byte("\x90\x04\x00\x01\x01\x80"))
	fmt.Println(s.ID, err)
	for i, code := range s.Codes {
		fmt.Println("filter", i, "refused:", code == mqtt.SubackFailure)
	}
	// Output:
	// 1 <nil>
	// filter 0 refused: false
	// filter 1 refused: true
}

func ExampleParseUnsubscribe() {
	u, err := mqtt.ParseUnsubscribe([]byte("\xa2\x07\x00\x02\x00\x03a/#"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for filter := range u.Filters.All() {
		fmt.Printf("%s, %d in all\n", filter, u.Filters.Len())
	}
	answer := (&mqtt.Unsuback{ID: u.ID}).AppendTo(nil)
	got, err := mqtt.ParseUnsuback(answer)
	fmt.Printf("% x: %d %v\n", answer, got.ID, err)
	// Output:
	// a/#, 1 in all
	// b0 02 00 02: 2 <nil>
}

// A packet that may have been sent before says so.
func ExamplePacket_SetDup() {
	p := mqtt.Publish{Topic: []byte("a/b"), Payload: []byte("hi"), QoS: mqtt.AtLeastOnce, ID: 10}
	packet := mqtt.Packet(p.AppendTo(nil))
	packet.SetDup()
	again, err := mqtt.ParsePublish(packet)
	fmt.Println(packet.Type(), again.Dup, err)
	// Output: PUBLISH true <nil>
}

func ExamplePublish_Size() {
	p := mqtt.Publish{Topic: []byte("a/b"), Payload: make([]byte, 1000), QoS: mqtt.AtLeastOnce, ID: 10}
	buf := make([]byte, 0, p.Size()) // for one packet, exactly
	fmt.Println(p.Size(), len(p.AppendTo(buf)))
	// Output: 1010 1010
}

func ExampleType() {
	for _, first := range []byte{0x10, 0x32, 0xf0} {
		t := mqtt.Packet{first}.Type()
		fmt.Println(t, t.Valid())
	}
	// Output:
	// CONNECT true
	// PUBLISH true
	// packet type 15 false
}

// A server gives a stranger a while for its CONNECT.
func ExampleNewConn() {
	client, server := net.Pipe()
	defer client.Close()
	c := mqtt.NewConn(server, &mqtt.ConnOptions{MaxPacket: 64 << 10})
	defer c.Close()
	fmt.Println(c.NetConn() == server) // for its addresses, its TLS state

	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		fmt.Println(err)
	}
	_, err := c.ReadPacket()
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))

	err = errors.Join(c.SetWriteDeadline(time.Time{}), c.SetDeadline(time.Time{})) // no limit again
	fmt.Println(err)
	// Output:
	// true
	// true
	// <nil>
}

func ExampleSecret() {
	password := mqtt.NewSecret([]byte("SharedAccessSignature sr=..."))
	fmt.Println(password, len(password.Reveal()), password.Equal(mqtt.NewSecret(nil)))
	fmt.Println(mqtt.Secret{}.IsZero(), mqtt.NewSecret([]byte{}).IsZero()) // none, and an empty one
	// Output:
	// [redacted] 28 false
	// true false
}

func ExampleSession_Done() {
	s, err := mqtt.StartSession(context.Background(), dialEcho, login, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.State(), s.Err())
	go s.Close()
	<-s.Done() // by now its goroutines have returned
	fmt.Println(s.State(), errors.Is(s.Err(), net.ErrClosed))
	// Output:
	// connected <nil>
	// closed true
}

// Code that may run in a callback, such as a logger that publishes, finds out there.
func ExampleSession_InCallback() {
	ctx := context.Background()
	s, err := mqtt.StartSession(ctx, dialEcho, login, &mqtt.SessionOptions{CloseTimeout: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	in := make(chan bool, 1)
	p := &mqtt.Publish{Topic: []byte("devices/dev-0001/messages/events/"), QoS: mqtt.AtLeastOnce}
	if err := s.PublishAsync(ctx, p, func(error) { in <- s.InCallback() }); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-in, s.InCallback())
	fmt.Println(s.Close())
	// Output:
	// true false
	// <nil>
}

// A buffer that messages are built in can be given back before the hub has answered.
func ExampleSession_PublishReleasing() {
	ctx := context.Background()
	s, err := mqtt.StartSession(ctx, dialEcho, login, &mqtt.SessionOptions{CloseTimeout: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	buffers := make(chan []byte, 1)
	body := []byte("21.5")
	p := &mqtt.Publish{Topic: []byte("devices/dev-0001/messages/events/"), Payload: body, QoS: mqtt.AtLeastOnce}
	err = s.PublishReleasing(ctx, p, func() { buffers <- body[:0] })
	fmt.Println(err, len(buffers))
	fmt.Println(s.Close())
	// Output:
	// <nil> 1
	// <nil>
}
