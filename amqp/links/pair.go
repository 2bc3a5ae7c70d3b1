package links

import (
	"crypto/rand"

	"github.com/hubwire/hubwire/amqp"
)

// newPair returns the properties that make two links a pair: the same channel-correlation-id. It stays
// with them for good, so that one which is attached again finds its partner.
//
// Source: spec/amqp.md 4.3.
func newPair(kind string) map[string]any {
	return map[string]any{amqp.LinkChannel: kind + ":" + newUUID().String()}
}

// newUUID returns a random uuid, of version 4.
func newUUID() (u amqp.UUID) {
	_, _ = rand.Read(u[:]) // it never fails
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}
