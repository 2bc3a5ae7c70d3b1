// Command t9d-modules is the samples "iothub_client_sample_module_sender", "…_module_filter" and
// "…_invoke_module": two modules of an edge device. The sender sends by its output1; the filter gets what comes by its
// input1, and sends it on, with its properties, by an output1 of its own; the sender calls a method of the filter.
//
//	go run ./examples/t9d-modules
//
// It prints what the filter gets, what the back end then reads of the filter, and the answers to the calls.
//
// What goes by an output arrives at another module's input by a route, and routes are IoT Edge's. The embedded hub has
// one. On a hub that exists, without IoT Edge, the filter gets nothing, and the back end reads what the sender
// sends; and whether it takes a call of one module to another is then its business. The samples ran below IoT Edge
// alone, which says by its variables who a module is: for that there is device.CredentialsFromEdge.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/service"
)

func main() { site.MainOn(routed, play) }

const messageCount = 3

var (
	sender = hubwire.Identity{DeviceID: "t9d-edge", ModuleID: "sender"}
	filter = hubwire.Identity{DeviceID: "t9d-edge", ModuleID: "filter"}

	// routed has the route that an IoT Edge deployment would have:
	// FROM /messages/modules/sender/outputs/output1 INTO BrokeredEndpoint("/modules/filter/inputs/input1")
	routed = &hub.Config{Routes: []hub.Route{{From: sender, Output: "output1", To: filter, Input: "input1"}}}
)

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	if _, err := s.Device(ctx, sender.DeviceID); err != nil {
		return err
	}
	defer s.Remove(ctx, sender.DeviceID, &err)
	events, err := s.FromNow(ctx)
	if err != nil {
		return err
	}
	from, err := connect(ctx, s, sender)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := connect(ctx, s, filter)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()

	reads := sender // unless there is a route
	if s.Hub != nil {
		reads = filter
	}
	forwarding, stop := context.WithCancel(ctx)
	forwarded := make(chan error, 1)
	go func() { forwarded <- forward(forwarding, out, to) }()
	err = send(ctx, from)
	if err == nil {
		err = read(ctx, out, s.Service, reads, events)
	}
	stop()
	if ended := <-forwarded; !errors.Is(ended, context.Canceled) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return err
	}
	return calls(ctx, out, from, to)
}

func connect(ctx context.Context, s *site.Site, id hubwire.Identity) (*device.Client, error) {
	connectionString, err := s.Module(ctx, id)
	if err != nil {
		return nil, err
	}
	return device.Dial(ctx, connectionString, device.MQTT(nil), s.Options())
}

// send is the sender: each message goes out by its output1.
func send(ctx context.Context, c *device.Client) error {
	for i := range messageCount {
		temperature := 27 + i
		m := &hubwire.Message{
			Body: fmt.Appendf(nil, `{"temperature":%d}`, temperature), Output: "output1", ID: fmt.Sprint("message_", i),
			Properties: []hubwire.Property{{Name: "temperatureAlert", Value: fmt.Sprint(temperature > 28)}},
		}
		if err := c.Send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// forward is the filter. A message is completed when the hub has what came of it, so none is lost in between.
func forward(ctx context.Context, out io.Writer, c *device.Client) error {
	return c.HandleMessages(ctx, func(ctx context.Context, m *hubwire.Received) error {
		if m.Input != "input1" {
			fmt.Fprintf(out, "filter: a message by the input %q is not for it\n", m.Input)
			return nil
		}
		fmt.Fprintf(out, "filter: by %s: %s %v\n", m.Input, m.Body, m.Properties)
		onward := m.Message // with its ids and properties
		onward.To, onward.Output = "", "output1"
		return c.Send(ctx, &onward)
	})
}

// read is the back end.
func read(ctx context.Context, out io.Writer, c *service.Client, from hubwire.Identity, events *service.EventOptions) error {
	var lines []string
	for ev, err := range c.Events(ctx, events) {
		if err != nil {
			return err
		}
		if ev.Source != from || ev.MessageSource != service.SourceTelemetry {
			continue
		}
		lines = append(lines, fmt.Sprintf("service: %s of %v by %s: %s %v\n", ev.ID, ev.Source, ev.Output, ev.Body, ev.Properties))
		if len(lines) == messageCount {
			break
		}
	}
	for _, line := range lines {
		io.WriteString(out, line)
	}
	return nil
}

// calls has the sender call a method of the filter, and one of a module that is not there.
func calls(ctx context.Context, out io.Writer, from, to *device.Client) error {
	err := to.HandleMethod(ctx, "setThreshold", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		fmt.Fprintf(out, "filter: %s %s\n", r.Name, r.Payload)
		return hubwire.MethodResponse{Status: 200, Payload: json.RawMessage(`{"threshold":30}`)}, nil
	})
	if err != nil {
		return err
	}
	nobody := hubwire.Identity{DeviceID: sender.DeviceID, ModuleID: "nobody"}
	for _, id := range []hubwire.Identity{to.Identity(), nobody} {
		answer, err := from.Invoke(ctx, id, hubwire.MethodRequest{Name: "setThreshold", Payload: json.RawMessage(`{"to":30}`)}, nil)
		refusal, ok := errors.AsType[*hubwire.Error](err)
		switch {
		case err == nil:
			fmt.Fprintf(out, "sender: %v answered %d %s\n", id, answer.Status, answer.Payload)
		case ok && refusal.Outcome == hubwire.Refused:
			fmt.Fprintf(out, "sender: the call of %v is refused: %s\n", id, refusal.Code.Name())
		default:
			return err
		}
	}
	return nil
}
