package hub_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestStartListensOnLoopback(t *testing.T) {
	testkit.LeakCheck(t)
	h := hubtest.Start(t, nil)
	for _, addr := range []string{h.MQTTAddr(), h.HTTPSAddr()} {
		host, port, err := net.SplitHostPort(addr)
		if err != nil || host != "127.0.0.1" || port == "0" {
			t.Errorf("address %q, %v", addr, err)
		}
		nc, err := tls.Dial("tcp", addr, h.ClientTLS())
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		nc.Close()
	}
}

func TestStartRefusesWhatMakesNoSense(t *testing.T) {
	for name, cfg := range map[string]*hub.Config{
		"HostName with a port":        {HostName: "localhost:8883"},
		"HostName that is a URL":      {HostName: "https://localhost"},
		"MaxDeliveryCount below 1":    {MaxDeliveryCount: -1},
		"MaxDeliveryCount over 100":   {MaxDeliveryCount: 101},
		"Partitions below zero":       {Partitions: -1},
		"Partitions over 128":         {Partitions: 129},
		"ConsumerGroups without name": {ConsumerGroups: []string{""}},
		"ConsumerGroups with a path":  {ConsumerGroups: []string{"a", "b/c"}},
		"EventSources unknown":        {EventSources: []hub.EventSource{"jobs"}},
		"EventSources of telemetry":   {EventSources: []hub.EventSource{hub.SourceTelemetry}},
		"LockTimeout below zero":      {LockTimeout: -1},
		"DefaultTTL below zero":       {DefaultTTL: -1},
		"ConnectTimeout below zero":   {ConnectTimeout: -1},
		"WriteTimeout below zero":     {WriteTimeout: -1},
		"MaxSubscriptions below zero": {MaxSubscriptions: -1},
		"MaxStrangers below zero":     {MaxStrangers: -1},

		"Throttle.MessagesADay below zero":    {Throttle: hub.Throttle{MessagesADay: -1}},
		"Throttle.Telemetry below zero":       {Throttle: hub.Throttle{Telemetry: -1}},
		"Provisioning.IDScope with a slash":   {Provisioning: hub.Provisioning{IDScope: "a/b"}},
		"Provisioning.AssignAfter below zero": {Provisioning: hub.Provisioning{AssignAfter: -1}},
		"VerifiedCAs with a nil":              {VerifiedCAs: []*x509.Certificate{nil}},
		"Throttle.Connects of NaN":            {Throttle: hub.Throttle{Connects: math.NaN()}},
	} {
		h, err := hub.Start(t.Context(), cfg)
		field, _, _ := strings.Cut(name, " ")
		if h != nil || !errors.Is(err, hubwire.ArgumentInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"::1", "127.0.0.1", "my-hub.azure-devices.net"} {
		h := hubtest.Start(t, &hub.Config{InMemory: true, HostName: name})
		if h.HostName() != name {
			t.Errorf("HostName %q", h.HostName())
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		h, err := hub.Start(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		h.Close()
	}
}

func TestStartSaysWhichPortIsTaken(t *testing.T) {
	testkit.LeakCheck(t)
	first := hubtest.Start(t, nil)
	for _, cfg := range []*hub.Config{{MQTTAddr: first.MQTTAddr()}, {HTTPSAddr: first.HTTPSAddr()}} {
		h, err := hub.Start(t.Context(), cfg)
		var op *net.OpError
		if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) || op.Addr.String() != cfg.MQTTAddr+cfg.HTTPSAddr {
			t.Errorf("error %v, want address in use, with the address", err)
		}
		if h != nil {
			t.Error("there is a hub")
		}
	}
	if _, err := hub.Start(t.Context(), &hub.Config{MQTTAddr: "no port"}); err == nil {
		t.Error("an address without a port was taken")
	}
}

func TestClose(t *testing.T) {
	testkit.LeakCheck(t)
	h, err := hub.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Connections in each stage: fresh, in TLS, and waiting for a request.
	for _, addr := range []string{h.MQTTAddr(), h.HTTPSAddr()} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	dialTLS(t, h, "8883", nil)
	dialTLS(t, h, "443", nil)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := h.Dial(t.Context(), "tcp", "localhost:8883"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial after Close: %v", err)
	}
	if _, err := net.Dial("tcp", h.MQTTAddr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("net.Dial after Close: %v", err)
	}
}

func TestDial(t *testing.T) {
	h := hubtest.Start(t, nil)
	_, mqttPort, _ := net.SplitHostPort(h.MQTTAddr())
	_, httpsPort, _ := net.SplitHostPort(h.HTTPSAddr())
	tests := []struct {
		name, network, addr string
		want                error
	}{
		{"MQTT by its port", "tcp", "localhost:8883", nil},
		{"HTTPS by its port", "tcp4", "any.host:443", nil},
		{"MQTT by the port listened on", "tcp", "localhost:" + mqttPort, nil},
		{"HTTPS by the port listened on", "tcp6", "localhost:" + httpsPort, nil},
		{"a port without a door", "tcp", "localhost:1883", syscall.ECONNREFUSED},
		{"another network", "udp", "localhost:8883", net.UnknownNetworkError("udp")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nc, err := h.Dial(t.Context(), tt.network, tt.addr)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err != nil {
				var op *net.OpError
				if !errors.As(err, &op) || op.Op != "dial" {
					t.Errorf("error %#v, want a net.OpError", err)
				}
				return
			}
			nc.Close()
		})
	}
	t.Run("an address without a port", func(t *testing.T) {
		if _, err := h.Dial(t.Context(), "tcp", "localhost"); err == nil {
			t.Error("no error")
		}
	})
	t.Run("a context that has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		h := hubtest.Start(t, &hub.Config{InMemory: true})
		// The listener may be as quick as the context: then there is a connection.
		nc, err := h.Dial(ctx, "tcp", "localhost:443")
		if err == nil {
			nc.Close()
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

func TestTLSVersions(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	for _, port := range []string{"8883", "443"} {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := dialTLS(t, h, port, func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = v, v })
			if got := c.ConnectionState().Version; got != v {
				t.Errorf("port %s: %s, want %s", port, tls.VersionName(got), tls.VersionName(v))
			}
		}
		nc, err := h.Dial(t.Context(), "tcp", "localhost:"+port)
		if err != nil {
			t.Fatal(err)
		}
		cfg := h.ClientTLS()
		cfg.ServerName, cfg.MinVersion, cfg.MaxVersion = "localhost", tls.VersionTLS10, tls.VersionTLS11
		if err := tls.Client(nc, cfg).HandshakeContext(t.Context()); err == nil {
			t.Errorf("port %s: TLS 1.1 was taken", port)
		}
		nc.Close()
	}
}

func TestCertificateAsksForNoClientCertificate(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true, HostName: "my.hub.example"})
	for _, name := range []string{"my.hub.example", "localhost", "a.azure-devices.net", "global.azure-devices-provisioning.net"} {
		asked := false
		c := dialTLS(t, h, "8883", func(cfg *tls.Config) {
			cfg.ServerName = name
			cfg.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				if len(i.AcceptableCAs) != 0 {
					t.Error("the hub names authorities, which makes clients hold back certificates of others")
				}
				return new(tls.Certificate), nil
			}
		})
		if !asked || len(c.ConnectionState().PeerCertificates) != 2 {
			t.Errorf("%s: asked %v, chain of %d", name, asked, len(c.ConnectionState().PeerCertificates))
		}
	}
}

func TestDataDirKeepsTheAuthority(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hub")
	var first []byte
	for i := range 2 {
		h, err := hub.Start(t.Context(), &hub.Config{InMemory: true, DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = file
		}
		if diff := cmp.Diff(string(first), string(h.CAPEM())); diff != "" {
			t.Errorf("start %d (-want +got)\n%s", i, diff)
		}
		block, _ := pem.Decode(h.CAPEM())
		if cert, err := x509.ParseCertificate(block.Bytes); err != nil || !cert.IsCA {
			t.Errorf("CAPEM is no authority: %v", err)
		}
		h.Close()
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.Start(t.Context(), &hub.Config{InMemory: true, DataDir: dir}); err == nil {
		t.Error("a damaged authority was taken, or replaced")
	}
}

func TestConnectionStrings(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true, HostName: "myhub.azure-devices.net"})
	create(t, h, dev, mod)
	if _, err := h.Create(t.Context(), &hub.Device{Identity: other, Auth: hub.AuthCA}); err != nil {
		t.Fatal(err)
	}
	key := func(id hubwire.Identity) string {
		d, err := h.Device(id)
		if err != nil {
			t.Fatal(err)
		}
		return d.PrimaryKey.Reveal()
	}
	get := func(s string, err error) string {
		if err != nil {
			t.Error(err)
		}
		return s
	}
	owner := policyKey(t, h, "iothubowner").Reveal()
	const host = "HostName=myhub.azure-devices.net;"
	want := map[string]string{
		"device":  host + "DeviceId=dev-1;SharedAccessKey=" + key(dev),
		"module":  host + "DeviceId=dev-1;ModuleId=mod;SharedAccessKey=" + key(mod),
		"x509":    host + "DeviceId=dev-2;x509=true",
		"service": host + "SharedAccessKeyName=service;SharedAccessKey=" + policyKey(t, h, "service").Reveal(),
		"owner":   host + "SharedAccessKeyName=iothubowner;SharedAccessKey=" + owner,
		"events":  "Endpoint=sb://myhub.azure-devices.net/;SharedAccessKeyName=iothubowner;SharedAccessKey=" + owner + ";EntityPath=myhub",
	}
	got := map[string]string{
		"device":  get(h.ConnectionString(dev)),
		"module":  get(h.ConnectionString(mod)),
		"x509":    get(h.ConnectionString(other)),
		"service": get(h.PolicyConnectionString("Service")),
		"owner":   get(h.PolicyConnectionString("iothubowner")),
		"events":  h.EventHubConnectionString(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := h.ConnectionString(hubwire.Identity{DeviceID: "x"}); !errors.Is(err, hubwire.DeviceNotFound) {
		t.Errorf("of an unknown device: %v", err)
	}
	if _, err := h.PolicyConnectionString("x"); !errors.Is(err, hubwire.ArgumentInvalid) || !strings.Contains(err.Error(), "registryReadWrite") {
		t.Errorf("of an unknown policy: %v", err)
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev)
	d, err := h.Device(dev)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Hides(t, "a device", d.PrimaryKey.Reveal(), d)
	testkit.Hides(t, "a device", d.SecondaryKey.Reveal(), *d)
}

func TestManyHubsDoNotMeet(t *testing.T) {
	testkit.LeakCheck(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			h, err := hub.Start(t.Context(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer h.Close()
			id := hubwire.Identity{DeviceID: fmt.Sprint("only-", i)}
			if _, err := h.Create(t.Context(), &hub.Device{Identity: id}); err != nil {
				t.Error(err)
			}
			if ds := h.Devices(10); len(ds) != 1 || ds[0].Identity != id {
				t.Errorf("hub %d has %d devices", i, len(ds))
			}
		})
	}
	wg.Wait()
}
