package hub_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/topics"
	"github.com/hubwire/hubwire/ws"
)

// Section 9, the Device Provisioning Service.

const (
	dpsFilter     = "$dps/registrations/res/#"
	registerTopic = "$dps/registrations/PUT/iotdps-register/?$rid="
	queryTopic    = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="
)

func enroll(t *testing.T, h *hub.Hub, e *hub.Enrollment) *hub.Enrollment {
	t.Helper()
	made, err := h.Enroll(e)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// dpsConnect is the CONNECT of a registration, by a key if there is one.
func dpsConnect(h *hub.Hub, id string, key hub.Secret) *mqtt.Connect {
	m := &mqtt.Connect{
		ClientID: []byte(id), KeepAlive: 180, CleanSession: true,
		UserName: []byte(h.IDScope() + "/registrations/" + id + "/api-version=2019-03-31&ClientVersion=test%2F1.0"),
	}
	if !key.IsZero() {
		m.Password = password(token(key, h.IDScope()+"/registrations/"+id, "registration", time.Now().Add(time.Hour)))
	}
	return m
}

// provision opens a connection of a registration.
func provision(t *testing.T, h *hub.Hub, m *mqtt.Connect, adapt func(*tls.Config)) *peer {
	t.Helper()
	p := open(t, h, adapt)
	p.write(m)
	if ack := p.connack(); ack.Code != mqtt.Accepted || ack.SessionPresent {
		t.Fatalf("CONNACK %+v", ack)
	}
	return p
}

// dpsAsk publishes a request at QoS 1 and returns the answer, which comes behind the PUBACK.
func (p *peer) dpsAsk(topic, body string) (string, topics.DPSResult) {
	p.t.Helper()
	p.write(&mqtt.Publish{Topic: []byte(topic), Payload: []byte(body), QoS: 1, ID: 5})
	p.puback(5)
	m := p.publish()
	if m.QoS != mqtt.AtLeastOnce {
		p.t.Errorf("the answer came at QoS %d", m.QoS)
	}
	p.write(&mqtt.Puback{ID: m.ID})
	r, err := topics.ParseDPSResult(m.Payload)
	if err != nil {
		p.t.Fatalf("%s: %v", m.Payload, err)
	}
	return strings.TrimPrefix(string(m.Topic), "$dps/registrations/res/"), r
}

// register registers, and returns the state at the end.
func (p *peer) register(body string) topics.DPSState {
	p.t.Helper()
	p.subscribe(dpsFilter)
	topic, r := p.dpsAsk(registerTopic+"1", body)
	if topic != "202/?$rid=1&retry-after=3" || r.Status != "assigning" || r.OperationID == "" || r.State != nil {
		p.t.Fatalf("%s %+v", topic, r)
	}
	topic, r = p.dpsAsk(queryTopic+"2&operationId="+r.OperationID, " ")
	if topic != "200/?$rid=2" || r.State == nil || r.Status != r.State.Status {
		p.t.Fatalf("%s %+v", topic, r)
	}
	return *r.State
}

var (
	assignedState = topics.DPSState{RegistrationID: "reg-1", AssignedHub: "localhost", DeviceID: "reg-1", Status: "assigned", Substatus: "initialAssignment"}
	stateStamps   = cmpopts.IgnoreFields(topics.DPSState{}, "Created", "LastUpdated", "ETag")
)

func dpsRules() []rule {
	const connects, flow, answers = "9.1 DPS connect", "9.2 DPS flow", "9.3 DPS answers"
	reg := &hub.Enrollment{ID: "reg-1"}
	// accepts and refuses are rules of who may connect, with a key of its enrollment.
	accepts := func(says string, change func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment)) rule {
		return rule{connects, says, nil, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, reg)
			m := dpsConnect(h, "reg-1", e.PrimaryKey)
			change(h, m, e)
			if diff := cmp.Diff(assignedState, provision(t, h, m, nil).register(""), stateStamps); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		}}
	}
	refuses := func(says string, change func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment)) rule {
		return rule{connects, says, nil, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, reg)
			m := dpsConnect(h, "reg-1", e.PrimaryKey)
			change(h, m, e)
			p := open(t, h, nil)
			p.write(m)
			if ack := p.connack(); ack.Code != mqtt.NotAuthorized {
				t.Errorf("CONNACK %+v", ack)
			}
			p.closed()
		}}
	}
	tokenOf := func(h *hub.Hub, key hub.Secret, resource, policy string) mqtt.Secret {
		return password(token(key, h.IDScope()+resource, policy, time.Now().Add(time.Hour)))
	}
	closes := func(section, says string, k packet) rule {
		return rule{section, says + " closes the connection", nil, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			p.subscribe(dpsFilter)
			p.write(k)
			p.closed()
		}}
	}
	return []rule{
		accepts("a token is for {idScope}/registrations/{id}, signed with a key of the enrollment, and its policy is registration", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {}),
		accepts("the policy may be missing, as from Python", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.Password = tokenOf(h, e.SecondaryKey, "/registrations/reg-1", "")
		}),
		accepts("the policy may be empty, as from Java", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.Password = password(string(tokenOf(h, e.PrimaryKey, "/registrations/reg-1", "").Reveal()) + "&skn=")
		}),
		accepts("the user name needs api-version alone, whatever its value", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.UserName = []byte(h.IDScope() + "/registrations/reg-1/api-version=2021-06-01")
		}),
		accepts("CleanSession=0 is taken too, and no session is ever kept", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) { m.CleanSession = false }),
		{connects, "no session is kept: CONNACK never says session present", nil, func(t *testing.T, h *hub.Hub) {
			m := dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey)
			m.CleanSession = false
			for range 3 {
				p := provision(t, h, m, nil)
				p.subscribe(dpsFilter)
				p.bye()
			}
		}},
		refuses("the client id must be the registration id", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) { m.ClientID = []byte("reg-2") }),
		refuses("there must be an enrollment", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) { h.Unenroll("REG-1", false) }),
		refuses("the user name must have api-version", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.UserName = []byte(h.IDScope() + "/registrations/reg-1/ClientVersion=1")
		}),
		refuses("the id scope must be this service's", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.UserName = []byte("0neOTHER/registrations/reg-1/api-version=2019-03-31")
		}),
		refuses("a token must be signed with a key of the enrollment", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.Password = tokenOf(h, sas.NewSecret("c29tZSBvdGhlciBrZXk="), "/registrations/reg-1", "registration")
		}),
		refuses("a token must be for the registration", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.Password = tokenOf(h, e.PrimaryKey, "/registrations/reg-2", "registration")
		}),
		refuses("a token may name no other policy", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.Password = tokenOf(h, e.PrimaryKey, "/registrations/reg-1", "device")
		}),
		refuses("a token must not have expired", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) {
			m.Password = password(token(e.PrimaryKey, h.IDScope()+"/registrations/reg-1", "", time.Now().Add(-6*time.Minute)))
		}),
		refuses("something must be shown", func(h *hub.Hub, m *mqtt.Connect, e *hub.Enrollment) { m.Password = mqtt.Secret{} }),
		{connects, "the device of a group shows a token of its derived key, which becomes its key in the hub", nil, func(t *testing.T, h *hub.Hub) {
			group := enroll(t, h, &hub.Enrollment{ID: "group", Group: true})
			k, err := sas.NewKey(group.PrimaryKey)
			if err != nil {
				t.Fatal(err)
			}
			derived := sas.DeriveKey(k, "reg-1")
			if diff := cmp.Diff(assignedState, provision(t, h, dpsConnect(h, "reg-1", derived), nil).register(""), stateStamps); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if d, err := h.Device(hubwire.Identity{DeviceID: "reg-1"}); err != nil || !d.PrimaryKey.Equal(derived) {
				t.Errorf("the device has another key, or %v", err)
			}
			refusedDPS(t, h, dpsConnect(h, "reg-2", derived), nil)
			refusedDPS(t, h, dpsConnect(h, "reg-2", group.PrimaryKey), nil)
		}},
		{connects, "a device shows its certificate, whose common name is the registration id, by its thumbprint or from a group's authority", nil, func(t *testing.T, h *hub.Hub) {
			root := certificate(t, "root", nil)
			enroll(t, h, &hub.Enrollment{ID: "group", Group: true, Authorities: []*x509.Certificate{root.Leaf}})
			own := certificate(t, "reg-1", nil)
			sum := sha256.Sum256(own.Leaf.Raw)
			enroll(t, h, &hub.Enrollment{ID: "reg-1", PrimaryThumbprint: hex.EncodeToString(sum[:])})
			shows := func(c *tls.Certificate) func(*tls.Config) {
				return func(cfg *tls.Config) { cfg.Certificates = []tls.Certificate{*c} }
			}
			for id, c := range map[string]*tls.Certificate{"reg-1": own, "reg-2": certificate(t, "reg-2", root)} {
				want := assignedState
				want.RegistrationID, want.DeviceID, want.X509 = id, id, json.RawMessage("{}")
				got := provision(t, h, dpsConnect(h, id, hub.Secret{}), shows(c)).register("")
				if diff := cmp.Diff(want, got, stateStamps); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				// The hub knows the certificate by its thumbprint.
				p := open(t, h, shows(c))
				p.write(&mqtt.Connect{ClientID: []byte(id), UserName: []byte("localhost/" + id + "/?api-version=2021-04-12")})
				if ack := p.connack(); ack.Code != mqtt.Accepted {
					t.Errorf("the hub's CONNACK %+v", ack)
				}
			}
			refusedDPS(t, h, dpsConnect(h, "reg-3", hub.Secret{}), shows(certificate(t, "reg-2", root)))
			refusedDPS(t, h, dpsConnect(h, "reg-1", hub.Secret{}), shows(certificate(t, "reg-1", root)))
			refusedDPS(t, h, dpsConnect(h, "reg-3", hub.Secret{}), shows(certificate(t, "reg-3", certificate(t, "root", nil))))
		}},
		{connects, "the connection ends with its token, as that of the hub does", nil, func(t *testing.T, h *hub.Hub) {
			m := dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey)
			m.KeepAlive = 0
			p := open(t, h, nil)
			p.check(p.c.SetReadDeadline(time.Time{}))
			start := time.Now()
			p.write(m)
			p.connack()
			keepAlive(p, start.Add(64*time.Minute))
			p.ends()
			if took := time.Since(start); took != 65*time.Minute {
				t.Errorf("closed after %v", took)
			}
		}},
		{connects, "a WebSocket to a host of DPS may be at any path", nil, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, reg)
			for _, path := range []string{"/", "/mqtt", ws.Path} {
				nc, err := ws.Dial(t.Context(), "global.azure-devices-provisioning.net", &ws.DialOptions{Dial: h.Dial, TLSConfig: h.ClientTLS(), Path: path})
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				defer nc.Close()
				p := newPeer(t, nc)
				p.write(dpsConnect(h, "reg-1", e.PrimaryKey))
				if ack := p.connack(); ack.Code != mqtt.Accepted {
					t.Errorf("%s: CONNACK %+v", path, ack)
				}
			}
		}},
		closes(connects, "any filter but that of the answers", filterPacket(c2dFilter)),
		closes(connects, "telemetry on a connection that registers", &mqtt.Publish{Topic: []byte("devices/reg-1/messages/events/"), QoS: 1, ID: 1}),
		closes(connects, "a PUBLISH at QoS 2", &mqtt.Publish{Topic: []byte(registerTopic + "1"), QoS: 2, ID: 1}),
		{connects, "as an option, another filter is answered with 0x80", &hub.Config{RefuseFilters: true}, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			p.write(subscribePacket(t, 1, subscription{c2dFilter, 1}, subscription{dpsFilter, 1}))
			if codes := p.suback(1); !slices.Equal(codes, []byte{0x80, 1}) {
				t.Errorf("codes %v", codes)
			}
		}},
		{connects, "QoS 2 of the filter is granted as 1", nil, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			p.write(subscribePacket(t, 1, subscription{dpsFilter, 2}))
			if codes := p.suback(1); !slices.Equal(codes, []byte{1}) {
				t.Errorf("codes %v", codes)
			}
		}},

		{flow, "a device registers, waits, asks, and can connect to the hub that it was assigned to", nil, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, &hub.Enrollment{
				ID: "reg-1", DeviceID: "pump", Payload: json.RawMessage(`{"a":1}`),
				Twin: hub.TwinUpdate{Tags: json.RawMessage(`{"t":1}`), Desired: json.RawMessage(`{"d":1}`)},
			})
			want := assignedState
			want.DeviceID, want.Payload = "pump", json.RawMessage(`{"a":1}`)
			got := provision(t, h, dpsConnect(h, "reg-1", e.PrimaryKey), nil).register(`{"registrationId":"reg-1","payload":{"x":1}}`)
			if diff := cmp.Diff(want, got, stateStamps); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			pump := hubwire.Identity{DeviceID: "pump"}
			connect(t, h, pump, nil).telemeter(h, "devices/pump/messages/events/", "hi")
			if twin, err := h.Twin(t.Context(), pump); err != nil || string(twin.Tags) != `{"t":1}` || string(twin.Desired.JSON) != `{"d":1}` {
				t.Errorf("twin %+v, %v", twin, err)
			}
		}},
		{flow, "until it is done an operation is answered with 202, assigning and a state of that status", &hub.Config{Provisioning: hub.Provisioning{AssignAfter: 10 * time.Second, RetryAfter: 4500 * time.Millisecond}}, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			p.subscribe(dpsFilter)
			topic, r := p.dpsAsk(registerTopic+"1", "")
			for range 2 {
				if topic != "202/?$rid=1&retry-after=5" || r.Status != "assigning" {
					t.Errorf("%s %+v", topic, r)
				}
				time.Sleep(4 * time.Second)
				if topic, r = p.dpsAsk(queryTopic+"1&operationId="+r.OperationID, ""); r.State == nil || r.State.Status != "assigning" {
					t.Errorf("%s %+v", topic, r)
				}
			}
			time.Sleep(4 * time.Second)
			if topic, r = p.dpsAsk(queryTopic+"1&operationId="+r.OperationID, ""); topic != "200/?$rid=1" || r.Status != "assigned" {
				t.Errorf("%s %+v", topic, r)
			}
		}},
		{flow, "the body may be empty, or have a payload alone: the connection says who registers", nil, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			for _, body := range []string{"", `{"payload":{"a":1}}`, `{"registrationId":"REG-1"}`} {
				if got := p.register(body); got.RegistrationID != "reg-1" || got.Status != "assigned" {
					t.Errorf("%s: %+v", body, got)
				}
			}
		}},
		{flow, "who registers again has the same device, and the time of the first registration", nil, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, reg)
			first := provision(t, h, dpsConnect(h, "reg-1", e.PrimaryKey), nil).register("")
			d, err := h.Device(hubwire.Identity{DeviceID: "reg-1"})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			second := provision(t, h, dpsConnect(h, "reg-1", e.PrimaryKey), nil).register("")
			again, err := h.Device(d.Identity)
			if err != nil || again.GenerationID != d.GenerationID || second.Created != first.Created || second.LastUpdated == first.LastUpdated {
				t.Errorf("%+v, then %+v; %v", first, second, err)
			}
		}},
		{flow, "the case of a registration id does not count, and makes no second device", nil, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, reg)
			root := certificate(t, "root", nil)
			enroll(t, h, &hub.Enrollment{ID: "group", Group: true, Authorities: []*x509.Certificate{root.Leaf}})
			leaf := certificate(t, "reg-2", root)
			shows := func(cfg *tls.Config) { cfg.Certificates = []tls.Certificate{*leaf} }
			before := len(h.Devices(10))
			for _, id := range []string{"reg-%s", "Reg-%s", "REG-%s"} {
				byKey, byCertificate := fmt.Sprintf(id, "1"), fmt.Sprintf(id, "2")
				if got := provision(t, h, dpsConnect(h, byKey, e.PrimaryKey), nil).register(""); got.DeviceID != "reg-1" || got.RegistrationID != byKey {
					t.Errorf("%s: %+v", byKey, got)
				}
				if got := provision(t, h, dpsConnect(h, byCertificate, hub.Secret{}), shows).register(""); got.DeviceID != "reg-2" {
					t.Errorf("%s: %+v", byCertificate, got)
				}
			}
			if n := len(h.Devices(10)) - before; n != 2 {
				t.Errorf("%d devices", n)
			}
		}},
		{flow, "a hub that is throttled answers 429, and the device registers later", &hub.Config{Throttle: hub.Throttle{TwinUpdates: 1}}, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, &hub.Enrollment{ID: "reg-1", Twin: hub.TwinUpdate{Tags: json.RawMessage(`{"t":1}`)}})
			p := provision(t, h, dpsConnect(h, "reg-1", e.PrimaryKey), nil)
			p.subscribe(dpsFilter)
			desire(t, h, dev, `{"a":1}`)
			if topic, r := p.dpsAsk(registerTopic+"1", ""); topic != "429/?$rid=1&retry-after=1" || r.ErrorCode != int(hubwire.Throttled) {
				t.Errorf("%s %+v", topic, r)
			}
			time.Sleep(time.Second)
			p.register("")
		}},
		{flow, "who has logged in by an enrollment that is gone cannot register", nil, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			p.subscribe(dpsFilter)
			h.Unenroll("reg-1", false)
			if topic, r := p.dpsAsk(registerTopic+"1", ""); topic != "401/?$rid=1" || r.ErrorCode/1000 != 401 {
				t.Errorf("%s %+v", topic, r)
			}
		}},
		{flow, "a registration whose enrollment is disabled ends with status disabled, and no device", nil, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, &hub.Enrollment{ID: "reg-1", Disabled: true})
			want := topics.DPSState{RegistrationID: "reg-1", Status: "disabled"}
			if diff := cmp.Diff(want, provision(t, h, dpsConnect(h, "reg-1", e.PrimaryKey), nil).register(""), stateStamps); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if _, err := h.Device(hubwire.Identity{DeviceID: "reg-1"}); err == nil {
				t.Error("there is a device")
			}
		}},
		{flow, "an assignment that fails ends with 200, status failed, and an error in the state", nil, func(t *testing.T, h *hub.Hub) {
			e := enroll(t, h, &hub.Enrollment{ID: "reg-1", Twin: hub.TwinUpdate{Desired: json.RawMessage(`[1]`)}})
			got := provision(t, h, dpsConnect(h, "reg-1", e.PrimaryKey), nil).register("")
			if got.Status != "failed" || got.ErrorCode/1000 != 400 || got.ErrorMessage == "" || got.AssignedHub != "" {
				t.Errorf("%+v", got)
			}
		}},

		{answers, "$rid comes first and is echoed byte for byte, retry-after behind it in seconds", nil, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			p.subscribe(dpsFilter)
			if topic, _ := p.dpsAsk(registerTopic+"0190c7f1-6bd8-7e6b-aa3d-0242ac120002", ""); topic != "202/?$rid=0190c7f1-6bd8-7e6b-aa3d-0242ac120002&retry-after=3" {
				t.Errorf("topic %s", topic)
			}
		}},
		{answers, "a refusal is an error as body, under the status that its code begins with", nil, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			p.subscribe(dpsFilter)
			for topic, body := range map[string]string{
				registerTopic + "1":                    `{"registrationId":"reg-2"}`,
				registerTopic + "1&x=y":                `{"registrationId":`,
				queryTopic + "1&operationId=4.nothing": "",
			} {
				topic, r := p.dpsAsk(topic, body)
				if topic != "400/?$rid=1" || r.ErrorCode/1000 != 400 || r.Message == "" || r.TrackingID == "" || r.Timestamp == "" {
					t.Errorf("%s %+v", topic, r)
				}
			}
		}},
		{answers, "who is told to wait gets 429 with retry-after, by the intercept function", &hub.Config{Intercept: (&once{
			kind: hub.OpRegister, verdict: hub.Verdict{Refuse: hubwire.Throttled, RetryAfter: 7 * time.Second}}).intercept}, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			p.subscribe(dpsFilter)
			if topic, r := p.dpsAsk(registerTopic+"1", ""); topic != "429/?$rid=1&retry-after=7" || r.ErrorCode != int(hubwire.Throttled) {
				t.Errorf("%s %+v", topic, r)
			}
			p.register("")
		}},
		{answers, "a request at QoS 0 is answered too, and answers go to subscribers alone, at what was granted", nil, func(t *testing.T, h *hub.Hub) {
			p := provision(t, h, dpsConnect(h, "reg-1", enroll(t, h, reg).PrimaryKey), nil)
			ask := &mqtt.Publish{Topic: []byte(registerTopic + "1")}
			p.write(ask)
			p.ping()
			p.write(subscribePacket(t, 1, subscription{dpsFilter, 0}))
			p.suback(1)
			p.write(ask)
			if m := p.publish(); m.QoS != 0 {
				t.Errorf("QoS %d", m.QoS)
			}
			p.raw([]byte{0x40, 2, 0, 0}) // PUBACK of packet 0, as .NET sends it
			p.ping()
			p.unsubscribe(dpsFilter)
			p.write(ask)
			p.ping()
		}},
	}
}

func refusedDPS(t *testing.T, h *hub.Hub, m *mqtt.Connect, adapt func(*tls.Config)) {
	t.Helper()
	p := open(t, h, adapt)
	p.write(m)
	if ack := p.connack(); ack.Code != mqtt.NotAuthorized {
		t.Errorf("CONNACK %+v", ack)
	}
	p.closed()
}
