package hub_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// Section 1.4, as far as it is about nested edge devices: auth-chain.

var (
	leaf  = hubwire.Identity{DeviceID: "leaf"}
	lower = hubwire.Identity{DeviceID: "lower"} // the leaf's parent
	upper = hubwire.Identity{DeviceID: "upper"} // and its parent
)

// nested registers a leaf below two edge devices, whose modules $edgeHub have keys.
func nested(t *testing.T, h *hub.Hub) {
	t.Helper()
	scope := map[hubwire.Identity]string{}
	for _, d := range []*hub.Device{
		{Identity: upper, Edge: true},
		{Identity: lower, Edge: true},
		{Identity: leaf},
	} {
		switch d.Identity {
		case lower:
			d.ParentScopes = []string{scope[upper]}
		case leaf:
			d.Scope = scope[lower]
		}
		made, err := h.Create(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if scope[made.Identity] = made.Scope; !d.Edge {
			continue
		}
		if _, err := h.Update(t.Context(), &hub.Device{Identity: edgeHub(d.Identity)}, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func edgeHub(id hubwire.Identity) hubwire.Identity {
	return hubwire.Identity{DeviceID: id.DeviceID, ModuleID: "$edgeHub"}
}

// chained is the CONNECT of an identity for which the module $edgeHub of actor speaks.
func chained(t *testing.T, h *hub.Hub, id, actor hubwire.Identity, chain string) *mqtt.Connect {
	t.Helper()
	m := connectPacket(t, h, id)
	m.UserName = append(m.UserName, "&auth-chain="+url.QueryEscape(chain)...)
	d, err := h.Device(edgeHub(actor))
	if err != nil {
		t.Fatal(err)
	}
	m.Password = password(token(d.PrimaryKey, audience(d.Identity), "", time.Now().Add(time.Hour)))
	return m
}

func chainRules() []rule {
	const section = "1.4 auth-chain"
	accepts := func(says string, id, actor hubwire.Identity, chain string) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			nested(t, h)
			p := open(t, h, nil)
			p.write(chained(t, h, id, actor, chain))
			if ack := p.connack(); ack.Code != mqtt.Accepted {
				t.Fatalf("CONNACK %+v", ack)
			}
			p.telemeter(h, "devices/"+id.DeviceID+"/messages/events/", "hi")
			if !h.Connected(id) || h.Connected(edgeHub(actor)) {
				t.Error("another is connected")
			}
		}}
	}
	refuses := func(says string, id, actor hubwire.Identity, chain string, change func(t *testing.T, h *hub.Hub, m *mqtt.Connect)) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			nested(t, h)
			m := chained(t, h, id, actor, chain)
			if change != nil {
				change(t, h, m)
			}
			p := open(t, h, nil)
			p.write(m)
			if ack := p.connack(); ack.Code != mqtt.NotAuthorized {
				t.Errorf("CONNACK %+v", ack)
			}
			p.closed()
		}}
	}
	disable := func(id hubwire.Identity) func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
		return func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			d, err := h.Device(id)
			if err != nil {
				t.Fatal(err)
			}
			d.Disabled = true
			if _, err := h.Update(t.Context(), d, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	return []rule{
		accepts("a parent speaks for its child with the token of its module $edgeHub", leaf, lower, "leaf;lower"),
		accepts("so does the parent's parent", leaf, upper, "leaf;lower;upper"),
		accepts("and it speaks for the edge device below it", lower, upper, "lower;upper"),
		accepts("empty items do not count", leaf, lower, ";leaf;;lower;"),
		{section, "an edge device speaks for the module of the one below it, whose device the chain may name", nil, func(t *testing.T, h *hub.Hub) {
			nested(t, h)
			for _, chain := range []string{"lower/$edgeHub;lower;upper", "lower/$edgeHub;upper"} {
				p := open(t, h, nil)
				p.write(chained(t, h, edgeHub(lower), upper, chain))
				if ack := p.connack(); ack.Code != mqtt.Accepted {
					t.Errorf("%s: CONNACK %+v", chain, ack)
				}
			}
		}},
		{section, "a chain of one is the identity itself, with its own token", nil, func(t *testing.T, h *hub.Hub) {
			connect(t, h, dev, func(m *mqtt.Connect) { m.UserName = append(m.UserName, "&auth-chain=dev-1"...) })
		}},
		refuses("the leaf's own token does not do", leaf, lower, "leaf;lower", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Password = connectPacket(t, h, leaf).Password
		}),
		refuses("nor does that of an edge device of the chain that is not the last", leaf, lower, "leaf;lower;upper", nil),
		refuses("nor does that of the acting device itself", leaf, lower, "leaf;lower", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Password = connectPacket(t, h, lower).Password
		}),
		refuses("nor does none", leaf, lower, "leaf;lower", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) { m.Password = mqtt.Secret{} }),
		refuses("nor does a policy's", leaf, lower, "leaf;lower", func(t *testing.T, h *hub.Hub, m *mqtt.Connect) {
			m.Password = password(token(policyKey(t, h, "device"), "localhost", "device", time.Now().Add(time.Hour)))
		}),
		refuses("the first of the chain must be the identity", leaf, lower, "lower;upper", nil),
		refuses("no link of the chain may be left out", leaf, upper, "leaf;upper", nil),
		refuses("the chain goes up, not down", lower, lower, "lower;leaf;lower", nil),
		refuses("a device of the chain must be registered", leaf, lower, "leaf;nobody;lower", nil),
		refuses("a device of the chain must be an edge device", leaf, lower, "leaf;dev-1;lower", nil),
		refuses("the leaf must be enabled", leaf, lower, "leaf;lower", disable(leaf)),
		refuses("all between must be enabled", leaf, upper, "leaf;lower;upper", disable(lower)),
		refuses("the acting module must be enabled", leaf, lower, "leaf;lower", disable(edgeHub(lower))),
		{section, "disabling the leaf ends its connection at once", nil, func(t *testing.T, h *hub.Hub) {
			nested(t, h)
			p := open(t, h, nil)
			p.write(chained(t, h, leaf, lower, "leaf;lower"))
			p.connack()
			disable(leaf)(t, h, nil)
			p.closed()
		}},
		{section, "taking the leaf from its parent ends its connection at once", nil, func(t *testing.T, h *hub.Hub) {
			nested(t, h)
			p := open(t, h, nil)
			p.write(chained(t, h, leaf, lower, "leaf;lower"))
			p.connack()
			d, err := h.Device(leaf)
			p.check(err)
			_, err = h.Update(t.Context(), d, "") // which changes nothing
			p.check(err)
			p.ping()
			d.Scope = ""
			_, err = h.Update(t.Context(), d, "")
			p.check(err)
			p.closed()
		}},
		{section, "the end of the acting device's token ends the leaf's connection", nil, func(t *testing.T, h *hub.Hub) {
			nested(t, h)
			start := time.Now()
			m := chained(t, h, leaf, lower, "leaf;lower")
			m.KeepAlive = 0
			p := open(t, h, nil)
			p.check(p.c.SetReadDeadline(time.Time{}))
			p.write(m)
			p.connack()
			keepAlive(p, start.Add(64*time.Minute))
			p.ends()
			if took := time.Since(start); took != 65*time.Minute {
				t.Errorf("closed after %v", took)
			}
		}},
	}
}
