package links

import (
	"crypto/rand"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// newPair returns what makes two links a pair: the same channel-correlation-id. It stays
// with them for good, so that one which is attached again finds its partner.
//
// Source: spec/amqp.md 4.3.
func newPair(kind string) string { return kind + ":" + newUUID().String() }

// wire returns the properties of an attach as they go over the wire; null for none.
func wire(p amqp.LinkProperties) amqp10.Value {
	b := p.AppendTo(nil)
	if len(b) == 0 {
		return amqp10.Value{}
	}
	return amqp10.ValueOf(b)
}

// newUUID returns a random uuid, of version 4.
func newUUID() (u amqp.UUID) {
	_, _ = rand.Read(u[:]) // it never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}
