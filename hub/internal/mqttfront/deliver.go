package mqttfront

import (
	"context"
	"slices"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
)

// Messages for the device: cloud-to-device, and for modules what comes in by
// their inputs. They go out in the order of the queue, at the lower of QoS 1
// and what was granted. At QoS 1 a PUBACK completes; MQTT can neither reject nor
// abandon. PUBACKs are taken in any order, where the service is said to insist on
// that of delivery: clients that settle late are common. That a message can ask for
// QoS 0 by a property, as with Protocol Gateway, is an option.

const (
	// window is how many messages are out without a PUBACK. IoT Hub's MQTT 5
	// preview announces 16; of 3.1.1 it is not documented.
	window = 16

	// idMask makes a packet identifier of a sequence number, as the service's
	// front end does (Protocol Gateway: the lower 14 bits, plus one). So a message
	// keeps it when it is sent again, also over the next connection
	// [MQTT-4.4.0-1], and the .NET SDK has those from 0x8000 on for itself.
	idMask = 0x3fff
)

// deliveries are what a connection knows of its messages; guarded by conn.mu.
type deliveries struct {
	inFlight []delivery // in the order of sending
	lost     uint64     // as the session said when inFlight was last compared with the queue
	pumping  bool       // somebody is in pump
	again    bool       // who should look once more
}

// delivery is a message that was sent at QoS 1.
type delivery struct {
	id       uint16
	sequence int64
	lock     string
	over     bool // its lock ran out: the message is to be sent again
}

// deliver sends the messages that wait, for the reader.
func (c *conn) deliver() {
	if c.server.core.Intercepts() {
		c.C2DReady()
		return
	}
	c.pump(false)
}

// pump sends the messages that wait, as far as the window allows. It never
// waits for the peer. One goroutine at a time does so, in order; another one
// only leaves word. No lock is held while the core is asked, which may call
// the link back.
func (c *conn) pump(wake bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return // the reader will, when the login is complete
	}
	c.again = true
	if c.pumping {
		return
	}
	c.pumping = true
	for c.again {
		c.again = false
		for more := true; more; {
			max := c.room()
			if max <= 0 || c.out.full() { // at QoS 0 there is no window
				break
			}
			c.mu.Unlock()
			more = c.sendNext(max, wake)
			if more && c.server.core.Intercepts() {
				c.C2DReady() // behind what else is to be pushed
				more = false
			}
			c.mu.Lock()
		}
	}
	c.pumping = false
}

// batches are where messages are until they are written, [window]core.Outgoing each.
var batches = sync.Pool{New: func() any { return new([window]core.Outgoing) }}

// sendNext sends up to max messages, and reports whether to go on. With an intercept
// function, which may take its time, it is one: the lock of a second would run
// meanwhile. And it may keep what it sees.
func (c *conn) sendNext(max int, wake bool) (more bool) {
	if c.server.core.Intercepts() {
		one := make([]core.Outgoing, 1)
		return c.session.NextC2D(one) == 1 && c.sendMessage(&one[0], wake)
	}
	room := batches.Get().(*[window]core.Outgoing)
	batch := room[:max]
	n := c.session.NextC2D(batch)
	more = n == max
	for i := range n {
		more = c.sendMessage(&batch[i], wake) && more
	}
	clear(batch[:n])
	batches.Put(room)
	return more
}

// room returns how many more messages the window allows. From a full one
// those first go that have expired or were purged, for which no PUBACK need ever
// come; and those whose locks ran out do not count, since they are what comes next. The
// caller holds the lock, which is released meanwhile.
func (c *conn) room() int {
	if n := c.outstanding(); n < window {
		return window - n
	}
	lost := c.session.Lost()
	if lost == c.lost {
		return 0
	}
	c.lost = lost
	sent := slices.Clone(c.inFlight)
	c.mu.Unlock()
	var gone, over []delivery
	for _, d := range sent {
		switch waits, locked := c.session.Waits(d.sequence); {
		case !waits:
			gone = append(gone, d)
		case !locked:
			over = append(over, d)
		}
	}
	c.mu.Lock()
	c.inFlight = slices.DeleteFunc(c.inFlight, func(d delivery) bool { return slices.Contains(gone, d) })
	for i, d := range c.inFlight {
		c.inFlight[i].over = slices.Contains(over, d)
	}
	return window - c.outstanding()
}

// outstanding counts the messages that a PUBACK is waited for.
func (d *deliveries) outstanding() (n int) {
	for i := range d.inFlight {
		if !d.inFlight[i].over {
			n++
		}
	}
	return n
}

// sendMessage sends one message, and reports whether to go on. What is not
// sent stays locked, and visible again when its lock is over.
func (c *conn) sendMessage(r *core.Outgoing, wake bool) bool {
	v, err := c.intercept(core.OpC2D, r.Input, &r.Message, nil)
	if err != nil {
		if refusal(err) == nil {
			c.cut()
			return false
		}
		return true
	}
	p := mqtt.Publish{Payload: r.Body, QoS: c.qos(r)}
	if p.QoS != mqtt.AtMostOnce {
		p.ID, p.Dup = c.packetID(&r.Received), r.Redelivered
	}
	sent := c.out.push(wake, func(dst []byte) []byte {
		at := len(dst)
		dst = mqtt.OpenPublish(dst, len(p.Payload))
		if r.Input != "" {
			dst = mqtt.AppendInputTopic(dst, c.id, &r.Received)
		} else {
			dst = mqtt.AppendC2DTopic(dst, c.id, &r.Message)
		}
		dst, err = mqtt.ClosePublish(dst, at, &p)
		return dst
	})
	switch {
	case !sent:
		return false // the connection is over, and what it holds is given back
	case err != nil:
		// Its topic is too long for MQTT: no delivery will ever succeed.
		c.server.opt.Log.Warn("mqtt: message rejected", "device", c.id, "message", r.ID, "error", err)
		c.take(p.ID)
		c.settle(r.LockToken, hubwire.Reject)
	case p.QoS == mqtt.AtMostOnce:
		c.settle(r.LockToken, hubwire.Complete)
	}
	c.dropAfter(v)
	return true
}

// settle ends a delivery. That its lock was lost is no news to the peer: it
// gets the message again.
func (c *conn) settle(lock string, d hubwire.Disposition) {
	c.logUnsettled(c.session.Settle(c.ctx, lock, d))
}

func (c *conn) logUnsettled(err error) {
	if err != nil {
		c.server.opt.Log.Info("mqtt: message not settled", "device", c.id, "error", err)
	}
}

// qos returns the QoS that a message goes out at.
func (c *conn) qos(r *core.Outgoing) mqtt.QoS {
	if c.server.opt.GatewayProperties {
		if hint, _ := r.Property("mqtt-qos"); hint == "0" {
			return mqtt.AtMostOnce
		}
	}
	return mqtt.QoS(r.QoS)
}

// packetID notes a message as sent at QoS 1 and returns its packet
// identifier: the same as before when its lock ran out without a PUBACK.
func (c *conn) packetID(r *hubwire.Received) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.inFlight {
		if d := &c.inFlight[i]; d.sequence == r.SequenceNumber {
			d.lock, d.over = r.LockToken, false
			return d.id
		}
	}
	id := uint16(r.SequenceNumber&idMask) + 1
	for slices.ContainsFunc(c.inFlight, func(d delivery) bool { return d.id == id }) {
		id = id&idMask + 1 // of a message that waits since 16,384 messages
	}
	c.inFlight = append(c.inFlight, delivery{id: id, sequence: r.SequenceNumber, lock: r.LockToken})
	return id
}

// take removes what was sent with a packet identifier.
func (c *conn) take(id uint16) (d delivery, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.inFlight, func(d delivery) bool { return d.id == id })
	if i < 0 {
		return d, false
	}
	d = c.inFlight[i]
	c.inFlight = slices.Delete(c.inFlight, i, i+1)
	return d, true
}

// puback notes a message to complete. One that is not out is ignored: it was completed before.
func (c *conn) puback(p mqtt.Packet) error {
	m, err := mqtt.ParsePuback(p)
	if err != nil {
		return err
	}
	d, ok := c.take(m.ID)
	if !ok {
		return nil
	}
	v, err := c.intercept(core.OpAck, d.lock, nil, nil)
	switch {
	case err == nil:
		c.acked = append(c.acked, d.lock)
	case refusal(err) == nil:
		return err
	}
	if v.DropAfter {
		return core.ErrDrop
	}
	return nil
}

// proceed completes what PUBACKs have come for, those of a burst at once, and sends what
// there is room for then.
func (c *conn) proceed() {
	if len(c.acked) > 0 {
		c.complete()
		c.deliver()
	}
}

// complete completes what PUBACKs have come for, whatever becomes of the connection.
func (c *conn) complete() {
	if len(c.acked) > 0 {
		c.logUnsettled(c.session.Complete(context.WithoutCancel(c.ctx), c.acked))
		clear(c.acked)
		c.acked = c.acked[:0]
	}
}
