package mqtt

import "iter"

// Unsubscribe gives subscriptions up, client to server (MQTT 3.1.1 section 3.10):
//
//	a2 | remaining length | packet identifier | topic filter | topic filter | ...
//
// An Unsubscribe from [ParseUnsubscribe] is a view of the packet it was parsed from.
type Unsubscribe struct {
	ID      uint16      // not 0
	Filters FilterNames // at least one
}

// FilterNames is a list of topic filters without a QoS, in the form that
// UNSUBSCRIBE has on the wire. The zero value is empty; add with
// [AppendFilterName], read with [FilterNames.All].
type FilterNames []byte

// AppendFilterName adds a filter to the list. It refuses what [AppendFilter]
// does. It allocates only to grow the list.
func AppendFilterName[T string | []byte](f FilterNames, filter T) (FilterNames, error) {
	names, err := appendFilterName(f, filter, TypeUnsubscribe)
	if err != nil {
		return f, err
	}
	return names, nil
}

// All gives each filter, a view of f, in order. It stops where f is not
// well-formed, which a list from [AppendFilterName] or [ParseUnsubscribe]
// always is. It does not allocate.
func (f FilterNames) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := []byte(f); ; {
			filter, after, ok := cutField(rest)
			if !ok || !yield(filter) {
				return
			}
			rest = after
		}
	}
}

// Len returns how many filters there are.
func (f FilterNames) Len() int {
	n := 0
	for range f.All() {
		n++
	}
	return n
}

// AppendTo appends u to dst and returns the extended slice. u must have passed
// [Unsubscribe.Check]. It allocates only to grow dst.
func (u *Unsubscribe) AppendTo(dst []byte) []byte {
	u = orZero(u)
	return appendList(dst, byte(TypeUnsubscribe)<<4|reliableFlags, u.ID, u.Filters)
}

// Check reports whether u can be written: as [ParseUnsubscribe] checks, with
// the offsets of the packet that AppendTo would make. The error is a [*PacketError].
func (u *Unsubscribe) Check() error {
	u = orZero(u)
	n := 2 + len(u.Filters)
	head := headerSize(n)
	if n > MaxRemaining {
		return refuse(TypeUnsubscribe, partLength, faultTooLarge, 1, MaxRemaining)
	}
	if u.ID == 0 {
		return refuse(TypeUnsubscribe, partPacketID, faultPacketID, head, 0)
	}
	return checkFilterNames(u.Filters, head+2)
}

// checkFilterNames walks the list b, which begins at offset at of its packet.
func checkFilterNames(b []byte, at int) error {
	if len(b) == 0 {
		return refuse(TypeUnsubscribe, partFilters, faultNoTopic, at, 0)
	}
	for end := at + len(b); len(b) > 0; {
		filter, rest, ok := cutField(b)
		if !ok {
			return refuse(TypeUnsubscribe, partFilter, faultTruncated, at, end)
		}
		if err := checkFilter(TypeUnsubscribe, filter, at+2); err != nil {
			return err
		}
		at, b = at+2+len(filter), rest
	}
	return nil
}

// ParseUnsubscribe gives a view of the whole packet p, with every filter
// already checked. It refuses, with a [*PacketError]: wrong flags
// [MQTT-3.10.1-1], packet identifier 0 [MQTT-2.3.1-1], no filter
// [MQTT-3.10.3-2], a filter that is not one (section 4.7). It does not allocate.
func ParseUnsubscribe(p Packet) (Unsubscribe, error) {
	id, list, at, err := parseList(p, TypeUnsubscribe, reliableFlags)
	if err == nil {
		err = checkFilterNames(list, at)
	}
	if err != nil {
		return Unsubscribe{}, err
	}
	return Unsubscribe{ID: id, Filters: list}, nil
}
