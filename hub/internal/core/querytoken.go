package core

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/hubwire/hubwire"
)

// queryPlace is where the next page of a query begins: after this row.
type queryPlace struct {
	given int              // rows on the pages so far, for TOP
	job   string           // of a row of devices.jobs
	id    hubwire.Identity // of a row of any source
	group string           // the key of a group
}

// A token is the place, behind a MAC of it and of the query's text: so nobody can
// make one, or use it for another query, and the hub remembers nothing.
const placeMAC = 16

func newQueryKey() []byte {
	key := make([]byte, 32)
	rand.Read(key) // cannot fail
	return key
}

// placeToken returns the token of a place in the query of this text.
func (c *Core) placeToken(text string, p *queryPlace) string {
	b := binary.AppendUvarint(nil, uint64(p.given))
	for _, s := range [...]string{p.job, p.id.DeviceID, p.id.ModuleID, p.group} {
		b = appendString(b, s)
	}
	return base64.RawURLEncoding.EncodeToString(append(c.macOfPlace(text, b), b...))
}

func (c *Core) macOfPlace(text string, place []byte) []byte {
	h := hmac.New(sha256.New, c.queryKey)
	h.Write(appendString(nil, text))
	h.Write(place)
	return h.Sum(nil)[:placeMAC]
}

// readPlace returns the place of a token; an empty one is the begin.
func (c *Core) readPlace(op, text, token string) (p queryPlace, err error) {
	if token == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) < placeMAC || !hmac.Equal(b[:placeMAC], c.macOfPlace(text, b[placeMAC:])) {
		return p, refuse(op, hubwire.ArgumentInvalid, "the continuation token is not one of this query on this hub")
	}
	r := recordReader{b: b[placeMAC:]}
	p.given = int(r.uvarint())
	for _, s := range [...]*string{&p.job, &p.id.DeviceID, &p.id.ModuleID, &p.group} {
		*s = r.string()
	}
	return p, r.err
}
