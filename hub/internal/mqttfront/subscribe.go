package mqttfront

import (
	"strings"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// IoT Hub is no broker: it knows a handful of topic filters, and each stands
// for a feature. Any other closes the connection; 0x80 in SUBACK is an option. The
// same goes for messages to an id that holds a wildcard, which is legal: PUBLISH
// can't have one in its topic [MQTT-3.3.2-2], so they wait for another protocol.

// subscribe answers SUBSCRIBE. An error ends the connection.
func (c *conn) subscribe(p mqtt.Packet) error {
	m, err := mqtt.ParseSubscribe(p)
	if err != nil {
		return err
	}
	subs, codes, v, err := c.grant(m.Filters)
	if err != nil {
		return err
	}
	subscribe := func() error { return c.session.Subscribe(c.ctx, subs...) }
	if err := c.respond(v, subscribe, (&mqtt.Suback{ID: m.ID, Codes: codes}).AppendTo); err != nil {
		return err
	}
	c.deliver()
	return nil
}

// grant says what becomes of each filter: a subscription, if it may be one, and
// a return code. The verdict is that on all of them.
func (c *conn) grant(fs mqtt.Filters) (subs []core.Subscription, codes []byte, all core.Verdict, err error) {
	for filter, qos := range fs.All() {
		feature, err := c.classify(filter)
		if err != nil && !c.server.opt.RefuseFilters {
			return nil, nil, all, err
		}
		if err == nil {
			var v core.Verdict
			if v, err = c.intercept(core.OpSubscribe, string(filter), nil, nil); err != nil && refusal(err) == nil {
				return nil, nil, all, err
			}
			all.DropAfter = all.DropAfter || v.DropAfter
			all.SwallowAck = all.SwallowAck || v.SwallowAck
		}
		if err != nil {
			c.server.opt.Log.Info("mqtt: topic filter refused", "device", c.id, "reason", err)
			codes = append(codes, mqtt.SubackFailure)
			continue
		}
		qos = min(qos, mqtt.AtLeastOnce)
		subs = append(subs, core.Subscription{Filter: string(filter), QoS: byte(qos), Feature: feature})
		codes = append(codes, byte(qos))
	}
	return subs, codes, all, nil
}

// unsubscribe answers UNSUBSCRIBE. Filters that are not there are no error.
func (c *conn) unsubscribe(p mqtt.Packet) error {
	m, err := mqtt.ParseUnsubscribe(p)
	if err != nil {
		return err
	}
	var verdict core.Verdict
	var filters []string
	for filter := range m.Filters.All() {
		v, err := c.intercept(core.OpUnsubscribe, string(filter), nil, nil)
		if err != nil {
			return err // UNSUBACK cannot say no
		}
		verdict.DropAfter = verdict.DropAfter || v.DropAfter
		verdict.SwallowAck = verdict.SwallowAck || v.SwallowAck
		filters = append(filters, string(filter))
	}
	unsubscribe := func() error { return c.session.Unsubscribe(c.ctx, filters...) }
	return c.respond(verdict, unsubscribe, (&mqtt.Unsuback{ID: m.ID}).AppendTo)
}

// classify says what a topic filter stands for. The error is for one that this
// identity can't use.
func (c *conn) classify(filter []byte) (core.Feature, error) {
	f, err := topics.ParseFilter(filter)
	if err != nil || !f.Allows(c.id) {
		return 0, violation("topic filter %s is unknown", quote(filter))
	}
	switch f.Kind {
	case topics.TwinResponse:
		return 0, nil // an answer goes to whoever asked
	case topics.MethodRequest:
		return core.FeatureMethods, nil
	case topics.TwinDesired:
		return core.FeatureDesired, nil
	case topics.C2D:
		return core.FeatureC2D, c.reachable()
	case topics.Input:
		return core.FeatureInputs, c.reachable()
	}
	return 0, violation("topic filter %s is unknown", quote(filter))
}

// reachable returns nil when messages can be sent to the identity.
func (c *conn) reachable() error {
	if strings.ContainsAny(c.id.String(), "+#") {
		return violation("no topic of messages leads to %q, which holds a wildcard", c.id)
	}
	return nil
}
