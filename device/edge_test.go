package device_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// edge is a workload API as IoT Edge has it, in front of a hub in the place of the gateway.
type edge struct {
	t      *testing.T
	hub    *hub.Hub
	signed atomic.Int32
	fails  atomic.Int32 // how many more signatures fail, with status
	status atomic.Int32
	bundle string
}

func startEdge(t *testing.T) *edge {
	testkit.LeakCheck(t)
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	hubtest.Device(t, h, mod.DeviceID)
	hubtest.Module(t, h, mod.DeviceID, mod.ModuleID)
	return &edge{t: t, hub: h, bundle: string(h.CAPEM())}
}

// ServeHTTP implements [http.Handler].
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	if got := r.URL.Query().Get("api-version"); got != "2018-06-28" || r.Host == "" {
		e.t.Errorf("api-version %q, host %q", got, r.Host)
	}
	switch r.Method + " " + r.URL.EscapedPath() {
	case "GET /trust-bundle":
		answer(map[string]string{"certificate": e.bundle})
	case "POST /modules/mod/genid/gen%2F1/sign":
		if e.fails.Add(-1) >= 0 {
			w.WriteHeader(int(e.status.Load()))
			answer(map[string]string{"message": "no Key=secret"})
			return
		}
		var v struct {
			KeyID, Algo string
			Data        []byte
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &v); err != nil || v.KeyID != "primary" || v.Algo != "HMACSHA256" {
			e.t.Errorf("sign %s: %v", body, err)
		}
		d, err := e.hub.Device(mod)
		if err != nil {
			e.t.Error(err)
			return
		}
		key, err := sas.NewKey(sas.Secret(d.PrimaryKey))
		if err != nil {
			e.t.Error(err)
			return
		}
		mac, _ := key.Sign(r.Context(), nil, v.Data)
		e.signed.Add(1)
		answer(map[string][]byte{"digest": mac})
	default:
		e.t.Errorf("%s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusNotFound)
	}
}

// listen serves, and returns the variables that IoT Edge sets.
func (e *edge) listen(network, addr string) map[string]string {
	e.t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		e.t.Fatal(err)
	}
	s := &http.Server{Handler: e}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	e.t.Cleanup(func() { s.Close(); <-done })
	uri := "unix://" + addr
	if network == "tcp" {
		uri = "http://" + l.Addr().String() + "/"
	}
	return map[string]string{
		"IOTEDGE_WORKLOADURI": uri, "IOTEDGE_IOTHUBHOSTNAME": e.hub.HostName(), "IOTEDGE_GATEWAYHOSTNAME": "localhost",
		"IOTEDGE_DEVICEID": mod.DeviceID, "IOTEDGE_MODULEID": mod.ModuleID, "IOTEDGE_MODULEGENERATIONID": "gen/1",
		"IOTEDGE_AUTHSCHEME": "sastoken",
	}
}

func variables(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

func TestAModuleOfIoTEdgeConnects(t *testing.T) {
	for network, addr := range map[string]string{"unix": filepath.Join(t.TempDir(), "w.sock"), "tcp": "127.0.0.1:0"} {
		t.Run(network, func(t *testing.T) {
			e := startEdge(t)
			cred, roots, err := device.CredentialsFromEdge(t.Context(), variables(e.listen(network, addr)))
			if err != nil {
				t.Fatal(err)
			}
			if cred.Identity != mod || cred.HostName != "localhost" || cred.GatewayHostName != "localhost" {
				t.Errorf("%v", cred)
			}
			o := &device.Options{Dial: e.hub.Dial, TLSConfig: e.hub.ClientTLS(), CloseTimeout: time.Minute}
			o.TLSConfig.RootCAs = roots
			e.status.Store(http.StatusServiceUnavailable) // it is just starting
			e.fails.Store(1)
			c, err := device.DialCredentials(t.Context(), cred, device.MQTT(nil), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.Send(t.Context(), &hubwire.Message{Output: "output1"}), c.Close()); err != nil {
				t.Error(err)
			}
			if e.signed.Load() != 1 {
				t.Errorf("%d signatures", e.signed.Load())
			}
		})
	}
}

func TestASignatureThatIoTEdgeRefusesEndsDial(t *testing.T) {
	e := startEdge(t)
	cred, _, err := device.CredentialsFromEdge(t.Context(), variables(e.listen("tcp", "127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	e.status.Store(http.StatusForbidden)
	e.fails.Store(100)
	_, err = device.DialCredentials(t.Context(), cred, device.MQTT(nil), &device.Options{Dial: e.hub.Dial, TLSConfig: e.hub.ClientTLS()})
	if err == nil || !strings.Contains(err.Error(), "403 Forbidden no Key=(secret)") {
		t.Errorf("it ended with %v", err)
	}
}

func TestWhatIsWrongWithTheEnvironment(t *testing.T) {
	e := startEdge(t)
	good := e.listen("tcp", "127.0.0.1:0")
	if _, _, err := device.CredentialsFromEdge(t.Context(), variables(good)); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"IOTEDGE_WORKLOADURI": "", "IOTEDGE_IOTHUBHOSTNAME": "", "IOTEDGE_DEVICEID": "", "IOTEDGE_MODULEID": "a/b",
		"IOTEDGE_MODULEGENERATIONID": "", "IOTEDGE_AUTHSCHEME": "x509", "IOTEDGE_GATEWAYHOSTNAME": "host:8883",
		"EdgeHubConnectionString": "HostName=h", "IOTEDGE_WORKLOADURI ": "tcp://h:1", "IOTEDGE_WORKLOADURI  ": "unix://", "IOTEDGE_WORKLOADURI   ": "\x00",
		"EdgeModuleCACertificateFile": empty, "EdgeModuleCACertificateFile ": empty + ".none",
	} {
		env := maps.Clone(good)
		env[strings.TrimSpace(name)] = value
		if strings.HasPrefix(name, "EdgeModule") {
			env["EdgeHubConnectionString"] = "HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=AAAA"
		}
		_, _, err := device.CredentialsFromEdge(t.Context(), variables(env))
		if !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("%s=%q: %v", name, value, err)
		}
	}
}

func TestAWorkloadAPIThatMakesNoSense(t *testing.T) {
	e := startEdge(t)
	env := e.listen("tcp", "127.0.0.1:0")
	for name, bundle := range map[string]string{"nothing": "", "no certificate": "x", "too much": strings.Repeat("x", 2<<20)} {
		e.bundle = bundle
		_, _, err := device.CredentialsFromEdge(t.Context(), variables(env))
		if failed, ok := errors.AsType[*hubwire.Error](err); !ok || !failed.Retryable || failed.Op != "edge" {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := device.CredentialsFromEdge(ctx, variables(env)); !errors.Is(err, context.Canceled) {
		t.Errorf("under a context that has ended: %v", err)
	}
}

func TestTheEnvironmentOfASimulator(t *testing.T) {
	e := startEdge(t)
	connectionString, err := e.hub.ConnectionString(mod)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, e.hub.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	cred, roots, err := device.CredentialsFromEdge(t.Context(), variables(map[string]string{
		"EdgeHubConnectionString": connectionString + ";GatewayHostName=localhost", "EdgeModuleCACertificateFile": file,
	}))
	if err != nil {
		t.Fatal(err)
	}
	if cred.Identity != mod || cred.GatewayHostName != "localhost" || roots == nil || !roots.Equal(e.hub.CertPool()) {
		t.Errorf("%v, %v", cred, roots)
	}
}

func ExampleCredentialsFromEdge() {
	ctx := context.Background()
	cred, roots, err := device.CredentialsFromEdge(ctx, nil) // by the variables that IoT Edge sets
	if err != nil {
		fmt.Println("this is no module of IoT Edge:", errors.Is(err, hubwire.ArgumentInvalid))
		return
	}
	// Roots that are nil are the system's.
	o := &device.Options{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
	c, err := device.DialCredentials(ctx, cred, device.MQTT(nil), o)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	// Output: this is no module of IoT Edge: true
}
