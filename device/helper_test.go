package device_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

var (
	dev = hubwire.Identity{DeviceID: "dev-1"}
	mod = hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod"}
)

// transports are what each conformance test runs over.
func transports() []device.Transport {
	return []device.Transport{device.MQTT(nil), device.MQTTWebSocket(nil)}
}

// bench is a hub in a test bubble, with a device and its module, and a transport to reach them by.
type bench struct {
	t         *testing.T
	hub       *hub.Hub
	transport device.Transport
	device    string // connection strings
	module    string
}

// overEach runs a test once for each transport, in a bubble of its own, so that
// waiting takes no time, and sees to it that nothing is left behind.
func overEach(t *testing.T, cfg hub.Config, test func(*testing.T, *bench)) {
	t.Helper()
	for _, tr := range transports() {
		t.Run(tr.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				testkit.LeakCheck(t)
				cfg.InMemory = true
				h := hubtest.Start(t, &cfg)
				test(t, &bench{
					t: t, hub: h, transport: tr,
					device: hubtest.Device(t, h, dev.DeviceID), module: hubtest.Module(t, h, mod.DeviceID, mod.ModuleID),
				})
			})
		})
	}
}

// options returns what a Client of the hub needs, with changes.
func (b *bench) options(change func(*device.Options)) *device.Options {
	o := &device.Options{Dial: b.hub.Dial, TLSConfig: b.hub.ClientTLS()}
	if change != nil {
		change(o)
	}
	return o
}

// dial opens a Client, which the test's cleanup closes.
func (b *bench) dial(connectionString string, change func(*device.Options)) *device.Client {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	c, err := device.Dial(ctx, connectionString, b.transport, b.options(change))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.t.Errorf("close: %v", err)
		}
	})
	return c
}
