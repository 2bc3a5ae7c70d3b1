package device_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// A Will is sent by the hub when the connection breaks.
func ExampleMQTT() {
	h, connectionString, o := exampleHub()
	defer h.Close()
	ctx := context.Background()
	c, err := device.Dial(ctx, connectionString, device.MQTT(&device.MQTTOptions{
		Will: &hubwire.Message{Body: []byte("gone")},
	}), o)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	h.Disconnect(c.Identity())

	events, err := h.Events(ctx, nil)
	if err != nil {
		panic(err)
	}
	ev, err := events.Next(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s %v\n", ev.Body, ev.Properties)
	// Output: gone [{iothub-MessageType Will}]
}

// Over AMQP a message can be given back, and refused.
func ExampleAMQP() {
	h, connectionString, o := exampleHub()
	defer h.Close()
	ctx := context.Background()
	c, err := device.Dial(ctx, connectionString, device.AMQP(nil), o)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	if err := h.SendC2D(ctx, c.Identity(), &hubwire.Message{ID: "1", Body: []byte("reboot"), Ack: hubwire.AckNegative}); err != nil {
		panic(err)
	}

	for {
		m, err := c.Receive(ctx)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s, for the %d. time\n", m.Body, m.DeliveryCount+1)
		if m.DeliveryCount == 0 {
			err = m.Abandon(ctx) // it comes again
		} else {
			err = m.Reject(ctx)
		}
		if err != nil {
			panic(err)
		}
		if m.DeliveryCount > 0 {
			break
		}
	}
	feedback, err := h.Feedback(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(feedback[0].MessageID, feedback[0].Status)
	// Output:
	// reboot, for the 1. time
	// reboot, for the 2. time
	// 1 Rejected
}

// onlyHTTPS opens connections as a network does that lets nothing out but port 443.
func onlyHTTPS(h *hub.Hub) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.HasSuffix(addr, ":443") {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return h.Dial(ctx, network, addr)
	}
}

func ExampleAuto() {
	h, connectionString, o := exampleHub()
	defer h.Close()
	o.Dial = onlyHTTPS(h)

	c, err := device.Dial(context.Background(), connectionString, device.Auto(&device.AutoOptions{
		Needs:    []device.Feature{device.FeatureTwin, device.FeatureMethods},
		Patience: time.Minute, // where nothing answers, and not just late, 10 s are enough
	}), o)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	choice := c.Choice()
	fmt.Println("it speaks", choice.Transport)
	for _, door := range choice.Passed {
		fmt.Println("not", door.Transport, "at", door.Addr+":", door.Obstacle)
	}
	// Output:
	// it speaks mqtt-ws
	// not mqtt at localhost:8883: refused
}

func ExampleProbe() {
	h, connectionString, o := exampleHub()
	defer h.Close()
	o.Dial = onlyHTTPS(h)

	doors, err := device.Probe(context.Background(), connectionString, nil, o)
	if err != nil {
		panic(err)
	}
	for _, door := range doors {
		fmt.Println(door.Transport, "is open:", door.Open())
		if !door.Open() {
			fmt.Println("  refused:", errors.Is(door.Err, syscall.ECONNREFUSED))
		}
	}
	// Output:
	// mqtt is open: false
	//   refused: true
	// mqtt-ws is open: true
	// amqp is open: false
	//   refused: true
	// amqp-ws is open: true
	// https is open: true
}

func ExampleTransport_Supports() {
	https := device.HTTPS(nil)
	for _, f := range device.Features() {
		if s := https.Supports(f); !s.Has {
			fmt.Println(f)
		}
	}
	fmt.Println("reject over MQTT:", device.MQTT(nil).Supports(device.FeatureReject))
	// Output:
	// telemetry at most once
	// last will
	// C2D messages pushed
	// twin
	// direct methods
	// module inputs
	// many devices on a connection
	// model id
	// presence
	// reject over MQTT: no
}

// What a program gives up that speaks MQTT, where it could speak AMQP.
func ExampleLost() {
	for _, loss := range device.Lost(device.MQTT(nil), device.AMQP(nil)) {
		fmt.Printf("%s: %s\n", loss.Feature, loss.Support)
	}
	// Output:
	// batches on the wire: no
	// C2D reject: no
	// C2D abandon: no
	// token renewal in place: no: by a new connection each time
	// many devices on a connection: no
	// refusals with their reason: no: the hub closes, or answers 5
}

func ExampleCredentialsFromConnectionString() {
	cred, err := device.CredentialsFromConnectionString("HostName=myhub.azure-devices.net;DeviceId=pump;SharedAccessKey=c2VjcmV0IHNlY3JldCBzZWNyZXQ=")
	if err != nil {
		panic(err)
	}
	fmt.Println(cred.HostName, cred.Identity)
	fmt.Println(cred) // which shows no key

	_, err = device.CredentialsFromConnectionString("HostName=myhub.azure-devices.net;DeviceId=pump")
	fmt.Println(errors.Is(err, hubwire.ArgumentInvalid))
	// Output:
	// myhub.azure-devices.net pump
	// pump at myhub.azure-devices.net with tokens
	// true
}

// A Client ends by itself when waiting would be in vain.
func ExampleClient_Done() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	fmt.Println(c.State(), c.Err())

	ctx := context.Background()
	if err := h.Delete(ctx, c.Identity()); err != nil {
		panic(err)
	}
	<-c.Done()
	fmt.Println(c.State(), errors.Is(c.Err(), hubwire.Unauthorized))
	err := c.Send(ctx, &hubwire.Message{})
	fmt.Println(errors.Is(err, net.ErrClosed))
	// Output:
	// connected <nil>
	// closed true
	// true
}

// The connection lives on when one of its Clients ends.
func ExampleAMQPConnection() {
	h, connectionString, o := exampleHub()
	defer h.Close()
	conn, err := device.NewAMQPConnection(h.HostName(), device.AMQPWebSocket(nil), o)
	if err != nil {
		panic(err)
	}
	c, err := device.Dial(context.Background(), connectionString, conn.Transport(), &device.Options{CloseTimeout: time.Minute})
	if err != nil {
		panic(err)
	}
	fmt.Println(conn.State(), conn.Err())
	if err := c.Close(); err != nil {
		panic(err)
	}
	fmt.Println(c.State(), conn.State())

	if err := conn.Close(); err != nil {
		panic(err)
	}
	<-conn.Done()
	fmt.Println(conn.State(), errors.Is(conn.Err(), net.ErrClosed))
	// Output:
	// connected <nil>
	// closed connected
	// closed true
}

func ExampleFeatures() {
	n := 0
	for _, f := range device.Features() {
		if device.AMQP(nil).Supports(f).Has {
			n++
		}
	}
	fmt.Println("AMQP has", n, "of", len(device.Features()))
	// Output: AMQP has 18 of 21
}
