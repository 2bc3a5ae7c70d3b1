// Command t9a-five-protocols is the sample "iothub_client_sample", both sides: one program over each of IoT Hub's five
// protocols, for the device.
//
//	go run ./examples/t9a-five-protocols -p amqp
//	go run ./examples/t9a-five-protocols -p http
//	go run ./examples/t9a-five-protocols -p mqtt_ws -interval 2s
//
// -p is amqp, amqp_ws, http, mqtt or mqtt_ws.
//
// It sends five messages, whose bodies are text and bytes in turn, and waits for each one's confirmation; it receives a
// message from the back end, uses its twin and answers a method, and says when it has heard something last. It prints
// all of that, as either side sees it, and the status of the connection. What HTTPS does not have is an error that
// says so.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

const (
	deviceID     = "t9a-device"
	messageCount = 5
)

func main() {
	protocol := flag.String("p", "mqtt", "amqp, amqp_ws, http, mqtt or mqtt_ws")
	interval := flag.Duration("interval", time.Second, "how long to wait between two messages")
	site.Main(func(ctx context.Context, out io.Writer, s *site.Site) error {
		return play(ctx, out, s, *protocol, *interval)
	})
}

// transportOf is the one line in which the protocols differ.
func transportOf(protocol string) (device.Transport, error) {
	switch protocol {
	case "amqp":
		return device.AMQP(nil), nil
	case "amqp_ws":
		return device.AMQPWebSocket(nil), nil
	case "http":
		// A hub in Azure throttles who asks for messages more often than every 25 minutes.
		return device.HTTPS(&device.HTTPSOptions{PollInterval: time.Second}), nil
	case "mqtt":
		return device.MQTT(nil), nil
	case "mqtt_ws":
		return device.MQTTWebSocket(nil), nil
	}
	return device.Transport{}, fmt.Errorf("-p %q is none of amqp, amqp_ws, http, mqtt, mqtt_ws", protocol)
}

func play(ctx context.Context, out io.Writer, s *site.Site, protocol string, interval time.Duration) (err error) {
	transport, err := transportOf(protocol)
	if err != nil {
		return err
	}
	connectionString, err := s.Device(ctx, deviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, deviceID, &err)
	events, err := s.FromNow(ctx)
	if err != nil {
		return err
	}
	status := make(chan device.State, 16)
	o := s.Options()
	o.MinBackoff, o.MaxBackoff = time.Second, 10*time.Second // the retry policy
	o.Hooks = &device.Hooks{State: func(s device.State, _ error) { status <- s }}
	c, err := device.Dial(ctx, connectionString, transport, o)
	if err != nil {
		return err
	}
	x := &sample{out, s.Service, events, c}
	err = errors.Join(x.play(ctx, interval), c.Close())
	for st := range status {
		if fmt.Fprintf(out, "device: status %v\n", st); st == device.Closed {
			break
		}
	}
	return err
}

// sample is both sides.
type sample struct {
	out     io.Writer
	service *service.Client
	events  *service.EventOptions
	device  *device.Client
}

func (x *sample) play(ctx context.Context, interval time.Duration) error {
	if err := x.send(ctx, interval); err != nil {
		return err
	}
	if err := x.readEvents(ctx); err != nil {
		return err
	}
	heard, err := x.receive(ctx)
	if err != nil {
		return err
	}
	err = x.twinAndMethod(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Fprintln(x.out, "device: this protocol has no twins and no methods")
	} else if err != nil {
		return err
	}
	fmt.Fprintf(x.out, "device: the last message came less than %v ago\n", time.Since(heard).Truncate(time.Minute)+time.Minute)
	return nil
}

// send sends one message after the other, whose confirmations come when they come.
func (x *sample) send(ctx context.Context, interval time.Duration) error {
	confirmations := make(chan error, messageCount)
	for i := range messageCount {
		temperature := 26 + i
		m := &hubwire.Message{
			Body: fmt.Appendf(nil, `{"temperature":%d}`, temperature),
			ID:   fmt.Sprint("message_", i), CorrelationID: fmt.Sprint("correlation_", i),
			Properties: []hubwire.Property{{Name: "temperatureAlert", Value: fmt.Sprint(temperature > 28)}},
		}
		if i%2 == 1 {
			m.Body = []byte{0, byte(temperature), 0xff}
		}
		if err := x.device.SendAsync(ctx, m, func(err error) { confirmations <- err }); err != nil {
			return err
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i := range messageCount {
		select {
		case err := <-confirmations:
			if err != nil {
				return err
			}
			fmt.Fprintf(x.out, "device: confirmation %d: OK\n", i+1)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// readEvents is the back end, which reads what the device has sent.
func (x *sample) readEvents(ctx context.Context) error {
	n := 0
	for ev, err := range x.service.Events(ctx, x.events) {
		if err != nil {
			return err
		}
		if ev.Source.DeviceID != deviceID || ev.MessageSource != service.SourceTelemetry {
			continue
		}
		fmt.Fprintf(x.out, "service: %s, %s: %q %v\n", ev.ID, ev.CorrelationID, ev.Body, ev.Properties)
		if n++; n == messageCount {
			break
		}
	}
	return nil
}

// receive receives a message that the back end sends, and returns when that was.
func (x *sample) receive(ctx context.Context) (time.Time, error) {
	m := &hubwire.Message{Body: []byte("hello, device"), ID: "c2d_0", Properties: []hubwire.Property{{Name: "door", Value: "front"}}}
	if err := x.service.SendC2D(ctx, hubwire.Identity{DeviceID: deviceID}, m); err != nil {
		return time.Time{}, err
	}
	got, err := x.device.Receive(ctx)
	if err != nil {
		return time.Time{}, err
	}
	fmt.Fprintf(x.out, "device: received %s: %s %v\n", got.ID, got.Body, got.Properties)
	return time.Now(), got.Complete(ctx)
}

// twinAndMethod reports properties, and answers a method.
func (x *sample) twinAndMethod(ctx context.Context) error {
	if _, err := x.device.Report(ctx, json.RawMessage(`{"newState":"standBy"}`)); err != nil {
		return err
	}
	id := hubwire.Identity{DeviceID: deviceID}
	twin, err := x.service.Twin(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(x.out, "service: reported %s\n", twin.Reported.JSON)
	err = x.device.HandleMethod(ctx, "reboot", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		fmt.Fprintf(x.out, "device: method %s %s\n", r.Name, r.Payload)
		return hubwire.MethodResponse{Status: 200, Payload: json.RawMessage(`{"Response":"This is the response from the device"}`)}, nil
	})
	if err != nil {
		return err
	}
	answer, err := x.service.Invoke(ctx, id, hubwire.MethodRequest{Name: "reboot", Payload: json.RawMessage(`{"delay":3}`)}, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(x.out, "service: answer %d %s\n", answer.Status, answer.Payload)
	return nil
}
