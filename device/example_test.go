package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// exampleHub starts a hub in this process, with the device "pump", and says how to reach it.
func exampleHub() (h *hub.Hub, connectionString string, o *device.Options) {
	ctx := context.Background()
	h, err := hub.Start(ctx, &hub.Config{InMemory: true})
	if err != nil {
		panic(err)
	}
	d, err := h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "pump"}})
	if err != nil {
		panic(err)
	}
	connectionString, err = h.ConnectionString(d.Identity)
	if err != nil {
		panic(err)
	}
	return h, connectionString, &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS(), CloseTimeout: time.Minute} // the machine may be busy
}

// exampleClient is a Client of an exampleHub.
func exampleClient() (*hub.Hub, *device.Client) {
	h, connectionString, o := exampleHub()
	c, err := device.Dial(context.Background(), connectionString, device.MQTT(nil), o)
	if err != nil {
		panic(err)
	}
	return h, c
}

func ExampleDial() {
	// A hub in this process. For one in Azure the options can be nil, and the
	// connection string comes from its portal.
	h, connectionString, o := exampleHub()
	defer h.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := device.Dial(ctx, connectionString, device.MQTTWebSocket(nil), o)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Println(c.Identity(), "is", c.State())

	_, err = device.Dial(ctx, "HostName=localhost;DeviceId=pump;SharedAccessKey=d3Jvbmc=", device.MQTT(nil), o)
	fmt.Println("with a wrong key:", errors.Is(err, hubwire.Unauthorized))
	// Output:
	// pump is connected
	// with a wrong key: true
}

func ExampleClient_Send() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	err := c.Send(ctx, &hubwire.Message{
		Body:        []byte(`{"temperature":21.5}`),
		ContentType: "application/json",
		Properties:  []hubwire.Property{{Name: "alert", Value: "no"}},
	})
	if err != nil {
		panic(err)
	}

	events, err := h.Events(ctx, nil)
	if err != nil {
		panic(err)
	}
	ev, err := events.Next(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s from %s, %v\n", ev.Body, ev.Source, ev.Properties)
	// Output: {"temperature":21.5} from pump, [{alert no}]
}

func ExampleClient_SendAsync() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	outcomes := make(chan error, 3)
	for i := range 3 {
		m := &hubwire.Message{Body: fmt.Appendf(nil, "reading %d", i)}
		if err := c.SendAsync(context.Background(), m, func(err error) { outcomes <- err }); err != nil {
			panic(err)
		}
	}
	for range 3 {
		fmt.Println(<-outcomes)
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
}

func ExampleClient_SendAll() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	err := c.SendAll(context.Background(), []*hubwire.Message{
		{Body: []byte("fine")},
		{Body: make([]byte, 300<<10)},
	})
	var failed *device.SendError
	if errors.As(err, &failed) {
		fmt.Println("message", failed.Index, "is too large:", errors.Is(err, hubwire.MessageTooLarge))
	}
	// Output: message 1 is too large: true
}

func ExampleClient_Receive() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	if err := h.SendC2D(ctx, c.Identity(), &hubwire.Message{Body: []byte("hello")}); err != nil {
		panic(err)
	}

	m, err := c.Receive(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", m.Body)
	fmt.Println("rejected over MQTT:", !errors.Is(m.Reject(ctx), errors.ErrUnsupported))
	fmt.Println("completed:", m.Complete(ctx) == nil)
	// Output:
	// hello
	// rejected over MQTT: false
	// completed: true
}

func ExampleClient_HandleMessages() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	for _, text := range []string{"one", "two", "three"} {
		if err := h.SendC2D(context.Background(), c.Identity(), &hubwire.Message{Body: []byte(text)}); err != nil {
			panic(err)
		}
	}

	ctx, cancel := context.WithCancel(context.Background())
	err := c.HandleMessages(ctx, func(_ context.Context, m *hubwire.Received) error {
		fmt.Printf("%s\n", m.Body)
		if string(m.Body) == "three" {
			cancel()
		}
		return nil // which completes it
	})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// one
	// two
	// three
	// true
}

func ExampleClient_HandleMethod() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	err := c.HandleMethod(ctx, "setSpeed", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		var rpm int
		if err := json.Unmarshal(r.Payload, &rpm); err != nil {
			return hubwire.MethodResponse{Status: 400}, nil
		}
		return hubwire.MethodResponse{Status: 200, Payload: fmt.Appendf(nil, `{"rpm":%d}`, rpm)}, nil
	})
	if err != nil {
		panic(err)
	}

	for _, payload := range []string{"900", `"fast"`} {
		resp, err := h.Invoke(ctx, c.Identity(), hubwire.MethodRequest{Name: "setSpeed", Payload: []byte(payload)}, nil)
		if err != nil {
			panic(err)
		}
		fmt.Println(resp.Status, string(resp.Payload))
	}
	// Output:
	// 200 {"rpm":900}
	// 400
}

func ExampleClient_Twin() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	if _, err := h.PatchTwin(ctx, c.Identity(), hub.TwinUpdate{Desired: []byte(`{"interval":10}`)}, ""); err != nil {
		panic(err)
	}

	twin, err := c.Twin(ctx)
	if err != nil {
		panic(err)
	}
	var settings struct{ Interval int }
	if err := twin.Desired.Decode(&settings); err != nil {
		panic(err)
	}
	fmt.Println("every", settings.Interval, "seconds, by version", twin.Desired.Version)
	// Output: every 10 seconds, by version 2
}

func ExampleClient_Report() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	version, err := c.Report(ctx, map[string]any{"firmware": "1.2", "error": nil})
	if err != nil {
		panic(err)
	}
	twin, err := h.Twin(ctx, c.Identity())
	if err != nil {
		panic(err)
	}
	fmt.Printf("version %d: %s\n", version, twin.Reported.JSON)
	// Output: version 2: {"firmware":"1.2"}
}

func ExampleClient_Desired() {
	h, c := exampleClient()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	for change, err := range c.Desired(ctx) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("version %d, the whole: %v, %s\n", change.Version, change.Full, change.JSON)
		if change.Version == 2 {
			break
		}
		// Meanwhile, at the back end:
		if _, err := h.PatchTwin(ctx, c.Identity(), hub.TwinUpdate{Desired: []byte(`{"interval":10}`)}, ""); err != nil {
			panic(err)
		}
	}
	// Output:
	// version 1, the whole: true, {}
	// version 2, the whole: false, {"interval":10}
}

func ExampleDialCredentials() {
	h, connectionString, o := exampleHub()
	defer h.Close()
	cred, err := device.CredentialsFromConnectionString(connectionString)
	if err != nil {
		panic(err)
	}
	fmt.Println(cred) // without secrets

	c, err := device.DialCredentials(context.Background(), cred, device.MQTT(nil), o)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Println(c.State())
	// Output:
	// pump at localhost with tokens
	// connected
}

func ExampleMQTTWebSocket() {
	proxy, err := url.Parse("http://user:password@proxy.example:3128")
	if err != nil {
		panic(err)
	}
	t := device.MQTTWebSocket(&device.MQTTWebSocketOptions{Proxy: proxy})
	fmt.Println(t)
	// Output: mqtt-ws
}

func ExampleHTTPS() {
	h, connectionString, o := exampleHub()
	defer h.Close()
	ctx := context.Background()
	// What is sent within a second shares a request.
	c, err := device.Dial(ctx, connectionString, device.HTTPS(&device.HTTPSOptions{Linger: time.Second, PollInterval: time.Minute}), o)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	fmt.Println("sent:", c.SendAll(ctx, []*hubwire.Message{{Body: []byte("1")}, {Body: []byte("2")}}))

	if err := h.SendC2D(ctx, c.Identity(), &hubwire.Message{Body: []byte("reboot")}); err != nil {
		panic(err)
	}
	m, err := c.Receive(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println("received:", string(m.Body), m.Reject(ctx))

	_, err = c.Twin(ctx)
	fmt.Println("a twin:", errors.Is(err, errors.ErrUnsupported))
	// Output:
	// sent: <nil>
	// received: reboot <nil>
	// a twin: true
}

func ExampleHooks() {
	h, connectionString, o := exampleHub()
	defer h.Close()
	o.Hooks = &device.Hooks{State: func(s device.State, reason error) { fmt.Println(s, reason) }}
	c, err := device.Dial(context.Background(), connectionString, device.MQTT(nil), o)
	if err != nil {
		panic(err)
	}
	if err := c.Close(); err != nil {
		panic(err)
	}
	// Output:
	// connected <nil>
	// closed <nil>
}
