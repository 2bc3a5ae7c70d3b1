// Package sitetest tests the examples.
package sitetest

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

// Test plays an example on a hub of the test, as on one of this process and as on one that exists, and compares
// what it prints. Afterwards no device may be left.
func Test(t *testing.T, play func(context.Context, io.Writer, *site.Site) error, want string) {
	t.Helper()
	Each(t, nil, play, want, want)
}

// Each is Test for an example whose embedded hub has a configuration, or that prints something else on a hub
// that exists.
func Each(t *testing.T, cfg *hub.Config, play func(context.Context, io.Writer, *site.Site) error, onEmbedded, onExisting string) {
	t.Helper()
	for _, where := range []struct {
		name string
		cfg  *hub.Config
		open func(t *testing.T, h *hub.Hub) (*site.Site, error)
		want string
	}{
		{"on an embedded hub", cfg, func(_ *testing.T, h *hub.Hub) (*site.Site, error) { return site.On(h) }, onEmbedded},
		{"on a hub that exists", nil, existing, onExisting},
	} {
		t.Run(where.name, func(t *testing.T) {
			testkit.LeakCheck(t)
			h := hubtest.Start(t, where.cfg)
			s, err := where.open(t, h)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := play(t.Context(), &out, s); err != nil {
				t.Errorf("it ended with %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(where.want, out.String()); diff != "" {
				t.Errorf("what it prints (-want +got):\n%s", diff)
			}
			for _, d := range h.Devices(1000) {
				t.Errorf("the device %v is left", d.Identity)
			}
		})
	}
}

// existing leads to h by its connection string and the variables of an env file.
func existing(t *testing.T, h *hub.Hub) (*site.Site, error) {
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, h.CAPEM(), 0o600); err != nil {
		return nil, err
	}
	owner, err := h.PolicyConnectionString("iothubowner")
	if err != nil {
		return nil, err
	}
	t.Setenv("HUBWIRE_HOST", h.HostName())
	t.Setenv("HUBWIRE_MQTT_PORT", portOf(t, h.MQTTAddr()))
	t.Setenv("HUBWIRE_AMQP_PORT", portOf(t, h.AMQPAddr()))
	t.Setenv("HUBWIRE_HTTPS_PORT", portOf(t, h.HTTPSAddr()))
	t.Setenv("HUBWIRE_CA_FILE", caFile)
	return site.At(owner)
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
