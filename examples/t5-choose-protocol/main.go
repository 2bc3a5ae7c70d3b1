// Command t5-choose-protocol is the guide "Choose a device communication protocol" as a program: a device that goes
// from one network to the next, each of which bars something.
//
//	go run ./examples/t5-choose-protocol
//
// In each it looks which protocols reach the hub, has device.Auto choose one that has what it needs, and sends a
// message by it. It prints which doors are open, which one was chosen, and what is lost by the choice.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
)

func main() { site.Main(play) }

const deviceID = "t5-device"

// needs are what the device cannot do without.
var needs = []device.Feature{device.FeatureTwin, device.FeatureMethods}

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	connectionString, err := s.Device(ctx, deviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, deviceID, &err)
	for _, network := range []struct {
		name  string
		bars  []string // ports
		needs []device.Feature
	}{
		{"a network that lets everything out", nil, needs},
		{"a network that bars 8883", []string{"8883"}, needs},
		{"a network that bars 8883 and 5671, with a device that rejects messages", []string{"8883", "5671"}, append(needs, device.FeatureReject)},
		{"a network that bars 443 and 8883", []string{"443", "8883"}, needs},
	} {
		fmt.Fprintf(out, "%s\n", network.name)
		o := s.Options()
		o.Dial = barring(o.Dial, network.bars)
		if err := probe(ctx, out, connectionString, o); err != nil {
			return err
		}
		if err := send(ctx, out, connectionString, network.needs, o); err != nil {
			return err
		}
	}
	return nothingWillDo(ctx, out, connectionString, s)
}

// barring returns a dial function for a network in which some ports are closed.
func barring(dial func(ctx context.Context, network, addr string) (net.Conn, error), ports []string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if _, port, _ := net.SplitHostPort(addr); slices.Contains(ports, port) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return dial(ctx, network, addr)
	}
}

// probe shows which protocols reach the hub. It needs no credentials.
func probe(ctx context.Context, out io.Writer, connectionString string, o *device.Options) error {
	doors, err := device.Probe(ctx, connectionString, nil, o)
	if err != nil {
		return err
	}
	for _, d := range doors {
		status := "open"
		if !d.Open() {
			status = d.Obstacle.String()
		}
		fmt.Fprintf(out, "  %-8s %s\n", d.Transport, status)
	}
	return nil
}

// send has Auto choose, and sends a message by what it has chosen.
func send(ctx context.Context, out io.Writer, connectionString string, needs []device.Feature, o *device.Options) error {
	c, err := device.Dial(ctx, connectionString, device.Auto(&device.AutoOptions{Needs: needs}), o)
	if err != nil {
		return err
	}
	made := c.Choice()
	fmt.Fprintf(out, "  chosen: %v", made.Transport)
	for _, d := range made.Passed {
		fmt.Fprintf(out, "; %v: %v", d.Transport, d.Obstacle)
	}
	lost := make([]string, len(made.Lost))
	for i, l := range made.Lost {
		lost[i] = l.Feature.String()
	}
	fmt.Fprintf(out, "\n  lost by it: %s\n", strings.Join(lost, ", "))
	return errors.Join(c.Send(ctx, &hubwire.Message{Body: []byte(`{"network":"` + made.Transport.String() + `"}`)}), c.Close())
}

// nothingWillDo has the device need what nothing has that it may use.
func nothingWillDo(ctx context.Context, out io.Writer, connectionString string, s *site.Site) error {
	auto := device.Auto(&device.AutoOptions{Transports: []device.Transport{device.HTTPS(nil)}, Needs: needs})
	c, err := device.Dial(ctx, connectionString, auto, s.Options())
	if !errors.Is(err, errors.ErrUnsupported) {
		if err == nil {
			err = c.Close()
		}
		return fmt.Errorf("over HTTPS alone it ended with %w", err)
	}
	fmt.Fprintln(out, "over HTTPS alone: refused, as it has neither a twin nor direct methods")
	return nil
}
