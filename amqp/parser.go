package amqp

import (
	"encoding/binary"
	"math"
	"sync/atomic"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// parser looks at a message from front to back. Its first fault sticks, and ends the reading.
type parser struct {
	b   []byte
	i   int
	err error
	at  amqp10.Descriptor // the section that is read
	had uint16            // those that were, as bits
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = syntaxError(SyntaxError{What: p.at, Offset: min(p.i, len(p.b)), Err: err})
	}
	p.i = len(p.b)
}

// keptErrors are for reuse, so that refusing is not dearer than accepting: a peer that repeats its
// mistake gets the same error again. Slots are overwritten, never added.
var keptErrors [256]atomic.Pointer[SyntaxError]

func syntaxError(want SyntaxError) error {
	slot := &keptErrors[(want.Offset*31+int(want.What))%len(keptErrors)]
	if e := slot.Load(); e != nil && *e == want {
		return e
	}
	kept := want
	slot.Store(&kept)
	return &kept
}

// section reads a section into m.
func (p *parser) section(m *Message) {
	p.at = 0
	p.at = p.descriptor()
	if p.at < amqp10.DescHeader || p.at > amqp10.DescFooter {
		p.fail(ErrSection) // unless the descriptor was none
		return
	}
	bit := uint16(1) << (p.at - amqp10.DescHeader)
	if p.had&bit != 0 && p.at != amqp10.DescData && p.at != amqp10.DescSequence {
		p.fail(ErrTwice)
		return
	}
	p.had |= bit
	switch p.at {
	case amqp10.DescHeader:
		p.list()
	case amqp10.DescDeliveryAnnotations:
		m.deliveryAnnotations = p.mapOf()
	case amqp10.DescMessageAnnotations:
		m.annotations = p.mapOf()
	case amqp10.DescProperties:
		m.properties = p.propertyList()
	case amqp10.DescApplicationProperties:
		m.application = p.mapOf()
	case amqp10.DescData:
		p.body(m, DataBody, p.binary())
	case amqp10.DescSequence:
		p.body(m, SequenceBody, p.list())
	case amqp10.DescValue:
		p.body(m, ValueBody, p.value())
	case amqp10.DescFooter:
		p.mapOf()
	}
}

// body takes a section of the body in. What follows the first is looked at now, and found again later.
func (p *parser) body(m *Message, kind BodyKind, content []byte) {
	switch m.body {
	case NoBody:
		m.body, m.data, m.more = kind, content, p.b[p.i:]
	case kind:
	default:
		p.fail(ErrBody)
	}
}

// descriptor reads what a described value is.
func (p *parser) descriptor() amqp10.Descriptor {
	if i := p.i; i+2 < len(p.b) && p.b[i] == amqp10.CodeDescribed && p.b[i+1] == amqp10.CodeSmallUlong {
		p.i += 3
		return amqp10.Descriptor(p.b[i+2])
	}
	d := amqp10.PeekDescriptor(p.b[p.i:])
	if d == 0 || p.i+1 >= len(p.b) {
		p.fail(amqp10.ErrDescriptor)
		return 0
	}
	p.i++
	p.skip() // its symbol, or its number in another form
	return d
}

// next returns where the value at i ends, or -1 and has failed. What has others in it is looked at too.
func (p *parser) next(b []byte, i int) int {
	if k := amqp10.KindOf(b[i]); k >= amqp10.KindList || k == amqp10.KindUnknown {
		return p.nested(b, i)
	}
	end := amqp10.Extent(b, i)
	if end < 0 {
		p.failAt(b, len(b), amqp10.ErrTruncated)
	}
	return end
}

func (p *parser) nested(b []byte, i int) int {
	r := amqp10.NewReader(b[i:])
	v := r.Value()
	err := r.Err()
	if err == nil {
		err = v.Check()
	}
	if err == nil && v.Kind() == amqp10.KindUnknown {
		err = amqp10.ErrCode
	}
	if err != nil {
		p.failAt(b, i, reason(err))
		return -1
	}
	return len(b) - len(r.Rest())
}

// reason returns what an error of amqp10 is about, without its place.
func reason(err error) error {
	if e, ok := err.(*SyntaxError); ok {
		return e.Err
	}
	return err
}

// failAt fails at offset i of b, which ends where p.b does or before.
func (p *parser) failAt(b []byte, i int, err error) {
	if p.err == nil {
		p.i = cap(p.b) - cap(b) + i
		p.fail(err)
	}
}

// skip reads a value and forgets it.
func (p *parser) skip() { p.value() }

// value reads a value of any type.
func (p *parser) value() []byte {
	if p.i >= len(p.b) {
		p.fail(amqp10.ErrTruncated)
		return nil
	}
	start := p.i
	end := p.next(p.b, start)
	if end < 0 {
		return nil
	}
	p.i = end
	return p.b[start:end:end]
}

// binary reads a binary.
func (p *parser) binary() []byte {
	b, i := p.b, p.i
	size := 0
	switch {
	case i+1 < len(b) && b[i] == amqp10.CodeBinary8:
		size = int(b[i+1])
		i += 2
	case i+4 < len(b) && b[i] == amqp10.CodeBinary32:
		size = int(min(binary.BigEndian.Uint32(b[i+1:]), math.MaxInt32))
		i += 5
	case i < len(b) && b[i] != amqp10.CodeBinary8 && b[i] != amqp10.CodeBinary32:
		p.fail(amqp10.ErrType)
		return nil
	default:
		p.fail(amqp10.ErrTruncated)
		return nil
	}
	if size > len(b)-i {
		p.fail(amqp10.ErrTruncated)
		return nil
	}
	p.i = i + size
	return b[i:p.i:p.i]
}

// compound reads the head of a list or map, code8 or the long form of it, and returns its items
// and how many there are said to be.
func (p *parser) compound(code8 byte) (items []byte, count int) {
	b, i := p.b, p.i
	var size, head int
	switch {
	case i+2 < len(b) && b[i] == code8:
		size, count, head = int(b[i+1])-1, int(b[i+2]), 3
	case i+8 < len(b) && b[i] == code8+0x10:
		size = int(min(binary.BigEndian.Uint32(b[i+1:]), math.MaxInt32)) - 4
		count = int(min(binary.BigEndian.Uint32(b[i+5:]), math.MaxInt32))
		head = 9
	case i < len(b) && b[i] == amqp10.CodeList0 && code8 == amqp10.CodeList8:
		head = 1
	case i < len(b) && b[i] != code8 && b[i] != code8+0x10:
		p.fail(amqp10.ErrType)
		return nil, 0
	default:
		p.fail(amqp10.ErrTruncated)
		return nil, 0
	}
	i += head
	if size < 0 || size > len(b)-i {
		p.fail(amqp10.ErrTruncated)
		return nil, 0
	}
	p.i = i + size
	return b[i : i+size : len(b)], count
}

// isShort reports whether a value with the format code c is short text or binary: its size
// is the next byte. Nearly all in a message are.
func isShort(c byte) bool { return c>>4 == 0xa }

// mapOf reads a map whose keys are text. Those of annotations may be numbers too, which nobody has a use for (part 3
// section 3.2.10 reserves them).
func (p *parser) mapOf() Map {
	b, count := p.compound(amqp10.CodeMap8)
	i, n := 0, 0
	for i < len(b) {
		switch c := b[i]; {
		case classes[c] != classText:
			return p.numbered(b, count)
		case isShort(c) && i+1 < len(b):
			i += 2 + int(b[i+1])
		default:
			if i = p.next(b, i); i < 0 {
				return Map{}
			}
		}
		if i >= len(b) {
			p.failAt(b, len(b), amqp10.ErrTruncated)
			return Map{}
		}
		if isShort(b[i]) && i+1 < len(b) {
			i += 2 + int(b[i+1])
		} else if i = p.next(b, i); i < 0 {
			return Map{}
		}
		n += 2
	}
	if i != len(b) || n != count {
		p.failAt(b, len(b), amqp10.ErrCount)
		return Map{}
	}
	return Map{b[:len(b):len(b)], n / 2}
}

// numbered is mapOf for the items of a map that has other keys than text. It returns a copy of the entries that are of use.
func (p *parser) numbered(b []byte, count int) (m Map) {
	n := 0
	for i := 0; i < len(b); n += 2 {
		text := classes[b[i]] == classText
		if !text && (p.at == amqp10.DescApplicationProperties || amqp10.KindOf(b[i]) != amqp10.KindUlong) {
			p.failAt(b, i, amqp10.ErrType)
			return Map{}
		}
		value := p.next(b, i)
		if value < 0 {
			return Map{}
		}
		if value == len(b) {
			p.failAt(b, value, amqp10.ErrTruncated)
			return Map{}
		}
		next := p.next(b, value)
		if next < 0 {
			return Map{}
		}
		if text {
			m = Map{append(m.entries, b[i:next]...), m.n + 1}
		}
		i = next
	}
	if n != count {
		p.failAt(b, len(b), amqp10.ErrCount)
		return Map{}
	}
	return m
}

// list reads a list of anything, and returns it with its head.
func (p *parser) list() []byte {
	if p.i < len(p.b) && classes[p.b[p.i]] != classList {
		p.fail(amqp10.ErrType)
		return nil
	}
	return p.value()
}

// classes are the types that make a difference to a property, as bits.
var classes = [256]uint8{
	amqp10.CodeNull:    classNull,
	amqp10.CodeString8: classText, amqp10.CodeString32: classText,
	amqp10.CodeSymbol8: classText, amqp10.CodeSymbol32: classText,
	amqp10.CodeBinary8: classBinary, amqp10.CodeBinary32: classBinary,
	amqp10.CodeUbyte: classNumber, amqp10.CodeUshort: classNumber,
	amqp10.CodeUint: classNumber, amqp10.CodeSmallUint: classNumber, amqp10.CodeUint0: classNumber,
	amqp10.CodeUlong: classNumber, amqp10.CodeSmallUlong: classNumber, amqp10.CodeUlong0: classNumber,
	amqp10.CodeUUID:      classUUID,
	amqp10.CodeTimestamp: classTime,
	amqp10.CodeList0:     classList, amqp10.CodeList8: classList, amqp10.CodeList32: classList,
}

const (
	classNull uint8 = 1 << iota
	classText
	classBinary
	classNumber
	classUUID
	classTime
	classList

	classID = classNull | classText | classBinary | classNumber | classUUID
)

// propertyClasses are what each property may be.
var propertyClasses = [propCount]uint8{
	propMessageID:       classID,
	propUserID:          classNull | classBinary | classText,
	propTo:              classNull | classText,
	propSubject:         classNull | classText,
	propReplyTo:         classNull | classText,
	propCorrelationID:   classID,
	propContentType:     classNull | classText,
	propContentEncoding: classNull | classText,
	propExpiry:          classNull | classTime,
	propCreation:        classNull | classTime,
	propGroupID:         classNull | classText,
	propGroupSequence:   classNull | classNumber,
	propReplyToGroupID:  classNull | classText,
}

// propertyList reads the properties, and returns their fields.
func (p *parser) propertyList() []byte {
	b, count := p.compound(amqp10.CodeList8)
	i, n := 0, 0
	for ; i < len(b); n++ {
		switch c := b[i]; {
		case n >= propCount:
			p.failAt(b, i, ErrFields)
			return nil
		case classes[c]&propertyClasses[n] == 0:
			p.failAt(b, i, amqp10.ErrType)
			return nil
		case c == amqp10.CodeNull:
			i++
		case isShort(c) && i+1 < len(b):
			i += 2 + int(b[i+1])
		default:
			if i = p.next(b, i); i < 0 {
				return nil
			}
		}
	}
	if i != len(b) || n != count {
		p.failAt(b, len(b), amqp10.ErrCount)
		return nil
	}
	return b[:len(b):len(b)]
}

// What follows reads what the parser has looked at: it cannot fail.

// end returns where the value of b at i ends.
func end(b []byte, i int) int {
	if isShort(b[i]) {
		return i + 2 + int(b[i+1])
	}
	return amqp10.Extent(b, i)
}

// content returns where the text or binary of b at i begins.
func content(b []byte, i int) int {
	if b[i]&0x10 == 0 {
		return i + 2
	}
	return i + 5
}

// viewAt returns the value of b from i to end.
func viewAt(b []byte, i, end int) Value { return amqp10.View(b[i], b[i+1:end:end]) }
