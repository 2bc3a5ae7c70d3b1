package amqp

import (
	"math"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// LinkProperties are the properties of an attach that IoT Hub and Event Hubs look at. What is
// empty or nil is absent.
type LinkProperties struct {
	ClientVersion string        // com.microsoft:client-version: the SDK, for people
	APIVersion    string        // com.microsoft:api-version, a date
	Channel       string        // channel-correlation-id: "methods:{guid}", "twin:{guid}"; see [LinkProperties.Pair]
	ModelID       string        // com.microsoft:model-id: the Plug and Play model, "dtmi:…"
	AuthChain     string        // com.microsoft:auth-chain, as topics.AuthChain is
	ReceiverName  string        // com.microsoft:receiver-name, which errors quote
	Timeout       time.Duration // com.microsoft:timeout, in whole milliseconds
	Epoch         *int64        // the owner level of a receiver of events
}

// ParseLinkProperties reads the properties of an attach, a map or null. It copies. Keys may
// be symbols or strings. What it does not know, and what has another type than it should,
// it passes over: one SDK sends on some of its links what belongs to others. An epoch that is
// neither null nor a whole number is a [*hubwire.Error] with code
// [hubwire.ArgumentInvalid], since without it the receiver would share the partition.
func ParseLinkProperties(v Value) (LinkProperties, error) {
	var p LinkProperties
	for key, value := range v.Entries() {
		name, _ := key.Text()
		if field := p.text(string(name)); field != nil {
			text, _ := value.Text()
			*field = string(text)
			continue
		}
		switch string(name) {
		case LinkTimeout:
			p.Timeout = timeout(value)
		case LinkEpoch:
			if value.IsNull() {
				continue
			}
			n, ok := value.Int()
			if !ok {
				return p, refused("attach", hubwire.ArgumentInvalid, "%s is a %v", LinkEpoch, value.Kind())
			}
			p.Epoch = &n
		}
	}
	return p, nil
}

func timeout(v Value) time.Duration {
	ms, ok := v.Float()
	if !ok {
		n, _ := v.Uint()
		ms = float64(n)
	}
	const most = float64(1<<63-1) / float64(time.Millisecond)
	if !(ms > 0 && ms < most) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// text returns the field that a key is for, or nil if that is none of text.
func (p *LinkProperties) text(key string) *string {
	switch key {
	case LinkClientVersion:
		return &p.ClientVersion
	case LinkAPIVersion:
		return &p.APIVersion
	case LinkChannel:
		return &p.Channel
	case LinkModelID:
		return &p.ModelID
	case LinkAuthChain:
		return &p.AuthChain
	case LinkReceiverName:
		return &p.ReceiverName
	}
	return nil
}

// linkTexts are the keys of text, in the order in which they are written.
var linkTexts = [...]string{LinkClientVersion, LinkAPIVersion, LinkChannel, LinkModelID, LinkAuthChain, LinkReceiverName}

// AppendTo appends the map, or nothing when all of it is absent. The timeout is a uint.
func (p *LinkProperties) AppendTo(dst []byte) []byte {
	if p == nil {
		return dst
	}
	m := openMap(dst, amqp10.CodeSymbol8)
	for _, key := range linkTexts {
		m.text(key, *p.text(key))
	}
	if ms := p.Timeout.Milliseconds(); ms > 0 {
		m.uint(LinkTimeout, uint32(min(ms, math.MaxUint32)))
	}
	if p.Epoch != nil {
		m.long(LinkEpoch, *p.Epoch)
	}
	return m.close()
}

// Pair returns what the two links of a pair, requests and responses, have in common: what
// follows the first colon of Channel, and nothing when it has none. A link of methods or of
// the twin that comes with another ends its partner.
//
// Source: spec/amqp.md 4.3.
func (p *LinkProperties) Pair() string {
	if p == nil {
		return ""
	}
	_, pair, _ := strings.Cut(p.Channel, ":")
	return pair
}
