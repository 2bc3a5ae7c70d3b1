package hub_test

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// The identities of the matrix. edge has a module $edgeHub with keys; off is disabled.
var (
	edge      = hubwire.Identity{DeviceID: "edge"}
	actingHub = hubwire.Identity{DeviceID: "edge", ModuleID: "$edgeHub"}
	off       = hubwire.Identity{DeviceID: "off"}
)

// need says whose credentials an operation takes.
type need struct {
	policies []string // by name
	own      bool     // the device or module that it is on
	device   bool     // the device that it is on a module of
	caller   bool     // a module that says who it is
	edge     bool     // the edge device's $edgeHub
}

// The policies that have a right, of those that a new hub has.
var (
	withRegistryRead   = []string{"iothubowner", "registryRead", "registryReadWrite"}
	withRegistryWrite  = []string{"iothubowner", "registryReadWrite"}
	withServiceConnect = []string{"iothubowner", "service"}
	withDeviceConnect  = []string{"iothubowner", "device"}
)

var (
	ofTheDevice  = need{policies: withDeviceConnect, own: true}
	ofRegistry   = need{policies: withRegistryRead}
	toRegistry   = need{policies: withRegistryWrite}
	ofModules    = need{policies: withRegistryRead, device: true}
	toModules    = need{policies: withRegistryWrite, device: true}
	ofTheService = need{policies: withServiceConnect}
	ofAnEdge     = need{policies: withDeviceConnect, edge: true}
)

// needs are those of each operation there is.
var needs = map[httpsx.Operation]need{
	httpsx.SendTelemetry: ofTheDevice, httpsx.ReceiveC2D: ofTheDevice, httpsx.CompleteC2D: ofTheDevice, httpsx.RejectC2D: ofTheDevice,
	httpsx.AbandonC2D: ofTheDevice, httpsx.InitUpload: ofTheDevice, httpsx.NotifyUpload: ofTheDevice,

	httpsx.GetDevice: ofRegistry, httpsx.ListDevices: ofRegistry, httpsx.GetDeviceStatistics: ofRegistry,
	httpsx.PutDevice: toRegistry, httpsx.DeleteDevice: toRegistry, httpsx.BulkDevices: toRegistry, httpsx.RegenerateKeys: toRegistry,
	httpsx.GetModule: ofModules, httpsx.ListModules: ofModules, httpsx.PutModule: toModules, httpsx.DeleteModule: toModules,
	httpsx.GetServiceStatistics: {policies: []string{"iothubowner", "service", "registryRead", "registryReadWrite"}},

	httpsx.GetTwin: ofTheService, httpsx.PatchTwin: ofTheService, httpsx.PutTwin: ofTheService, httpsx.Query: ofTheService,
	httpsx.PurgeC2D: ofTheService, httpsx.SendC2D: ofTheService,
	httpsx.InvokeMethod: {policies: withServiceConnect, caller: true},

	httpsx.ListJobs: ofTheService, httpsx.GetJob: ofTheService, httpsx.PutJob: ofTheService, httpsx.CancelJob: ofTheService,
	httpsx.CreateImportExport: toRegistry, httpsx.ListImportExports: toRegistry, httpsx.GetImportExport: toRegistry, httpsx.CancelImportExport: toRegistry,

	httpsx.GetConfiguration: ofRegistry, httpsx.ListConfigurations: ofRegistry, httpsx.TestConfigurationQueries: ofRegistry,
	httpsx.PutConfiguration: toRegistry, httpsx.DeleteConfiguration: toRegistry, httpsx.ApplyConfiguration: toRegistry,

	httpsx.GetDigitalTwin: ofTheService, httpsx.PatchDigitalTwin: ofTheService, httpsx.InvokeCommand: ofTheService,
	httpsx.ReceiveFeedback: ofTheService, httpsx.CompleteFeedback: ofTheService, httpsx.AbandonFeedback: ofTheService,

	httpsx.ListScope: ofAnEdge, httpsx.GetInScope: ofAnEdge, httpsx.ListTargetScope: ofAnEdge, httpsx.GetOnBehalfOf: ofAnEdge,
	httpsx.PutModuleOnBehalfOf: ofAnEdge, httpsx.GetModuleOnBehalfOf: ofAnEdge, httpsx.ListModulesOnBehalfOf: ofAnEdge, httpsx.DeleteModuleOnBehalfOf: ofAnEdge,
}

// matrix is a hub, and a client that asks for each operation with each credential.
type matrix struct {
	testing.TB
	h      *hub.Hub
	client *http.Client
}

func newMatrix(t *testing.T) *matrix {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, other, mod)
	for _, d := range []*hub.Device{{Identity: edge, Edge: true}, {Identity: off, Disabled: true}} {
		if _, err := h.Create(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Update(t.Context(), &hub.Device{Identity: actingHub}, ""); err != nil {
		t.Fatal(err)
	}
	sendC2D(t, h, dev, "hi")
	sendC2D(t, h, mod, "hi")
	return &matrix{t, h, webClient(t, h)}
}

// targets are what an operation can be asked of: where there is a choice a device and a module.
func targets(op httpsx.Operation) (all []httpsx.Target) {
	ids := []hubwire.Identity{{}, dev, mod}
	if needs[op].edge {
		ids = []hubwire.Identity{edge}
	}
	for _, id := range ids {
		for _, name := range []string{"", "none"} {
			if t := (httpsx.Target{Identity: id, Name: name}); op.Check(t) == nil {
				all = append(all, t)
			}
		}
	}
	return all
}

// ask asks for an operation without a body.
func (m *matrix) ask(op httpsx.Operation, t httpsx.Target, authorization string, caller hubwire.Identity) *http.Response {
	m.Helper()
	r, err := (&httpsx.Request{Op: op, Target: t, Caller: caller, Scope: hubwire.Identity{DeviceID: t.Identity.DeviceID}}).NewHTTP(m.Context(), "localhost")
	if err != nil {
		m.Fatalf("%v of %+v: %v", op, t, err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := m.client.Do(r)
	if err != nil {
		m.Fatalf("%v of %+v: %v", op, t, err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res
}

// keyToken is a token by a key of an identity, for what it names.
func (m *matrix) keyToken(id hubwire.Identity, resource string) string {
	m.Helper()
	d, err := m.h.Device(id)
	if err != nil {
		m.Fatal(err)
	}
	return token(d.PrimaryKey, resource, "", time.Now().Add(time.Hour))
}

func resourceOf(id hubwire.Identity) string {
	if id.IsModule() {
		return "localhost/devices/" + id.DeviceID + "/modules/" + id.ModuleID
	}
	return "localhost/devices/" + id.DeviceID
}

func (m *matrix) policyToken(policy, resource string, life time.Duration) string {
	return token(policyKey(m, m.h, policy), resource, policy, time.Now().Add(life))
}

// state is what must not change when all is refused.
func (m *matrix) state() []any {
	var all []any
	for _, d := range m.h.Devices(100) {
		modules, err := m.h.Modules(d.Identity.DeviceID)
		if err != nil {
			m.Fatal(err)
		}
		for _, d := range append(modules, d) {
			twin, err := m.h.Twin(m.Context(), d.Identity)
			if err != nil {
				m.Fatal(err)
			}
			all = append(all, d.Identity, d.ETag, d.QueueLength, twin.ETag, d.PrimaryKey.Reveal())
		}
	}
	return append(all, len(events(m, m.h)))
}

// operations are all there are.
func allOperations(yield func(httpsx.Operation) bool) {
	for op := range httpsx.Operation(255) {
		if op.Method() != "" && !yield(op) {
			return
		}
	}
}

// TestWhoMayNotAsk has each operation asked for with each credential that it does not
// take. The answer is 401 (403 for who is disabled), and nothing happens.
func TestWhoMayNotAsk(t *testing.T) {
	m := newMatrix(t)
	before := m.state()
	for op := range allOperations {
		n, ok := needs[op]
		if !ok {
			t.Errorf("nobody has said who may ask for %v", op)
			continue
		}
		for _, target := range targets(op) {
			refused := func(what, authorization string, caller hubwire.Identity) {
				t.Helper()
				res := m.ask(op, target, authorization, caller)
				code := res.Header.Get("iothub-errorcode")
				if res.StatusCode != 401 || code != "IotHubUnauthorizedAccess" && code != "IotHubUnauthorized" {
					t.Errorf("%v of %v with %s: %s %s", op, target.Identity, what, res.Status, code)
				}
			}
			nobody := hubwire.Identity{}
			refused("nothing", "", nobody)
			refused("what is no token", "SharedAccessSignature sr=x", nobody)
			refused("a bearer token", "Bearer x", nobody)
			refused("an expired token", m.policyToken("iothubowner", "localhost", -6*time.Minute), nobody)
			refused("a token for another hub", m.policyToken("iothubowner", "elsewhere", time.Hour), nobody)
			refused("a token for another device", m.policyToken("iothubowner", "localhost/devices/dev-2", time.Hour), nobody)
			refused("the key of another policy", token(policyKey(t, m.h, "device"), "localhost", "iothubowner", time.Now().Add(time.Hour)), nobody)
			refused("an unknown policy", token(policyKey(t, m.h, "iothubowner"), "localhost", "nobody", time.Now().Add(time.Hour)), nobody)
			refused("another device's key", m.keyToken(other, "localhost"), nobody)
			for _, policy := range []string{"iothubowner", "service", "device", "registryRead", "registryReadWrite"} {
				if !slices.Contains(n.policies, policy) {
					refused("policy "+policy, m.policyToken(policy, "localhost", time.Hour), nobody)
				}
			}
			if !(n.own && target.Identity == dev) && !n.device {
				refused("the device's key", m.keyToken(dev, resourceOf(dev)), nobody)
			}
			if !(n.own && target.Identity == mod) {
				refused("the module's key", m.keyToken(mod, resourceOf(mod)), nobody)
			}
			if n.caller {
				refused("the key of a module that says it is another", m.keyToken(mod, resourceOf(mod)), actingHub)
				refused("the key of a device that calls", m.keyToken(dev, resourceOf(dev)), dev)
				refused("the key of a module of another device", m.keyToken(actingHub, resourceOf(actingHub)), actingHub)
			}
			if !n.edge {
				refused("the key of an edge device's module", m.keyToken(actingHub, resourceOf(actingHub)), nobody)
			}
		}
		if n.own {
			target := targets(op)[0]
			target.Identity = off
			if res := m.ask(op, target, m.keyToken(off, resourceOf(off)), hubwire.Identity{}); res.StatusCode != 403 {
				t.Errorf("%v by who is disabled: %s", op, res.Status)
			}
		}
	}
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("something happened (-before +after)\n%s", diff)
	}
}

// TestWhoMayAsk has each operation asked for with each credential that it takes. What it is
// asked for makes no sense, or is not there, which is not for the door to say.
func TestWhoMayAsk(t *testing.T) {
	m := newMatrix(t)
	for op := range allOperations {
		n := needs[op]
		for _, target := range targets(op) {
			switch op {
			case httpsx.DeleteDevice, httpsx.DeleteModule:
				target.Identity = hubwire.Identity{DeviceID: target.Identity.DeviceID, ModuleID: target.Identity.ModuleID}
				if op == httpsx.DeleteDevice {
					target.Identity.DeviceID = "none"
				} else {
					target.Identity.ModuleID = "none"
				}
			}
			allowed := func(what, authorization string, caller hubwire.Identity) {
				t.Helper()
				if res := m.ask(op, target, authorization, caller); res.StatusCode == 401 || res.StatusCode == 403 || res.StatusCode >= 500 {
					t.Errorf("%v of %v with %s: %s", op, target.Identity, what, res.Status)
				}
			}
			nobody := hubwire.Identity{}
			for _, policy := range n.policies {
				allowed("policy "+policy, m.policyToken(policy, "localhost", time.Hour), nobody)
			}
			if n.own {
				allowed("its own key", m.keyToken(target.Identity, resourceOf(target.Identity)), nobody)
			}
			if n.device {
				allowed("the device's key", m.keyToken(dev, resourceOf(dev)), nobody)
			}
			if n.caller {
				allowed("a module's key", m.keyToken(mod, resourceOf(mod)), mod)
			}
			if n.edge {
				allowed("the key of the edge device's module", m.keyToken(actingHub, resourceOf(actingHub)), nobody)
			}
		}
	}
}
