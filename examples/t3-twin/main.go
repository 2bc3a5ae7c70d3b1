// Command t3-twin is the tutorial "Get started with device twins", both sides: the back end tags a device, sets a
// desired property and asks by queries which devices are in a plant, and which of those are on a cellular network;
// the device reports its connectivity, and sees what is desired of it.
//
//	go run ./examples/t3-twin
//
// It prints what the queries find before the device has reported and afterwards, and the desired properties as
// the device sees them change.
//
// The tutorial in Python had no queries, and read the twin of every device; it had no ETags, and wrote whatever
// had happened since.
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
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

var id = hubwire.Identity{DeviceID: "t3-device"}

const (
	inPlant    = "SELECT * FROM devices WHERE tags.location.plant = 'Redmond43'"
	onCellular = inPlant + " AND properties.reported.connectivity = 'cellular'"
)

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	connectionString, err := s.Device(ctx, id.DeviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, id.DeviceID, &err)
	if err := tagDevice(ctx, out, s.Service); err != nil {
		return err
	}
	if err := count(ctx, out, s.Service, 1, 0); err != nil {
		return err
	}

	c, err := device.Dial(ctx, connectionString, device.MQTT(nil), s.Options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := report(ctx, out, c); err != nil {
		return err
	}
	if err := count(ctx, out, s.Service, 1, 1); err != nil {
		return err
	}
	return follow(ctx, out, s.Service, c)
}

// tagDevice is what the back end does at first.
func tagDevice(ctx context.Context, out io.Writer, c *service.Client) error {
	twin, err := c.Twin(ctx, id)
	if err != nil {
		return err
	}
	update := &service.TwinUpdate{
		Tags:    json.RawMessage(`{"location":{"region":"US","plant":"Redmond43"}}`),
		Desired: json.RawMessage(`{"power_level":1}`),
	}
	tagged, err := c.PatchTwin(ctx, id, update, twin.ETag)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "service: tags %s, desired %s\n", tagged.Tags, tagged.Desired.JSON)

	// The ETag is why two who write at once do not undo each other's work unawares.
	if _, err := c.PatchTwin(ctx, id, update, twin.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
		return fmt.Errorf("a patch under a stale ETag ended with %v", err)
	}
	fmt.Fprintln(out, "service: a patch under the old ETag is refused")
	return nil
}

// count counts the devices of both queries, once there are as many as there should be: a hub may take
// some seconds until its queries see what was written.
func count(ctx context.Context, out io.Writer, c *service.Client, plant, cellular int) error {
	for _, q := range []struct {
		what, query string
		want        int
	}{{"in Redmond43", inPlant, plant}, {"in Redmond43 on a cellular network", onCellular, cellular}} {
		err := site.Await(ctx, func() (bool, error) {
			n := 0
			for twin, err := range service.QueryAs[service.Twin](ctx, c, q.query, &service.QueryOptions{PageSize: 100}) {
				if err != nil {
					return false, err
				}
				if twin.Identity == id {
					n++
				}
			}
			return n == q.want, nil
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "service: devices %s: %d\n", q.what, q.want)
	}
	return nil
}

// report is what the device does at first.
func report(ctx context.Context, out io.Writer, c *device.Client) error {
	twin, err := c.Twin(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "device: twin: desired %s, reported %s\n", twin.Desired.JSON, twin.Reported.JSON)
	if _, err := c.Report(ctx, map[string]string{"connectivity": "cellular"}); err != nil {
		return err
	}
	fmt.Fprintln(out, "device: reported its connectivity")
	return nil
}

// follow has the back end change what is desired, while the device looks.
func follow(ctx context.Context, out io.Writer, c *service.Client, d *device.Client) error {
	for change, err := range d.Desired(ctx) {
		if err != nil {
			return err
		}
		if !change.Full {
			fmt.Fprintf(out, "device: desired properties change: %s\n", change.JSON)
			return nil
		}
		fmt.Fprintf(out, "device: desired properties are %s\n", change.JSON)
		if _, err := c.PatchTwin(ctx, id, &service.TwinUpdate{Desired: json.RawMessage(`{"power_level":2}`)}, service.Any); err != nil {
			return err
		}
	}
	return nil
}
