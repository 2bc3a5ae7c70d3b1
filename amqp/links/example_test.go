package links_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/amqp/links"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
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

// exampleHub starts a hub with the device "pump", and makes a Conn to it.
func exampleHub() (*hub.Hub, *links.Conn) {
	ctx := context.Background()
	h := must(hub.Start(ctx, &hub.Config{InMemory: true}))
	must(h.Create(ctx, &hub.Device{Identity: pump}))
	return h, must(links.New(&links.Options{HostName: h.HostName(), Dial: dial(h)}))
}

var pump = hubwire.Identity{DeviceID: "pump"}

// dial opens connections on which AMQP can be spoken at once. To a hub in Azure
// a tls.Dialer does it, and port 5671.
func dial(h *hub.Hub) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		nc, err := h.Dial(ctx, "tcp", h.HostName()+":5671")
		if err != nil {
			return nil, err
		}
		config := h.ClientTLS()
		config.ServerName = h.HostName()
		conn := tls.Client(nc, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		return conn, nil
	}
}

// tokens are made of a connection string's key.
func tokens(connectionString string) sas.TokenSource {
	return must(must(sas.ParseConnectionString(connectionString)).Tokens(0))
}

// attach adds the device "pump" to c.
func attach(h *hub.Hub, c *links.Conn) *links.Device {
	return must(c.Device(context.Background(), pump, &links.DeviceOptions{Tokens: tokens(must(h.ConnectionString(pump)))}))
}

// One connection, and a device on it.
func ExampleNew() {
	h, _ := exampleHub()
	defer h.Close()
	ctx := context.Background()
	c, err := links.New(&links.Options{HostName: h.HostName(), Dial: dial(h), CloseTimeout: time.Minute})
	check(err)
	fmt.Println(c.State()) // it connects when its first entity opens

	d, err := c.Device(ctx, pump, &links.DeviceOptions{Tokens: tokens(must(h.ConnectionString(pump)))})
	check(err)
	fmt.Println(c.State(), d.State(), d.Send(ctx, &hubwire.Message{Body: []byte("20.5")}))
	_, err = c.Device(ctx, pump, &links.DeviceOptions{Tokens: tokens(must(h.ConnectionString(pump)))})
	fmt.Println("twice:", errors.Is(err, links.ErrAlreadyOpen))

	check(c.Close()) // and all that is on it
	<-c.Done()
	<-d.Done()
	fmt.Println(errors.Is(c.Err(), net.ErrClosed), errors.Is(d.Err(), net.ErrClosed))
	// Output:
	// connecting
	// connected connected <nil>
	// twice: true
	// true true
}

// Many messages in few transfers, each with an outcome of its own.
func ExampleDevice_SendBatch() {
	h, c := exampleHub()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	d := attach(h, c)
	defer d.Close() // which leaves the connection alone

	accepted := 0
	done := func(_ int, err error) {
		if err == nil {
			accepted++ // one call after the other
		}
	}
	n, err := d.SendBatch(ctx, []*hubwire.Message{{Body: []byte("1")}, {Body: []byte("2")}}, done)
	fmt.Println(n, err)
	check(d.SendAsync(ctx, &hubwire.Message{Body: []byte("3")}, func(err error) {
		done(0, err)
		fmt.Println("here nobody may wait:", errors.Is(d.MayWait(), links.ErrWouldDeadlock))
	}))
	d.Drain(ctx)
	fmt.Println(accepted, "accepted")
	// Output:
	// 2 <nil>
	// here nobody may wait: true
	// 3 accepted
}

func ExampleDevice_Receive() {
	h, c := exampleHub()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	d := attach(h, c)
	check(h.SendC2D(ctx, pump, &hubwire.Message{Body: []byte("open")}))

	m, err := d.Receive(ctx)
	check(err)
	fmt.Printf("%s %v\n", m.Body, m.Complete(ctx))
	// Output: open <nil>
}

func ExampleDevice_ServeMethods() {
	h, c := exampleHub()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	d := attach(h, c)
	check(d.ServeMethods(ctx, func(r hubwire.MethodRequest, reply links.MethodReply) {
		check(reply(ctx, hubwire.MethodResponse{Status: 200, Payload: r.Payload})) // or later
	}))

	answer := must(h.Invoke(ctx, pump, hubwire.MethodRequest{Name: "echo", Payload: []byte(`"hello"`)}, nil))
	fmt.Printf("%d %s\n", answer.Status, answer.Payload)
	// Output: 200 "hello"
}

func ExampleDevice_WatchDesired() {
	h, c := exampleHub()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	d := attach(h, c)
	changes := make(chan string, 1)
	stop, err := d.WatchDesired(ctx,
		func(version int64, patch []byte) { changes <- fmt.Sprintf("version %d: %s", version, patch) },
		func() {}) // what was missed is to be read with Twin
	check(err)
	defer stop()

	must(h.PatchTwin(ctx, pump, hub.TwinUpdate{Desired: []byte(`{"interval":60}`)}, ""))
	fmt.Println(<-changes)
	version, err := d.Report(ctx, []byte(`{"interval":60}`))
	fmt.Println(version, err)
	fmt.Printf("%s\n", must(d.Twin(ctx)))
	// Output:
	// version 2: {"interval":60,"$version":2}
	// 2 <nil>
	// {"desired":{"interval":60,"$version":2},"reported":{"interval":60,"$version":2}}
}

// A message to a device, and the feedback on it, which comes again unless it is completed.
func ExampleConn_Service() {
	h, c := exampleHub()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	s, err := c.Service(ctx, &links.ServiceOptions{Tokens: tokens(must(h.PolicyConnectionString("service")))})
	check(err)
	check(s.SendC2D(ctx, pump, &hubwire.Message{ID: "1", Body: []byte("open"), Ack: hubwire.AckFull}))
	must(h.Purge(ctx, pump))

	n, err := s.ReceiveFeedback(ctx)
	check(err)
	check(n.Abandon(ctx))
	n, err = s.ReceiveFeedback(ctx)
	check(err)
	fmt.Println(strings.Contains(string(n.Body), `"statusCode":"Purged"`), n.Complete(ctx))

	check(s.Close(ctx))
	fmt.Println(errors.Is(s.Err(), links.ErrClosed), c.Err())
	// Output:
	// true <nil>
	// true <nil>
}

func ExampleService_ReceiveFileNotification() {
	h, c := exampleHub()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	s := must(c.Service(ctx, &links.ServiceOptions{Tokens: tokens(must(h.PolicyConnectionString("service")))}))

	// A device uploads a file.
	d := must(device.Dial(ctx, must(h.ConnectionString(pump)), device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()}))
	defer d.Close()
	u := must(d.InitiateUpload(ctx, "log.txt"))
	put := must(http.NewRequestWithContext(ctx, http.MethodPut, u.URL.Reveal(), strings.NewReader("all is well")))
	put.Header.Set("x-ms-blob-type", "BlockBlob")
	must(d.StorageTransport().RoundTrip(put)).Body.Close()
	check(d.CompleteUpload(ctx, u.CorrelationID))

	n, err := s.ReceiveFileNotification(ctx)
	check(err)
	fmt.Println(strings.Contains(string(n.Body), `"blobName":"pump/log.txt"`), n.Complete(ctx))
	// Output: true <nil>
}

// The events of the devices. A hub in Azure says that they are on another host,
// which needs a Conn of its own; this one has them itself.
func ExampleConn_EventHub() {
	h, c := exampleHub()
	defer h.Close()
	defer c.Close()
	ctx := context.Background()
	check(attach(h, c).Send(ctx, &hubwire.Message{Body: []byte("20.5")}))
	s := must(c.Service(ctx, &links.ServiceOptions{Tokens: tokens(must(h.PolicyConnectionString("service")))}))
	at, err := s.EventsAt(ctx)
	check(err)
	address := must(amqp.ParseAddress(amqp.Sender, at.Address))

	cs := must(sas.ParseConnectionString(h.EventHubConnectionString()))
	e, err := c.EventHub(ctx, address.EventHub, &links.ServiceOptions{Tokens: must(cs.Tokens(0))})
	check(err)
	info := must(e.Info(ctx))
	fmt.Println(info.Name == cs.EntityPath, info.Partitions)

	r, err := links.NewEventReader(nil)
	check(err)
	for ev, err := range r.All(ctx, e) {
		check(err)
		fmt.Printf("%s from %s\n", ev.Body, ev.Source)
		fmt.Println(must(e.Partition(ctx, ev.Partition)).LastSequence == ev.SequenceNumber)
		break
	}
	check(e.Close(ctx))
	fmt.Println(errors.Is(e.Err(), links.ErrClosed))
	// Output:
	// true [0 1 2 3]
	// 20.5 from pump
	// true
	// true
}
