package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// begins has each way to begin a connection, and each type that an id can have.
func (m *mechanics) begins(t *testing.T) {
	uuid := map[string]any{"amqp": "uuid", "value": "6f3a5d0e-7c1b-4a52-9e0f-1b2c3d4e5f60"}
	for name, s := range map[string]bareSetup{"no layer of SASL": {}, "ANONYMOUS": {SASL: "ANONYMOUS"}} {
		t.Run(name, func(t *testing.T) {
			id, cs := m.device(t)
			p := m.connect(t, s)
			m.claims(t, p)
			good := token(t, cs, sas.Audience(m.HostName(), id), "", time.Now().Add(time.Hour))
			for _, tt := range []struct{ id, want any }{
				{"text", "text"}, {uuid, map[string]any{"amqp": "binary", "value": "bzpdDnwbSlKeDxssPU5fYA=="}}, // rhea has octets for a UUID
				{map[string]any{"amqp": "ulong", "value": 7}, 7.0}, {map[string]any{"amqp": "ulong", "value": 0}, 0.0},
				{nil, nil},
			} {
				a := m.claim(t, p, tt.id, good)
				if diff := cmp.Diff(tt.want, a.CorrelationID); diff != "" || a.Application["status-code"] != 200.0 {
					t.Errorf("id %v: %v (-want +got)\n%s", tt.id, a.Application, diff)
				}
			}
			p.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(id) + "/messages/events"})
			events := m.events(t, id)
			p.gives(t, accepted, "send", parcel{Link: "out", Messages: []section{{Data: [][]byte{[]byte("x")}}}})
			arrives(t, events, hubwire.Message{Body: []byte("x")})
		})
	}
}

// tokens are refused by a status, which costs no connection.
func (m *mechanics) tokens(t *testing.T) {
	id, cs := m.device(t)
	_, other := m.device(t)
	p := m.connect(t, bareSetup{})
	m.claims(t, p)
	audience := sas.Audience(m.HostName(), id)
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		name, token string
		status      float64
	}{
		{"no token at all", "nonsense", 401},
		{"of another device's key", token(t, other, audience, "", soon), 401},
		{"that expired an hour ago", token(t, cs, audience, "", past), 401},
		{"for another hub", token(t, cs, "elsewhere.azure-devices.net/devices/"+id.DeviceID, "", soon), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := m.claim(t, p, "1", tt.token); a.Application["status-code"] != tt.status || a.Application["status-description"] == "" {
				t.Errorf("answer %v", a.Application)
			}
			p.fails(t, "amqp:unauthorized-access", "", "attach", attach{Link: tt.name, Role: "sender", Address: path(id) + "/messages/events"})
		})
	}
	if a := m.claim(t, p, "1", token(t, cs, audience, "", soon)); a.Application["status-code"] != 200.0 {
		t.Errorf("after all that: %v", a.Application)
	}
	p.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(id) + "/messages/events"})
}

// plain has SASL PLAIN, for a device, a module and the service.
func (m *mechanics) plain(t *testing.T) {
	id, cs := m.device(t)
	mod, modCS := m.module(t)
	service, err := m.PolicyConnectionString("service")
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	for _, tt := range []struct{ name, user, token, address string }{
		{"a device", id.DeviceID + "@sas.localhost", token(t, cs, sas.Audience(m.HostName(), id), "", soon), path(id) + "/messages/events"},
		{"a module", mod.DeviceID + "/modules/" + mod.ModuleID + "@sas.localhost", token(t, modCS, sas.Audience(m.HostName(), mod), "", soon), path(mod) + "/messages/events"},
		{"the service", "service@sas.root.localhost", token(t, service, m.HostName(), "service", soon), "/messages/devicebound"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := m.connect(t, bareSetup{Username: tt.user, Password: tt.token})
			p.do(t, "attach", attach{Link: "out", Role: "sender", Address: tt.address})
			bad := m.judge.bare(t, bareSetup{Transport: m.transport, Username: tt.user, Password: tt.token + "x"})
			bad.fails(t, "amqp:unauthorized-access", "", "open", nil)
		})
	}
}

func (m *mechanics) refusedLinks(t *testing.T) {
	id, p := m.enter(t, bareSetup{})
	other, _ := m.device(t)
	for i, tt := range []struct{ role, address, condition string }{
		{"sender", path(other) + "/messages/events", "amqp:unauthorized-access"},
		{"receiver", path(other) + "/messages/devicebound", "amqp:unauthorized-access"},
		{"receiver", path(other) + "/twin", "amqp:unauthorized-access"},
		{"sender", "/messages/devicebound", "amqp:unauthorized-access"},
		{"receiver", "/messages/serviceBound/feedback", "amqp:unauthorized-access"},
		{"sender", path(id) + "/messages/nowhere", "amqp:not-found"},
		{"sender", "", "amqp:not-found"},
		{"receiver", "nonsense", "amqp:not-found"},
	} {
		t.Run(tt.role+" "+tt.address, func(t *testing.T) {
			p.fails(t, tt.condition, "", "attach", attach{Link: fmt.Sprint("refused-", i), Role: tt.role, Address: tt.address})
		})
	}
	p.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(id) + "/messages/events"}) // no harm done
	p.silent(t, "ended")
}
