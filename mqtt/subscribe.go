package mqtt

import "iter"

// Subscribe asks for messages, client to server (MQTT 3.1.1 section 3.8):
//
//	82 | remaining length | packet identifier | topic filter, QoS | topic filter, QoS | ...
//
// A Subscribe from [ParseSubscribe] is a view of the packet it was parsed from.
type Subscribe struct {
	ID      uint16  // not 0
	Filters Filters // at least one
}

// Filters is a list of topic filters, each with the QoS that is asked for, in
// the form that SUBSCRIBE has on the wire. The zero value is empty; add with
// [AppendFilter], read with [Filters.All].
type Filters []byte

// AppendFilter adds a filter to the list. It refuses one that is empty, longer
// than [MaxString] or not a filter (section 4.7.1), and a QoS above 2, with a
// [*PacketError] whose offset counts from the start of the filter; the list is then
// unchanged. It allocates only to grow the list.
func AppendFilter[T string | []byte](f Filters, filter T, qos QoS) (Filters, error) {
	names, err := appendFilterName(f, filter, TypeSubscribe)
	if err != nil {
		return f, err
	}
	if qos > ExactlyOnce {
		return f, refuse(TypeSubscribe, partRequestedQoS, faultSubscribeQoS, len(filter), int(ExactlyOnce))
	}
	return append(names, byte(qos)), nil
}

func appendFilterName[T string | []byte](dst []byte, filter T, t Type) ([]byte, error) {
	if len(filter) > MaxString {
		return dst, refuse(t, partFilter, faultTooLong, 0, MaxString)
	}
	at := len(dst) + 2
	dst = append(dst, byte(len(filter)>>8), byte(len(filter)))
	dst = append(dst, filter...)
	return dst, checkFilter(t, dst[at:], 0)
}

// All gives each filter, a view of f, with its QoS, in order. It stops where f
// is not well-formed, which a list from [AppendFilter] or [ParseSubscribe]
// always is. It does not allocate.
func (f Filters) All() iter.Seq2[[]byte, QoS] {
	return func(yield func([]byte, QoS) bool) {
		for rest := []byte(f); ; {
			filter, after, ok := cutField(rest)
			if !ok || len(after) == 0 || !yield(filter, QoS(after[0])) {
				return
			}
			rest = after[1:]
		}
	}
}

// Len returns how many filters there are.
func (f Filters) Len() int {
	n := 0
	for range f.All() {
		n++
	}
	return n
}

// cutField cuts a field with a two-byte length off the front of b.
func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, b, false
	}
	n := int(b[0])<<8 | int(b[1])
	if n > len(b)-2 {
		return nil, b, false
	}
	return b[2 : 2+n : 2+n], b[2+n:], true
}

// AppendTo appends s to dst and returns the extended slice. s must have passed
// [Subscribe.Check]. It allocates only to grow dst.
func (s *Subscribe) AppendTo(dst []byte) []byte {
	s = orZero(s)
	return appendList(dst, byte(TypeSubscribe)<<4|reliableFlags, s.ID, s.Filters)
}

func appendList(dst []byte, first byte, id uint16, list []byte) []byte {
	dst = appendHeader(dst, first, 2+len(list))
	dst = append(dst, byte(id>>8), byte(id))
	return append(dst, list...)
}

// Check reports whether s can be written: as [ParseSubscribe] checks, with the
// offsets of the packet that AppendTo would make. The error is a [*PacketError].
func (s *Subscribe) Check() error {
	s = orZero(s)
	n := 2 + len(s.Filters)
	head := headerSize(n)
	if n > MaxRemaining {
		return refuse(TypeSubscribe, partLength, faultTooLarge, 1, MaxRemaining)
	}
	if s.ID == 0 {
		return refuse(TypeSubscribe, partPacketID, faultPacketID, head, 0)
	}
	return checkFilters(s.Filters, head+2)
}

// checkFilters walks the list b, which begins at offset at of its packet.
func checkFilters(b []byte, at int) error {
	if len(b) == 0 {
		return refuse(TypeSubscribe, partFilters, faultNoFilter, at, 0)
	}
	for end := at + len(b); len(b) > 0; {
		filter, rest, ok := cutField(b)
		if !ok {
			return refuse(TypeSubscribe, partFilter, faultTruncated, at, end)
		}
		if err := checkFilter(TypeSubscribe, filter, at+2); err != nil {
			return err
		}
		at += 2 + len(filter)
		if len(rest) == 0 {
			return refuse(TypeSubscribe, partRequestedQoS, faultTruncated, at, end)
		}
		if QoS(rest[0]) > ExactlyOnce {
			return refuse(TypeSubscribe, partRequestedQoS, faultSubscribeQoS, at, int(ExactlyOnce))
		}
		at, b = at+1, rest[1:]
	}
	return nil
}

// ParseSubscribe gives a view of the whole packet p, with every filter and QoS
// already checked. It refuses, with a [*PacketError]: wrong flags
// [MQTT-3.8.1-1], packet identifier 0 [MQTT-2.3.1-1], no filter
// [MQTT-3.8.3-3], a filter that is not one (section 4.7), a QoS above 2
// [MQTT-3-8.3-4]. It does not allocate.
func ParseSubscribe(p Packet) (Subscribe, error) {
	id, list, at, err := parseList(p, TypeSubscribe, reliableFlags)
	if err == nil {
		err = checkFilters(list, at)
	}
	if err != nil {
		return Subscribe{}, err
	}
	return Subscribe{ID: id, Filters: list}, nil
}

// parseList reads a SUBSCRIBE, UNSUBSCRIBE or SUBACK up to its list, which
// begins at offset at.
func parseList(p []byte, t Type, flags byte) (id uint16, list []byte, at int, err error) {
	head, err := open(p, t, flags)
	if err != nil {
		return 0, nil, 0, err
	}
	r := reader{p: p, i: head, t: t}
	id = r.id()
	return id, p[r.i:len(p):len(p)], r.i, r.err
}
