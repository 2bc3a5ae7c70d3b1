package hub_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// scene is a device on a hub whose intercept function waits for one operation.
type scene struct {
	*testing.T
	h       *hub.Hub
	p       *peer
	invoked <-chan invoked
	id      uint16 // packet identifier of what the device was sent

	registered topics.DPSResult
}

// operation is one that the intercept function can meet over MQTT.
type operation struct {
	kind    hub.OpKind
	prepare func(s *scene)      // what must be before
	trigger func(s *scene)      // makes it happen
	answer  func(s *scene)      // reads what the peer sees of it
	refused func(s *scene)      // the same when it is refused; nil: the connection is closed
	acted   func(s *scene) bool // whether the hub acted; nil when there is nothing to act upon
	push    bool                // the hub began, and the answer is what it pushed
	mute    bool                // there is no answer: the one that is read is to a packet behind it
}

var operations = []operation{
	{
		kind:    hub.OpDisconnect,
		trigger: func(s *scene) { s.p.write(&mqtt.Disconnect{}) },
		answer:  func(s *scene) { s.p.ends() },
		refused: func(s *scene) { s.p.closed() },
		acted:   func(s *scene) bool { return len(events(s, s.h)) == 0 }, // there is no will
		mute:    true,
	},
	{
		kind:    hub.OpPublish,
		trigger: func(s *scene) { s.p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1}) },
		answer:  func(s *scene) { s.p.puback(1) },
		acted:   func(s *scene) bool { return len(events(s, s.h)) == 1 },
	},
	{
		kind:    hub.OpSubscribe,
		trigger: func(s *scene) { s.p.write(subscribePacket(s, 1, subscription{c2dFilter, 1})) },
		answer:  func(s *scene) { s.code(1) },
		refused: func(s *scene) { s.code(0x80) },
		acted:   (*scene).isSubscribed,
	},
	{
		kind:    hub.OpUnsubscribe,
		prepare: func(s *scene) { s.p.subscribe(c2dFilter) },
		trigger: func(s *scene) {
			names, err := mqtt.AppendFilterName(nil, c2dFilter)
			s.p.check(err)
			s.p.write(&mqtt.Unsubscribe{ID: 1, Filters: names})
		},
		answer: func(s *scene) { s.p.read(mqtt.TypeUnsuback) },
		acted:  func(s *scene) bool { return !s.isSubscribed() },
	},
	{
		kind:    hub.OpPing,
		trigger: func(s *scene) { s.p.write(&mqtt.Pingreq{}) },
		answer:  func(s *scene) { s.p.read(mqtt.TypePingresp) },
	},
	{
		kind:    hub.OpTwinGet,
		prepare: func(s *scene) { s.p.subscribe(twinResponses) },
		trigger: func(s *scene) { s.p.write(&mqtt.Publish{Topic: []byte(getTopic + "1"), QoS: 1, ID: 1}) },
		answer:  func(s *scene) { s.p.puback(1); s.topic("$iothub/twin/res/200/?$rid=1") },
		refused: func(s *scene) { s.p.puback(1); s.topic("$iothub/twin/res/429/?$rid=1") },
	},
	{
		kind:    hub.OpTwinReport,
		prepare: func(s *scene) { s.p.subscribe(twinResponses) },
		trigger: func(s *scene) {
			s.p.write(&mqtt.Publish{Topic: []byte(patchTopic + "1"), Payload: []byte(`{"a":1}`), QoS: 1, ID: 1})
		},
		answer:  func(s *scene) { s.p.puback(1); s.topic("$iothub/twin/res/204/?$rid=1&$version=2") },
		refused: func(s *scene) { s.p.puback(1); s.topic("$iothub/twin/res/429/?$rid=1") },
		acted: func(s *scene) bool {
			twin, err := s.h.Twin(s.Context(), dev)
			s.p.check(err)
			return twin.Reported.Version == 2
		},
	},
	{
		kind:    hub.OpTwinDesired,
		prepare: func(s *scene) { s.p.subscribe(desiredFilter) },
		trigger: func(s *scene) {
			_, err := s.h.PatchTwin(s.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"a":1}`)}, "")
			s.p.check(err)
		},
		answer:  func(s *scene) { s.topic("$iothub/twin/PATCH/properties/desired/?$version=2") },
		refused: func(s *scene) { s.p.silent() },
		push:    true,
	},
	{
		kind:    hub.OpMethod,
		prepare: func(s *scene) { s.p.subscribe(methodFilter) },
		trigger: func(s *scene) { s.invoked = invoke(s.T, s.h, "m", "", nil) },
		answer:  func(s *scene) { s.p.request() },
		refused: func(s *scene) {
			s.p.silent()
			if got := <-s.invoked; !errors.Is(got.err, hubwire.GatewayTimeout) {
				s.Errorf("the call: %v", got.err)
			}
		},
		push: true,
	},
	{
		kind:    hub.OpMethodResponse,
		prepare: func(s *scene) { s.p.subscribe(methodFilter); s.invoked = invoke(s.T, s.h, "m", "", nil) },
		trigger: func(s *scene) {
			_, rid, _ := s.p.request()
			s.p.write(&mqtt.Publish{Topic: []byte("$iothub/methods/res/200/?$rid=" + rid), QoS: 1, ID: 1})
		},
		answer: func(s *scene) { s.p.puback(1) },
		acted:  func(s *scene) bool { got := <-s.invoked; return got.err == nil },
	},
	{
		kind:    hub.OpC2D,
		prepare: func(s *scene) { s.p.subscribe(c2dFilter) },
		trigger: func(s *scene) { sendC2D(s, s.h, dev, "hi") },
		answer:  func(s *scene) { s.p.expect("hi", 1, false) },
		refused: func(s *scene) { s.p.silent(); s.p.expect("hi", 1, true) }, // when its lock is over
		push:    true,
	},
	{
		kind: hub.OpAck,
		prepare: func(s *scene) {
			s.p.subscribe(c2dFilter)
			sendC2D(s, s.h, dev, "hi")
			s.id = s.p.expect("hi", 1, false).ID
		},
		trigger: func(s *scene) { s.p.write(&mqtt.Puback{ID: s.id}, &mqtt.Pingreq{}) },
		answer:  func(s *scene) { s.p.read(mqtt.TypePingresp) },
		refused: func(s *scene) { s.p.read(mqtt.TypePingresp) },
		acted:   func(s *scene) bool { return queueLength(s, s.h, dev) == 0 },
		mute:    true,
	},
	{
		kind:    hub.OpRegister,
		prepare: (*scene).provision,
		trigger: func(s *scene) { s.p.write(&mqtt.Publish{Topic: []byte(registerTopic + "1"), QoS: 1, ID: 1}) },
		answer:  func(s *scene) { s.p.puback(1); s.topic("$dps/registrations/res/202/?$rid=1&retry-after=3") },
		refused: func(s *scene) { s.p.puback(1); s.topic("$dps/registrations/res/429/?$rid=1") },
		acted: func(s *scene) bool {
			_, err := s.h.Device(hubwire.Identity{DeviceID: "reg-1"})
			return err == nil
		},
	},
	{
		kind: hub.OpRegisterQuery,
		prepare: func(s *scene) {
			s.provision()
			_, s.registered = s.p.dpsAsk(registerTopic+"1", "")
		},
		trigger: func(s *scene) {
			s.p.write(&mqtt.Publish{Topic: []byte(queryTopic + "2&operationId=" + s.registered.OperationID), QoS: 1, ID: 1})
		},
		answer:  func(s *scene) { s.p.puback(1); s.topic("$dps/registrations/res/200/?$rid=2") },
		refused: func(s *scene) { s.p.puback(1); s.topic("$dps/registrations/res/429/?$rid=2") },
	},
}

// provision goes on with a connection to the provisioning service.
func (s *scene) provision() {
	s.Helper()
	s.p = provision(s.T, s.h, dpsConnect(s.h, "reg-1", enroll(s.T, s.h, &hub.Enrollment{ID: "reg-1"}).PrimaryKey), nil)
	s.p.subscribe(dpsFilter)
}

// code reads a SUBACK of one filter.
func (s *scene) code(want byte) {
	s.Helper()
	if codes := s.p.suback(1); !bytes.Equal(codes, []byte{want}) {
		s.Errorf("codes %v", codes)
	}
}

func (s *scene) topic(want string) {
	s.Helper()
	if m := s.p.publish(); string(m.Topic) != want {
		s.Errorf("topic %q, want %q", m.Topic, want)
	}
}

// isSubscribed looks whether the device's next connection gets a message.
func (s *scene) isSubscribed() bool {
	s.Helper()
	p := connect(s, s.h, dev, nil)
	sendC2D(s, s.h, dev, "hi")
	synctest.Wait()
	p.write(&mqtt.Pingreq{})
	k, err := p.c.ReadPacket()
	p.check(err)
	return k.Type() == mqtt.TypePublish
}

// play runs an operation under a verdict up to the answer, which see reads.
func (o *operation) play(t *testing.T, verdict hub.Verdict, acts bool, see func(s *scene)) {
	t.Helper()
	bubble(t, &hub.Config{Intercept: (&once{kind: o.kind, verdict: verdict}).intercept}, func(t *testing.T, h *hub.Hub) {
		s := &scene{T: t, h: h}
		s.p = connect(t, h, dev, func(m *mqtt.Connect) {
			if o.kind == hub.OpDisconnect {
				m.Will.Topic = []byte(telemetryTopic)
			}
		})
		if o.prepare != nil {
			o.prepare(s)
		}
		synctest.Wait()
		o.trigger(s)
		see(s)
		synctest.Wait()
		if o.acted != nil && o.acted(s) != acts {
			t.Errorf("the hub acted: %v, want %v", !acts, acts)
		}
	})
}

// TestInterceptEach plays every operation over MQTT under every verdict.
func TestInterceptEach(t *testing.T) {
	for _, o := range operations {
		t.Run(string(o.kind), func(t *testing.T) {
			t.Run("passed", func(t *testing.T) { o.play(t, hub.Verdict{}, true, o.answer) })
			t.Run("delayed", func(t *testing.T) {
				o.play(t, hub.Verdict{Delay: 20 * time.Second}, true, func(s *scene) {
					start := time.Now()
					o.answer(s)
					if took := time.Since(start); took != 20*time.Second {
						s.Errorf("it took %v", took)
					}
				})
			})
			t.Run("refused", func(t *testing.T) {
				// Nobody can refuse a good-bye.
				o.play(t, hub.Verdict{Refuse: hubwire.Throttled}, o.kind == hub.OpDisconnect, func(s *scene) {
					if o.refused == nil {
						s.p.closed()
						return
					}
					o.refused(s)
					if o.kind != hub.OpDisconnect {
						s.p.ping()
					}
				})
			})
			t.Run("dropped before", func(t *testing.T) {
				o.play(t, hub.Verdict{DropBefore: true}, false, func(s *scene) { s.p.closed() })
			})
			t.Run("dropped after", func(t *testing.T) {
				o.play(t, hub.Verdict{DropAfter: true}, true, func(s *scene) {
					if o.push {
						o.answer(s)
					}
					s.p.closed()
				})
			})
			t.Run("swallowed", func(t *testing.T) {
				o.play(t, hub.Verdict{SwallowAck: true}, true, func(s *scene) {
					if o.push || o.mute {
						o.answer(s) // there is none to swallow
						return
					}
					s.p.silent()
					s.p.ping()
				})
			})
		})
	}
}
