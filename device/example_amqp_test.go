package device_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

func ExampleNewAMQPConnection() {
	h, pump, o := exampleHub()
	defer h.Close()
	ctx := context.Background()
	if _, err := h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "valve"}}); err != nil {
		panic(err)
	}
	valve, err := h.ConnectionString(hubwire.Identity{DeviceID: "valve"})
	if err != nil {
		panic(err)
	}

	conn, err := device.NewAMQPConnection(h.HostName(), device.AMQP(nil), o)
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	for _, connectionString := range []string{pump, valve} {
		c, err := device.Dial(ctx, connectionString, conn.Transport(), nil)
		if err != nil {
			panic(err)
		}
		defer c.Close() // takes the device off the connection
		err = c.SendAll(ctx, []*hubwire.Message{{Body: []byte("1")}, {Body: []byte("2")}})
		fmt.Println(c.Identity(), c.State(), err)
	}
	// Output:
	// pump connected <nil>
	// valve connected <nil>
}

func ExampleAMQPWebSocket() {
	proxy, err := url.Parse("http://user:password@proxy.example:3128")
	if err != nil {
		panic(err)
	}
	t := device.AMQPWebSocket(&device.AMQPWebSocketOptions{Proxy: proxy})
	fmt.Println(t)
	// Output: amqp-ws
}
