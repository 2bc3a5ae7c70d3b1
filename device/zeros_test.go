package device_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		testkit.Zeros(t, map[string]any{
			"CredentialsFromConnectionString": device.CredentialsFromConnectionString, "CredentialsFromEdge": device.CredentialsFromEdge,
			"Dial": device.Dial, "DialCredentials": device.DialCredentials,
			"MQTT": device.MQTT, "MQTTWebSocket": device.MQTTWebSocket, "HTTPS": device.HTTPS,
			"AMQP": device.AMQP, "AMQPWebSocket": device.AMQPWebSocket, "NewAMQPConnection": device.NewAMQPConnection,
			"Auto": device.Auto, "Probe": device.Probe, "Features": device.Features, "Lost": device.Lost,
		}, b.dial(b.device, nil), device.Credentials{}, &device.SendError{}, &device.NoDoorError{}, device.State(0), device.Feature(0), device.Obstacle(0),
			device.Support{}, device.Door{}, b.transport, &device.AMQPConnection{})
	})
}

func TestAContextThatIsNilIsRefused(t *testing.T) {
	var none context.Context
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
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

// FuzzText feeds text to everything that takes some from the program.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		"", "HostName=h;DeviceId=d;SharedAccessKey=AAAA", "HostName=h;DeviceId=d;ModuleId=m;x509=true;GatewayHostName=g",
		"HostName=h;DeviceId=d;SharedAccessSignature=SharedAccessSignature sr=h&sig=AAAA&se=1", "[::1]:8883", "a/b", "\xff", "d\x00", "%", "ä=ö;;=",
	} {
		f.Add(s)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	refused := &device.Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network") }}
	f.Fuzz(func(t *testing.T, s string) {
		cred, err := device.CredentialsFromConnectionString(s)
		var e *hubwire.Error
		if err != nil && (!errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent) {
			t.Errorf("%q: %v", s, err)
		}
		if err == nil && (cred.HostName == "" || cred.Identity.DeviceID == "") {
			t.Errorf("%q: %v", s, cred)
		}
		named := device.Credentials{HostName: s, GatewayHostName: s, Identity: hubwire.Identity{DeviceID: s, ModuleID: s}, Tokens: tokens(nil)}
		o := *refused
		o.ProductInfo, o.ModelID = s, s
		for _, tr := range everywhere() {
			_, byString := device.Dial(over, s, tr, refused)
			_, byName := device.DialCredentials(over, named, tr, &o)
			for _, err := range []error{byString, byName} {
				if !errors.As(err, &e) || e.Op != "dial" && e.Op != "connection string" || e.Outcome != hubwire.NotSent {
					t.Errorf("%q over %v: %v", s, tr, err)
				}
			}
		}
	})
}
