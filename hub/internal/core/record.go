package core

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/hubwire/hubwire"
)

// Messages are kept in the store in a form of our own: unsigned varints, and
// strings as length and bytes. The first byte of a record is its format. A
// record is one allocation and keeps nothing of the message it was made from.

const recordFormat = 1

var errRecord = errors.New("core: damaged record")

func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendTime appends the seconds since 1970, and the nanoseconds of the second
// plus one; two zeros are the zero time.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, 0, 0)
	}
	dst = binary.AppendVarint(dst, t.Unix())
	return binary.AppendUvarint(dst, uint64(t.Nanosecond())+1)
}

// stringFields are the system properties of a message in the order of the record.
func stringFields(m *hubwire.Message) [13]*string {
	return [...]*string{
		&m.ID, &m.CorrelationID, &m.UserID, &m.To, &m.ContentType, &m.ContentEncoding,
		&m.Output, &m.Component, &m.InterfaceID, &m.Schema, &m.DiagnosticID, &m.DiagnosticContext,
		(*string)(&m.Ack),
	}
}

func appendMessage(dst []byte, m *hubwire.Message) []byte {
	var set uint64
	fields := stringFields(m)
	for i, f := range fields {
		if *f != "" {
			set |= 1 << i
		}
	}
	dst = appendString(dst, m.Body) // first: what follows is text, nearly all of it
	dst = binary.AppendUvarint(dst, set)
	for _, f := range fields {
		if *f != "" {
			dst = appendString(dst, *f)
		}
	}
	dst = appendTime(appendTime(dst, m.CreationTime), m.Expiry)
	dst = binary.AppendUvarint(dst, uint64(len(m.Properties)))
	for i := range m.Properties {
		dst = appendString(appendString(dst, m.Properties[i].Name), m.Properties[i].Value)
	}
	return dst
}

// recordReader reads a record. The first fault sticks, and gives zero values.
type recordReader struct {
	b    []byte
	text string // b, from some place to its end, of which strings are pieces; may be empty
	err  error
}

func (r *recordReader) fail() { r.b, r.err = nil, errRecord }

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *recordReader) string() string {
	v := r.bytes()
	if r.text == "" {
		return string(v)
	}
	end := len(r.text) - len(r.b)
	return r.text[end-len(v) : end]
}

func (r *recordReader) time() time.Time {
	sec, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return time.Time{}
	}
	r.b = r.b[n:]
	nsec := r.uvarint()
	if nsec == 0 {
		return time.Time{}
	}
	if nsec > 1e9 {
		r.fail()
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec-1)).UTC()
}

// message reads a message, of which a record has nothing behind it.
func (r *recordReader) message(m *hubwire.Message) {
	m.Body = slices.Clone(r.bytes())
	r.text = string(r.b)
	r.fields(m)
}

// messageView is message for a reader that has its text: all of m are pieces of it and of
// the record. Properties are added to those of m.
func (r *recordReader) messageView(m *hubwire.Message) {
	m.Body = r.bytes()
	r.fields(m)
}

func (r *recordReader) fields(m *hubwire.Message) {
	set := r.uvarint()
	for i, f := range stringFields(m) {
		if set&(1<<i) != 0 {
			*f = r.string()
		}
	}
	m.CreationTime, m.Expiry = r.time(), r.time()
	n := r.uvarint()
	if n > uint64(len(r.b)) { // each has at least two bytes
		r.fail()
		return
	}
	m.Properties = slices.Grow(m.Properties, int(n))
	for range n {
		m.Properties = append(m.Properties, hubwire.Property{Name: r.string(), Value: r.string()})
	}
}

// cloneMessage returns a copy that shares nothing that can be changed.
func cloneMessage(m *hubwire.Message) hubwire.Message {
	c := *m
	c.Body = slices.Clone(m.Body)
	c.Properties = slices.Clone(m.Properties)
	return c
}
