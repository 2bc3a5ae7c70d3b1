package device_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		testkit.Zeros(t, map[string]any{
			"CredentialsFromConnectionString": device.CredentialsFromConnectionString,
			"Dial":                            device.Dial, "DialCredentials": device.DialCredentials,
			"MQTT": device.MQTT, "MQTTWebSocket": device.MQTTWebSocket,
		}, b.dial(b.device, nil), device.Credentials{}, &device.SendError{}, device.State(0), b.transport)
	})
}

func TestAContextThatIsNilIsRefused(t *testing.T) {
	var none context.Context
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		for name, call := range map[string]func() error{
			"dial":          func() error { _, err := device.Dial(none, b.device, b.transport, b.options(nil)); return err },
			"send":          func() error { return c.Send(none, &hubwire.Message{}) },
			"handle method": func() error { return c.HandleMethod(none, "m", echo) },
			"twin report":   func() error { _, err := c.Report(none, struct{}{}); return err },
			"receive":       func() error { _, err := c.Receive(none); return err },
		} {
			var e *hubwire.Error
			if err := call(); !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent || e.Op != name {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
