package mqtt

import "sync/atomic"

// fault is one way in which a packet can break the standard.
type fault uint8

const (
	faultType fault = iota
	faultFlags
	faultPubrelFlags
	faultSubscribeFlags
	faultUnsubscribeFlags
	faultDisconnectFlags
	faultLength
	faultTruncated
	faultTrailing
	faultTooLarge
	faultTooLong
	faultPacketID
	faultPublishQoS
	faultSubscribeQoS
	faultWillQoS
	faultDup
	faultUTF8
	faultNUL
	faultPublishWildcard
	faultWildcard
	faultEmptyTopic
	faultNoFilter
	faultNoTopic
	faultNoCode
	faultHash
	faultPlus
	faultProtocolName
	faultProtocolLevel
	faultConnectReserved
	faultNoWillQoS
	faultNoWillRetain
	faultCredentials
	faultClientID
	faultConnackReserved
	faultReturnCode
	faultSession
	faultSubackCode
)

var rules = [...]struct {
	err error
	tag string
}{
	faultType:             {ErrType, "section 2.2.1"},
	faultFlags:            {ErrFlags, "[MQTT-2.2.2-2]"},
	faultPubrelFlags:      {ErrFlags, "[MQTT-3.6.1-1]"},
	faultSubscribeFlags:   {ErrFlags, "[MQTT-3.8.1-1]"},
	faultUnsubscribeFlags: {ErrFlags, "[MQTT-3.10.1-1]"},
	faultDisconnectFlags:  {ErrFlags, "[MQTT-3.14.1-1]"},
	faultLength:           {ErrLength, "section 2.2.3"},
	faultTruncated:        {ErrTruncated, "section 2.2.3"},
	faultTrailing:         {ErrTrailing, "section 2.2.3"},
	faultTooLarge:         {ErrTooLarge, "section 2.2.3"},
	faultTooLong:          {ErrTooLong, "section 1.5.3"},
	faultPacketID:         {ErrPacketID, "[MQTT-2.3.1-1]"},
	faultPublishQoS:       {ErrQoS, "[MQTT-3.3.1-4]"},
	faultSubscribeQoS:     {ErrQoS, "[MQTT-3-8.3-4]"}, // the standard's own spelling
	faultWillQoS:          {ErrQoS, "[MQTT-3.1.2-14]"},
	faultDup:              {ErrDup, "[MQTT-3.3.1-2]"},
	faultUTF8:             {ErrUTF8, "[MQTT-1.5.3-1]"},
	faultNUL:              {ErrNUL, "[MQTT-1.5.3-2]"},
	faultPublishWildcard:  {ErrWildcard, "[MQTT-3.3.2-2]"},
	faultWildcard:         {ErrWildcard, "[MQTT-4.7.1-1]"},
	faultEmptyTopic:       {ErrEmpty, "[MQTT-4.7.3-1]"},
	faultNoFilter:         {ErrEmpty, "[MQTT-3.8.3-3]"},
	faultNoTopic:          {ErrEmpty, "[MQTT-3.10.3-2]"},
	faultNoCode:           {ErrEmpty, "[MQTT-3.8.4-5]"},
	faultHash:             {ErrFilter, "[MQTT-4.7.1-2]"},
	faultPlus:             {ErrFilter, "[MQTT-4.7.1-3]"},
	faultProtocolName:     {ErrProtocolName, "[MQTT-3.1.2-1]"},
	faultProtocolLevel:    {ErrProtocolLevel, "[MQTT-3.1.2-2]"},
	faultConnectReserved:  {ErrReserved, "[MQTT-3.1.2-3]"},
	faultNoWillQoS:        {ErrWill, "[MQTT-3.1.2-13]"},
	faultNoWillRetain:     {ErrWill, "[MQTT-3.1.2-15]"},
	faultCredentials:      {ErrCredentials, "[MQTT-3.1.2-22]"},
	faultClientID:         {ErrClientID, "[MQTT-3.1.3-8]"},
	faultConnackReserved:  {ErrReserved, "section 3.2.2.1"},
	faultReturnCode:       {ErrReturnCode, "section 3.2.2.3"},
	faultSession:          {ErrSession, "[MQTT-3.2.2-4]"},
	faultSubackCode:       {ErrReturnCode, "[MQTT-3.9.3-2]"},
}

// flagFaults is which rule wrong fixed-header flags break.
var flagFaults = [16]fault{
	TypeConnect: faultFlags, TypeConnack: faultFlags, TypePublish: faultPublishQoS, TypePuback: faultFlags,
	TypePubrec: faultFlags, TypePubrel: faultPubrelFlags, TypePubcomp: faultFlags,
	TypeSubscribe: faultSubscribeFlags, TypeSuback: faultFlags, TypeUnsubscribe: faultUnsubscribeFlags,
	TypeUnsuback: faultFlags, TypePingreq: faultFlags, TypePingresp: faultFlags, TypeDisconnect: faultDisconnectFlags,
}

// part is a piece of a packet that an error can name.
type part uint8

const (
	partHeader part = iota
	partLength
	partProtocolName
	partProtocolLevel
	partConnectFlags
	partKeepAlive
	partClientID
	partWillTopic
	partWillPayload
	partUserName
	partPassword
	partConnackFlags
	partReturnCode
	partTopic
	partPacketID
	partFilter
	partFilters
	partRequestedQoS
	partReturnCodes
	partBody
)

var partNames = [...]string{
	partHeader: "fixed header", partLength: "remaining length", partProtocolName: "protocol name",
	partProtocolLevel: "protocol level", partConnectFlags: "connect flags", partKeepAlive: "keep alive",
	partClientID: "client identifier", partWillTopic: "will topic", partWillPayload: "will message",
	partUserName: "user name", partPassword: "password", partConnackFlags: "acknowledge flags",
	partReturnCode: "return code", partTopic: "topic", partPacketID: "packet identifier",
	partFilter: "topic filter", partFilters: "list of topic filters", partRequestedQoS: "requested QoS",
	partReturnCodes: "list of return codes", partBody: "packet",
}

// sharedErrors keeps errors for reuse, so that refusing a packet is not dearer
// than accepting one: an allocation costs more than a whole parse. An error is
// a pure function of its five values, so who else got the same one does not
// matter. Slots are overwritten, never added: memory is bounded.
var sharedErrors [1024]atomic.Pointer[sharedError]

type sharedError struct {
	PacketError
	id uint64
}

// refuse returns the error for fault f in part pt of a packet of type t.
func refuse(t Type, pt part, f fault, offset, limit int) error {
	id := errorID(t, pt, f, offset)
	if e := kept(id, limit); e != nil {
		return e
	}
	return keep(id, limit)
}

// errorID packs what makes an error, but for its limit.
func errorID(t Type, pt part, f fault, offset int) uint64 {
	return uint64(offset)<<16 | uint64(t)<<12 | uint64(pt)<<6 | uint64(f)
}

func errorSlot(id uint64) *atomic.Pointer[sharedError] {
	return &sharedErrors[(id>>16^id>>3)%uint64(len(sharedErrors))]
}

// kept returns the error of that id and limit, or nil if it is not there.
func kept(id uint64, limit int) *PacketError {
	e := errorSlot(id).Load()
	if e == nil || e.id != id || e.Limit != limit {
		return nil
	}
	return &e.PacketError
}

// keep makes the error of that id and limit.
func keep(id uint64, limit int) error {
	rule := rules[id&0x3f]
	e := &sharedError{id: id, PacketError: PacketError{
		Packet: Type(id >> 12 & 0xf), Part: partNames[id>>6&0x3f], Offset: int(id >> 16), Limit: limit,
		Rule: rule.tag, Err: rule.err,
	}}
	errorSlot(id).Store(e)
	return &e.PacketError
}
