package hub_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

// exampleHub starts a hub without sockets, with the device "pump".
func exampleHub() (*hub.Hub, hubwire.Identity) {
	ctx := context.Background()
	h := must(hub.Start(ctx, &hub.Config{InMemory: true}))
	d := must(h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "pump"}}))
	return h, d.Identity
}

// dial connects a registered device or module.
func dial(h *hub.Hub, id hubwire.Identity, t device.Transport) *device.Client {
	o := &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()}
	return must(device.Dial(context.Background(), must(h.ConnectionString(id)), t, o))
}

func ExampleHub_Create() {
	h, pump := exampleHub()
	defer h.Close()
	ctx := context.Background()
	must(h.Create(ctx, &hub.Device{Identity: hubwire.Identity{DeviceID: "pump", ModuleID: "valve"}}))
	_, err := h.Create(ctx, &hub.Device{Identity: pump})
	fmt.Println("again:", errors.Is(err, hubwire.DeviceAlreadyExists))

	for _, d := range h.Devices(10) {
		fmt.Println(d.Identity, "has a key:", !d.PrimaryKey.IsZero())
		for _, m := range must(h.Modules(d.Identity.DeviceID)) {
			fmt.Println(m.Identity)
		}
	}
	check(h.Delete(ctx, pump))
	fmt.Println(len(h.Devices(10)), "left")
	// Output:
	// again: true
	// pump has a key: true
	// pump/valve
	// 0 left
}

// A device that is disabled is thrown out, and not let in.
func ExampleHub_Update() {
	h, pump := exampleHub()
	defer h.Close()
	ctx := context.Background()
	c := dial(h, pump, device.MQTT(nil))
	defer c.Close()

	d := must(h.Device(pump))
	d.Disabled, d.StatusReason = true, "in repair"
	d = must(h.Update(ctx, d, d.ETag))
	<-c.Done()
	fmt.Println(errors.Is(c.Err(), hubwire.Unauthorized), d.StatusReason)
	// Output: true in repair
}

func ExampleHub_ConnectionString() {
	h, pump := exampleHub()
	defer h.Close()
	connectionString, err := h.ConnectionString(pump)
	check(err)
	upToKey, _, _ := strings.Cut(connectionString, "SharedAccessKey=")
	fmt.Println(upToKey)

	_, err = h.ConnectionString(hubwire.Identity{DeviceID: "fan"})
	fmt.Println(errors.Is(err, hubwire.DeviceNotFound))
	// Output:
	// HostName=localhost;DeviceId=pump;
	// true
}

// For a service in this process, or in another language.
func ExampleHub_PolicyConnectionString() {
	h, pump := exampleHub()
	defer h.Close()
	ctx := context.Background()
	c := must(service.New(must(h.PolicyConnectionString("service")), &service.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()}))
	defer c.Close()
	fmt.Println(c.HostName(), must(c.Twin(ctx, pump)).Identity)

	// And for a client of Event Hubs.
	cs := must(sas.ParseConnectionString(h.EventHubConnectionString()))
	fmt.Println(cs.Endpoint, cs.SharedAccessKeyName, cs.SharedAccessKey)
	// Output:
	// localhost pump
	// sb://localhost/ iothubowner (secret)
}

// For a client in another process: it needs the addresses and the authority.
func ExampleHub_MQTTAddr() {
	h := must(hub.Start(context.Background(), nil)) // any free ports of 127.0.0.1
	defer h.Close()
	for _, addr := range []string{h.MQTTAddr(), h.AMQPAddr(), h.HTTPSAddr()} {
		nc := must(tls.Dial("tcp", addr, &tls.Config{RootCAs: h.CertPool(), ServerName: h.HostName()}))
		fmt.Println("verified:", nc.ConnectionState().HandshakeComplete)
		check(nc.Close())
	}
	fmt.Println(strings.Split(string(h.CAPEM()), "\n")[0]) // for a file, or an environment variable
	// Output:
	// verified: true
	// verified: true
	// verified: true
	// -----BEGIN CERTIFICATE-----
}

func ExampleHub_Disconnect() {
	h, pump := exampleHub()
	defer h.Close()
	connected := make(chan struct{}, 2)
	o := &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS(), MaxBackoff: 1, Hooks: &device.Hooks{
		State: func(s device.State, reason error) {
			if s == device.Connected {
				connected <- struct{}{}
			}
		},
	}}
	c := must(device.Dial(context.Background(), must(h.ConnectionString(pump)), device.MQTT(nil), o))
	defer c.Close()
	<-connected
	fmt.Println(h.Connected(pump))

	fmt.Println(h.Disconnect(pump)) // as a network would
	<-connected
	fmt.Println(h.Connected(pump))
	// Output:
	// true
	// true
	// true
}

func ExampleHub_ReplaceTwin() {
	h, pump := exampleHub()
	defer h.Close()
	ctx := context.Background()
	twin := must(h.PatchTwin(ctx, pump, hub.TwinUpdate{Desired: []byte(`{"interval":60,"unit":"s"}`)}, ""))
	_, err := h.ReplaceTwin(ctx, pump, hub.TwinUpdate{Desired: []byte(`{"interval":10}`)}, twin.ETag)
	check(err)
	fmt.Printf("%s\n", must(h.Twin(ctx, pump)).Desired.JSON)

	_, err = h.ReplaceTwin(ctx, pump, hub.TwinUpdate{}, twin.ETag)
	fmt.Println("that was changed meanwhile:", errors.Is(err, hubwire.PreconditionFailed))
	// Output:
	// {"interval":10}
	// that was changed meanwhile: true
}

func ExampleHub_Invoke() {
	h, pump := exampleHub()
	defer h.Close()
	ctx := context.Background()
	c := dial(h, pump, device.MQTT(nil))
	defer c.Close()
	check(c.HandleMethod(ctx, "reboot", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 202, Payload: json.RawMessage(`{"in":"a minute"}`)}, nil
	}))

	answer, err := h.Invoke(ctx, pump, hubwire.MethodRequest{Name: "reboot"}, nil)
	check(err)
	fmt.Printf("%d %s\n", answer.Status, answer.Payload)
	// Output: 202 {"in":"a minute"}
}

func ExampleHub_SendC2D() {
	h, pump := exampleHub()
	defer h.Close()
	ctx := context.Background()
	check(h.SendC2D(ctx, pump, &hubwire.Message{ID: "1", Body: []byte("open")}))
	c := dial(h, pump, device.AMQP(nil))
	defer c.Close()
	m := must(c.Receive(ctx))
	fmt.Printf("%s %s, %d waiting\n", m.ID, m.Body, must(h.QueueLength(pump)))
	check(m.Complete(ctx))
	fmt.Println(must(h.QueueLength(pump)), "waiting")
	// Output:
	// 1 open, 1 waiting
	// 0 waiting
}

// What a route of IoT Edge would bring to a module.
func ExampleHub_SendInput() {
	h, _ := exampleHub()
	defer h.Close()
	ctx := context.Background()
	valve := hubwire.Identity{DeviceID: "pump", ModuleID: "valve"}
	must(h.Create(ctx, &hub.Device{Identity: valve}))
	c := dial(h, valve, device.AMQP(nil))
	defer c.Close()

	check(h.SendInput(ctx, valve, "pressure", &hubwire.Message{Body: []byte("1.2 bar")}))
	m := must(c.Receive(ctx))
	fmt.Printf("%s: %s\n", m.Input, m.Body)
	// Output: pressure: 1.2 bar
}

func ExampleEventReader_All() {
	h, pump := exampleHub()
	defer h.Close()
	ctx := context.Background()
	c := dial(h, pump, device.MQTT(nil))
	defer c.Close()
	check(c.SendAll(ctx, []*hubwire.Message{{Body: []byte("20.5")}, {Body: []byte("21.0")}}))

	events := must(h.Events(ctx, &hub.EventOptions{Identity: pump}))
	for ev, err := range events.All(ctx) {
		check(err)
		fmt.Printf("%s from %s\n", ev.Body, ev.Source)
		if string(ev.Body) == "21.0" {
			break
		}
	}
	// Output:
	// 20.5 from pump
	// 21.0 from pump
}

// A group of devices registers with keys that are made of the group's.
func ExampleHub_Enroll() {
	h, _ := exampleHub()
	defer h.Close()
	group, err := h.Enroll(&hub.Enrollment{ID: "pumps", Group: true})
	check(err)
	groupKey := must(sas.NewKey(group.PrimaryKey))
	fmt.Println(h.IDScope(), "pump-7 has the key", sas.DeriveKey(groupKey, "pump-7"))

	fmt.Println(h.Unenroll("pumps", true), h.Unenroll("pumps", true))
	// Output:
	// 0ne00000000 pump-7 has the key (secret)
	// true false
}

func ExampleS1() {
	limits := hub.S1(2)
	fmt.Println(limits.TwinReads, "reads of twins a second,", limits.MessagesADay, "messages a day")
	// Output: 100 reads of twins a second, 800000 messages a day
}
