package amqp10

import "bytes"

// State is a delivery state: how far a delivery has come, or how it ended (part 3 section 3.4). It
// is a view of it in encoded form, so that states can be compared and passed on without being
// looked into. The zero State is null.
type State struct {
	value Value
	kind  Descriptor
}

var (
	accepted = stateOf([]byte{CodeDescribed, CodeSmallUlong, byte(DescAccepted), CodeList0})
	released = stateOf([]byte{CodeDescribed, CodeSmallUlong, byte(DescReleased), CodeList0})
)

// Accepted returns the outcome accepted.
func Accepted() State { return accepted }

// Released returns the outcome released.
func Released() State { return released }

// Rejected returns the outcome rejected, with e unless that is nil. It allocates.
func Rejected(e *Error) State {
	w := create(nil, DescRejected)
	w.error(e)
	return stateOf(w.close())
}

func stateOf(b []byte) State {
	r := NewReader(b)
	return r.State()
}

// State reads a delivery state or null.
func (r *Reader) State() State {
	if b := r.b[r.pos:]; len(b) >= 4 && b[0] == CodeDescribed && b[1] == CodeSmallUlong && b[3] == CodeList0 {
		if r.left > 0 && !r.alike { // the usual form: an outcome without fields
			r.left--
			r.pos += 4
			return State{Value{data: b[1:4:4], offset: r.Offset() - 3}, known(Descriptor(b[2]))}
		}
	}
	v := r.checked()
	switch {
	case v.IsNull() || r.failed():
		return State{}
	case v.code != CodeDescribed:
		r.fail(faultType)
		return State{}
	}
	in := Reader{b: v.data, left: 2, count: endless}
	return State{v, known(in.descriptor())}
}

// Kind returns which state s is: [DescReceived], [DescAccepted], [DescRejected], [DescReleased],
// [DescModified], [DescTransactional]; 0 for null and for a state that the standard does not have.
func (s State) Kind() Descriptor { return s.kind }

// IsNull reports whether s is null.
func (s State) IsNull() bool { return s.value.IsNull() }

// Terminal reports whether s is an outcome: accepted, rejected, released or modified.
func (s State) Terminal() bool { return s.kind >= DescAccepted && s.kind <= DescModified }

// Equal reports whether s and o are the same, byte for byte.
func (s State) Equal(o State) bool {
	return s.value.code == o.value.code && bytes.Equal(s.value.data, o.value.data)
}

// AppendTo appends s.
func (s State) AppendTo(dst []byte) []byte { return s.value.AppendTo(dst) }

// Clone returns a State that owns its bytes.
func (s State) Clone() State { return State{s.value.Clone(), s.kind} }

// fields returns a Reader of what s, which must be a what, consists of.
func (s State) fields(what Descriptor) Reader {
	r := s.value.reader()
	r.what = what
	fields, ok := r.composite(what)
	if !ok {
		r.fail(faultMissing)
	}
	fields.adopt(&r)
	return fields
}

// Error returns why s was rejected: nil if s does not say, or is not [DescRejected]. The error is
// a [*SyntaxError].
func (s State) Error() (*Error, error) {
	if s.kind != DescRejected {
		return nil, nil
	}
	f := s.fields(DescRejected)
	e := f.error()
	return e, f.Done()
}

// Received says how much of a delivery its receiver has (part 3 section 3.4.1).
type Received struct {
	SectionNumber uint32
	SectionOffset uint64
}

// State returns m as a State. It allocates.
func (m Received) State() State {
	w := create(nil, DescReceived)
	w.uint(m.SectionNumber)
	w.ulong(m.SectionOffset)
	return stateOf(w.close())
}

// Received returns what s, which must be [DescReceived], says. The error is a [*SyntaxError].
func (s State) Received() (m Received, err error) {
	f := s.fields(DescReceived)
	m.SectionNumber = f.Uint()
	m.SectionOffset = f.Ulong()
	return m, f.Done()
}

// Modified is the outcome of a delivery that is to come again, changed (part 3 section 3.4.5).
type Modified struct {
	DeliveryFailed    Opt[bool]
	UndeliverableHere Opt[bool]
	Annotations       Value // a map, of message annotations
}

// State returns m as a State. It allocates.
func (m Modified) State() State {
	w := create(nil, DescModified)
	w.optBool(m.DeliveryFailed)
	w.optBool(m.UndeliverableHere)
	w.value(m.Annotations)
	return stateOf(w.close())
}

// Modified returns what s, which must be [DescModified], says. The error is a [*SyntaxError].
func (s State) Modified() (m Modified, err error) {
	f := s.fields(DescModified)
	m.DeliveryFailed = f.OptBool()
	m.UndeliverableHere = f.OptBool()
	m.Annotations = f.mapping()
	return m, f.Done()
}
