package mqttfront

import (
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// IoT Hub is no broker: it knows a handful of topic filters, and each stands
// for a feature. Any other closes the connection; 0x80 in SUBACK is an option.

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
		feature, ok := c.classify(filter)
		if !ok && !c.server.opt.RefuseFilters {
			return nil, nil, all, violation("topic filter %s is unknown", quote(filter))
		}
		if ok {
			v, err := c.intercept(core.OpSubscribe, string(filter), nil, nil)
			if err != nil && refusal(err) == nil {
				return nil, nil, all, err
			}
			all.DropAfter = all.DropAfter || v.DropAfter
			all.SwallowAck = all.SwallowAck || v.SwallowAck
			ok = err == nil
		}
		if !ok {
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

// classify says what a topic filter stands for, when it is one that this
// identity may use.
func (c *conn) classify(filter []byte) (core.Feature, bool) {
	f, err := topics.ParseFilter(filter)
	if err != nil {
		return 0, false
	}
	switch f.Kind {
	case topics.TwinResponse:
		return 0, true // an answer goes to whoever asked
	case topics.MethodRequest:
		return core.FeatureMethods, true
	case topics.TwinDesired:
		return core.FeatureDesired, true
	case topics.C2D:
		return core.FeatureC2D, f.Allows(c.id)
	case topics.Input:
		return core.FeatureInputs, f.Allows(c.id)
	}
	return 0, false
}
