package service_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/service"
)

// pump connects a device to the hub.
func pump(h *hub.Hub, c *service.Client) *device.Client {
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	connectionString := must(h.ConnectionString(hubwire.Identity{DeviceID: "pump"}))
	return must(device.Dial(ctx, connectionString, device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()}))
}

// A message to a device, and the feedback on it.
func ExampleClient_SendC2D() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	d := pump(h, c)
	defer d.Close()

	m := &hubwire.Message{ID: "order-1", Body: []byte("open"), Ack: hubwire.AckFull, Expiry: time.Now().Add(time.Hour)}
	if err := c.SendC2D(ctx, d.Identity(), m); err != nil {
		log.Fatal(err)
	}
	order := must(d.Receive(ctx))
	fmt.Printf("the pump gets %s: %s\n", order.ID, order.Body)
	if err := order.Complete(ctx); err != nil {
		log.Fatal(err)
	}

	for f, err := range c.Feedback(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		for _, r := range f.Records {
			fmt.Println("feedback:", r.OriginalMessageID, r.DeviceID, r.Status)
		}
		if err := f.Complete(ctx); err != nil { // else it comes again
			log.Fatal(err)
		}
		break
	}

	err := c.SendC2D(ctx, hubwire.Identity{DeviceID: "valve"}, m)
	fmt.Println("no such device:", errors.Is(err, hubwire.DeviceNotFound))
	// Output:
	// the pump gets order-1: open
	// feedback: order-1 pump Success
	// no such device: true
}

// What devices send, from the beginning, and later from where one was.
func ExampleClient_Events() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	d := pump(h, c)
	defer d.Close()
	for _, text := range []string{"20.5", "21.0", "21.5"} {
		if err := d.Send(ctx, &hubwire.Message{Body: []byte(text)}); err != nil {
			log.Fatal(err)
		}
	}

	seen := map[string]service.EventStart{} // by partition; a program keeps it
	for ev, err := range c.Events(ctx, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v: %s\n", ev.Source, ev.Body)
		seen[ev.Partition] = service.EventStart{At: service.AtOffset, Offset: ev.Offset}
		if string(ev.Body) == "21.0" {
			break
		}
	}

	fmt.Println("after a restart:")
	patient, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ev, err := range c.Events(patient, &service.EventOptions{Starts: seen}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v: %s\n", ev.Source, ev.Body)
		break
	}
	// Output:
	// pump: 20.5
	// pump: 21.0
	// after a restart:
	// pump: 21.5
}

// What is not completed comes again.
func ExampleClient_ReceiveFeedback() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	m := &hubwire.Message{ID: "order-1", Ack: hubwire.AckNegative}
	if err := c.SendC2D(ctx, hubwire.Identity{DeviceID: "pump"}, m); err != nil {
		log.Fatal(err)
	}
	must(c.PurgeQueue(ctx, "pump"))

	for _, settle := range []func(*service.Feedback, context.Context) error{(*service.Feedback).Abandon, (*service.Feedback).Complete} {
		f, err := c.ReceiveFeedback(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.Records[0].OriginalMessageID, f.Records[0].Status)
		if err := settle(f, ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// order-1 Purged
	// order-1 Purged
}

func ExampleClient_FileNotifications() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	d := pump(h, c)
	defer d.Close()
	uploadFile(d, "log.txt", "all is well")

	n, err := c.ReceiveFileNotification(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := n.Abandon(ctx); err != nil { // it comes again
		log.Fatal(err)
	}
	for n, err := range c.FileNotifications(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n.DeviceID, n.BlobName, n.Size)
		if err := n.Complete(ctx); err != nil {
			log.Fatal(err)
		}
		break
	}
	// Output: pump pump/log.txt 11
}

// uploadFile does what package upload has for devices.
func uploadFile(d *device.Client, name, text string) {
	u := must(d.InitiateUpload(ctx, name))
	r := must(http.NewRequestWithContext(ctx, http.MethodPut, u.URL.Reveal(), strings.NewReader(text)))
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	res := must(d.StorageTransport().RoundTrip(r))
	res.Body.Close()
	if err := d.CompleteUpload(ctx, u.CorrelationID); err != nil {
		log.Fatal(err)
	}
}

// How far the endpoint is, for who keeps checkpoints, or reads with other clients of Event Hubs.
func ExampleClient_EventHubInfo() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	d := pump(h, c)
	defer d.Close()
	if err := d.Send(ctx, &hubwire.Message{Body: []byte("20.5")}); err != nil {
		log.Fatal(err)
	}

	at, err := c.EventHubEndpoint(ctx)
	if err != nil {
		log.Fatal(err)
	}
	info, err := c.EventHubInfo(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(at.HostName, at.Name == info.Name, info.Partitions)
	for _, id := range info.Partitions {
		if p := must(c.PartitionInfo(ctx, id)); !p.Empty {
			fmt.Println("one event in a partition:", p.Begin == p.LastSequence)
		}
	}
	// Output:
	// localhost true [0 1 2 3]
	// one event in a partition: true
}
