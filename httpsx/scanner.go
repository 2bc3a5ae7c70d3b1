package httpsx

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hubwire/hubwire/internal/percent"
)

// scanner takes JSON apart from the front, as little of it as a batch needs. The
// first fault sticks. It is not encoding/json because that takes no control
// characters in strings, and cannot say where a wrong member stands.
type scanner struct {
	b   []byte
	i   int // the next byte
	err error
	at  int // where err is
}

// maxDepth is how deeply values may be nested that nobody looks into.
const maxDepth = 32

// errStopped is how a walk ends whose function has had enough.
var errStopped = errors.New("stopped")

func (s *scanner) fail(at int, err error) {
	if s.err == nil {
		s.err, s.at = err, at
	}
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// peek returns the next byte that is no blank, or 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.err != nil || s.i >= len(s.b) {
		return 0
	}
	return s.b[s.i]
}

// take takes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

// need takes c. Where another value begins, the member has another type.
func (s *scanner) need(c byte) {
	if s.take(c) {
		return
	}
	err := ErrNotJSON
	if (c == '{' || c == '"' || c == '[') && bytes.IndexByte([]byte(`{["-0123456789tfn`), s.peek()) >= 0 {
		err = ErrMember
	}
	s.fail(s.i, err)
}

// end refuses what stands behind the value.
func (s *scanner) end() {
	if s.space(); s.i < len(s.b) {
		s.fail(s.i, ErrNotJSON)
	}
}

// array calls f for each element, which f reads, until f returns false.
func (s *scanner) array(f func() bool) {
	s.need('[')
	if s.take(']') {
		return
	}
	for s.err == nil {
		if !f() {
			s.fail(s.i, errStopped)
			return
		}
		if s.take(']') {
			return
		}
		s.need(',')
	}
}

// object calls f with the name of each member, whose value f reads. The name is good until then.
func (s *scanner) object(f func(name []byte)) {
	s.need('{')
	if s.take('}') {
		return
	}
	for s.err == nil {
		name := s.string()
		s.need(':')
		if s.err != nil {
			return
		}
		f(name)
		if s.take('}') {
			return
		}
		s.need(',')
	}
}

// bool reads true or false.
func (s *scanner) bool() bool {
	switch s.peek() {
	case 't':
		s.word("true")
		return true
	case 'f':
		s.word("false")
	default:
		s.fail(s.i, ErrMember)
	}
	return false
}

func (s *scanner) word(w string) {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		s.fail(s.i, ErrNotJSON)
		return
	}
	s.i += len(w)
}

// stringOrNull reads a string, or null, which is nothing.
func (s *scanner) stringOrNull() []byte {
	if s.peek() == 'n' {
		s.word("null")
		return nil
	}
	return s.string()
}

// string reads a string. The result aliases what is read unless there are
// escapes in it.
func (s *scanner) string() []byte {
	s.need('"')
	if s.err != nil {
		return nil
	}
	start := s.i
	end := bytes.IndexAny(s.b[s.i:], `"\`)
	if end >= 0 && s.b[s.i+end] == '"' {
		s.i += end + 1
		return s.text(s.b[start:s.i-1:s.i-1], start)
	}
	var text []byte
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch c {
		case '"':
			return s.text(text, start)
		case '\\':
			text = s.escape(text)
			if s.err != nil {
				return nil
			}
		default:
			text = append(text, c)
		}
	}
	s.fail(s.i, ErrNotJSON)
	return nil
}

// text refuses what is not UTF-8.
func (s *scanner) text(text []byte, at int) []byte {
	if !utf8.Valid(text) {
		s.fail(at, ErrNotJSON)
		return nil
	}
	return text
}

// escape reads what follows a backslash.
func (s *scanner) escape(text []byte) []byte {
	if s.i >= len(s.b) {
		s.fail(s.i, ErrNotJSON)
		return nil
	}
	c := s.b[s.i]
	s.i++
	switch c {
	case '"', '\\', '/':
		return append(text, c)
	case 'b':
		return append(text, '\b')
	case 'f':
		return append(text, '\f')
	case 'n':
		return append(text, '\n')
	case 'r':
		return append(text, '\r')
	case 't':
		return append(text, '\t')
	case 'u':
		r := s.hex()
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if bytes.HasPrefix(s.b[s.i:], []byte(`\u`)) {
				s.i += 2
				low = s.hex()
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				s.fail(s.i, ErrNotJSON)
			}
		}
		return utf8.AppendRune(text, r)
	}
	s.fail(s.i-1, ErrNotJSON)
	return nil
}

// hex reads the four digits of an escape.
func (s *scanner) hex() (r rune) {
	if len(s.b)-s.i < 4 {
		s.fail(s.i, ErrNotJSON)
		return 0
	}
	high, low := percent.Unhex(s.b[s.i], s.b[s.i+1]), percent.Unhex(s.b[s.i+2], s.b[s.i+3])
	if high < 0 || low < 0 {
		s.fail(s.i, ErrNotJSON)
		return 0
	}
	s.i += 4
	return rune(high<<8 | low)
}

// skip reads a value of any type, without looking into it.
func (s *scanner) skip() { s.skipAt(1) }

func (s *scanner) skipAt(depth int) {
	if depth > maxDepth {
		s.fail(s.i, ErrTooDeep)
		return
	}
	switch c := s.peek(); {
	case c == '"':
		s.string()
	case c == '{':
		s.object(func([]byte) { s.skipAt(depth + 1) })
	case c == '[':
		s.array(func() bool { s.skipAt(depth + 1); return s.err == nil })
	case c == 't':
		s.word("true")
	case c == 'f':
		s.word("false")
	case c == 'n':
		s.word("null")
	case c == '-' || c >= '0' && c <= '9':
		s.number()
	default:
		s.fail(s.i, ErrNotJSON)
	}
}

func (s *scanner) number() {
	start := s.i
	for s.i < len(s.b) && bytes.IndexByte([]byte("+-.eE0123456789"), s.b[s.i]) >= 0 {
		s.i++
	}
	if !json.Valid(s.b[start:s.i]) {
		s.fail(start, ErrNotJSON)
	}
}
