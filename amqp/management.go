package amqp

import (
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// The words of $management.
const (
	readOperation     = "READ"
	eventHubType      = "com.microsoft:eventhub"
	partitionType     = "com.microsoft:partition"
	namePartition     = "partition"
	nameSecurityToken = "security_token"

	keyCreatedAt      = "created_at"
	keyPartitionCount = "partition_count"
	keyPartitionIDs   = "partition_ids"
	keyReplication    = "georeplication_factor"
	keyBegin          = "begin_sequence_number"
	keyLastSequence   = "last_enqueued_sequence_number"
	keyLastOffset     = "last_enqueued_offset"
	keyLastTime       = "last_enqueued_time_utc"
	keyIsEmpty        = "is_partition_empty"
	keyRetrieved      = "runtime_info_retrieval_time_utc"
)

// ReadRequest asks [Management] about the Event Hubs-compatible endpoint, or about one partition.
type ReadRequest struct {
	ID        Value  // message-id: of any type, for the answer to have it as it is
	ReplyTo   string // the target of the link that the answer is wanted on
	EventHub  string // its name
	Partition string // its id; empty for the endpoint as a whole
}

// AppendReadRequest appends the message of r, with a body of null. A nil r is the zero
// ReadRequest. No token is sent: the link has been authorised.
//
// Source: spec/amqp.md 6.5.
func AppendReadRequest(dst []byte, r *ReadRequest) []byte {
	r = orZero(r)
	kind := eventHubType
	if r.Partition != "" {
		kind = partitionType
	}
	d := Draft{
		Properties: Properties{MessageID: Echo(r.ID), ReplyTo: r.ReplyTo},
		ApplicationProperties: []Pair{
			{nameOperation, String(readOperation)}, {nameName, String(r.EventHub)}, {nameType, String(kind)},
			{namePartition, String(r.Partition)},
		},
		Body: ValueBody,
	}
	if r.Partition == "" {
		d.ApplicationProperties = d.ApplicationProperties[:3]
	}
	return AppendMessage(dst, &d)
}

// ParseReadRequest returns the request that m is. ID is a view. A body, and a security token, are
// passed over. The error is a [*hubwire.Error] with code [hubwire.ArgumentInvalid], and the
// request then has its ID and ReplyTo, so that it can be answered: another operation or
// type, or a partition without an id.
func ParseReadRequest(m *Message) (ReadRequest, error) {
	const op = "read"
	a := m.ApplicationProperties()
	r := ReadRequest{
		ID: m.MessageID(), ReplyTo: string(m.ReplyTo()),
		EventHub: string(a.text(nameName)), Partition: string(a.text(namePartition)),
	}
	kind := string(a.text(nameType))
	switch name := a.text(nameOperation); {
	case string(name) != readOperation:
		return r, refused(op, hubwire.ArgumentInvalid, "there is no operation %.100q", name)
	case kind == eventHubType:
		r.Partition = ""
	case kind != partitionType:
		return r, refused(op, hubwire.ArgumentInvalid, "there is no type %.100q to read", kind)
	case r.Partition == "":
		return r, refused(op, hubwire.ArgumentInvalid, "the request has no partition")
	}
	return r, nil
}

// EventHubInfo is what there is to read about the endpoint.
type EventHubInfo struct {
	Name       string    // of the Event Hub
	CreatedAt  time.Time // when it was made; milliseconds count
	Partitions []string  // their ids
}

// AppendEventHubInfo appends the message that answers the request id. Ids of partitions are an
// array of strings, which Go's client insists on, and there is the georeplication_factor that it
// fails without: 1. A nil i is the zero EventHubInfo.
func AppendEventHubInfo(dst []byte, id Value, i *EventHubInfo) []byte {
	i = orZero(i)
	return appendInfo(dst, id, []Pair{
		{nameName, String(i.Name)},
		{nameType, String(eventHubType)},
		{keyCreatedAt, Timestamp(i.CreatedAt)},
		{keyPartitionCount, Int(int32(len(i.Partitions)))},
		{keyPartitionIDs, Typed{data: amqp10.AppendStringArray(nil, i.Partitions...)}},
		{keyReplication, Int(1)},
	})
}

func appendInfo(dst []byte, id Value, pairs []Pair) []byte {
	ok := NewResponse(id, nil)
	m := openMap(nil, amqp10.CodeString8)
	m.pairs(pairs)
	return ok.append(dst, Typed{data: m.close()})
}

// ParseEventHubInfo returns what m, the answer to a request, says of the endpoint. Whether it is
// an answer at all, and not of an error, [ParseResponse] tells. The error is a
// [*hubwire.Error] with code [hubwire.FormatError]: the body is no map.
func ParseEventHubInfo(m *Message) (EventHubInfo, error) {
	var i EventHubInfo
	body, err := infoOf(m)
	if err != nil {
		return i, err
	}
	i.Name = lookupText(body, nameName)
	i.CreatedAt = lookupTime(body, keyCreatedAt)
	ids, _ := body.Lookup(keyPartitionIDs)
	for r := ids.Items(); r.More(); {
		s, _ := r.Value().Text()
		i.Partitions = append(i.Partitions, string(s))
	}
	return i, nil
}

// PartitionInfo is what there is to read about a partition.
type PartitionInfo struct {
	EventHub  string // the name of the Event Hub
	Partition string // its id

	Begin        int64     // the sequence number of the oldest event
	LastSequence int64     // of the newest event; -1 when there was none
	LastOffset   string    // of the newest event; "-1" when there was none
	LastTime     time.Time // when the newest event came
	Empty        bool      // there is no event in it
}

// AppendPartitionInfo appends the message that answers the request id. A nil i is the zero
// PartitionInfo.
func AppendPartitionInfo(dst []byte, id Value, i *PartitionInfo) []byte {
	i = orZero(i)
	return appendInfo(dst, id, []Pair{
		{nameName, String(i.EventHub)},
		{nameType, String(partitionType)},
		{namePartition, String(i.Partition)},
		{keyBegin, Long(i.Begin)},
		{keyLastSequence, Long(i.LastSequence)},
		{keyLastOffset, String(i.LastOffset)},
		{keyLastTime, Timestamp(i.LastTime)},
		{keyIsEmpty, Bool(i.Empty)},
	})
}

// ParsePartitionInfo returns what m, the answer to a request, says of a partition. As
// [ParseEventHubInfo] otherwise.
func ParsePartitionInfo(m *Message) (PartitionInfo, error) {
	var i PartitionInfo
	body, err := infoOf(m)
	if err != nil {
		return i, err
	}
	i.EventHub, i.Partition = lookupText(body, nameName), lookupText(body, namePartition)
	i.Begin, i.LastSequence = lookupNumber(body, keyBegin), lookupNumber(body, keyLastSequence)
	i.LastOffset, i.LastTime = lookupText(body, keyLastOffset), lookupTime(body, keyLastTime)
	empty, _ := body.Lookup(keyIsEmpty)
	i.Empty, _ = empty.Bool()
	return i, nil
}

func infoOf(m *Message) (Value, error) {
	v := m.Value()
	if v.Kind() != amqp10.KindMap {
		return v, refused("read", hubwire.FormatError, "the body of the answer is no map")
	}
	return v, nil
}

func lookupText(m Value, key string) string {
	v, _ := m.Lookup(key)
	s, _ := v.Text()
	return string(s)
}

func lookupNumber(m Value, key string) int64 {
	v, _ := m.Lookup(key)
	n, _ := v.Int()
	return n
}

func lookupTime(m Value, key string) time.Time {
	v, _ := m.Lookup(key)
	return timeOf(v)
}
