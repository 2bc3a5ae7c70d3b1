package core

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"

	"github.com/hubwire/hubwire"
)

// Limits of twins besides the sizes of sections ([hubwire.MaxTwinSectionSize]).
// Source: IoT Hub developer guide, "Understand and use device twins".
const (
	maxTwinKey    = 1 << 10 // bytes
	maxTwinString = 4 << 10 // bytes
	maxTwinDepth  = 10      // objects inside each other, below the section
	minTwinInt    = -4503599627370496
	maxTwinInt    = 4503599627370495
)

// sectionParser walks over compact, valid JSON, so that what it checks are
// IoT Hub's rules only. The first fault sticks.
type sectionParser struct {
	op, section string
	s           string
	i           int
	err         error
}

func (p *sectionParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = refuse(p.op, hubwire.ArgumentInvalid, p.section+": "+format, args...)
	}
}

// value reads the value at i, which may be an object of the given depth.
func (p *sectionParser) value(key string, depth int, inObject bool) *node {
	start := p.i
	switch p.s[p.i] {
	case '{':
		n := p.object(key, depth)
		if !inObject { // part of an array, which is kept as text
			return nil
		}
		return n
	case '[':
		p.i++
		for p.s[p.i] != ']' {
			if p.s[p.i] == ',' {
				p.i++
			}
			if p.value(key, depth, false); p.err != nil {
				return nil
			}
		}
		p.i++
	case '"':
		if s := p.text(); len(s) > maxTwinString {
			p.fail("the string at %q has %d bytes, the limit is %d", key, len(s), maxTwinString)
		}
	case 't', 'n':
		p.i += len("true")
	case 'f':
		p.i += len("false")
	default:
		p.number(key)
	}
	return &node{Key: key, Raw: strings.Clone(p.s[start:p.i])}
}

func (p *sectionParser) object(key string, depth int) *node {
	if depth > maxTwinDepth {
		p.fail("the object at %q is at depth %d, the limit is %d", key, depth, maxTwinDepth)
		return nil
	}
	n := &node{Key: key}
	var seen index
	p.i++
	for p.s[p.i] != '}' {
		if p.s[p.i] == ',' {
			p.i++
		}
		k := p.text()
		p.i++ // colon
		if depth == 0 && (k == "$version" || k == "$metadata") {
			p.skip()
			continue
		}
		p.key(k)
		m := p.value(k, depth+1, true)
		if p.err != nil {
			return nil
		}
		if i, dup := seen.find(n.Members, k); dup {
			n.Members[i] = m // the last one counts, as in most parsers
			continue
		}
		n.Members = append(n.Members, m)
		if seen != nil {
			seen[k] = len(n.Members) - 1
		} else {
			seen = indexOf(n.Members)
		}
	}
	p.i++
	return n
}

// skip moves past a value of any form.
func (p *sectionParser) skip() {
	deep := 0
	for {
		switch p.s[p.i] {
		case '"':
			p.text()
			p.i--
		case '{', '[':
			deep++
		case '}', ']':
			if deep--; deep < 0 {
				return
			}
		case ',':
			if deep == 0 {
				return
			}
		}
		p.i++
	}
}

// text reads the string at i, decoded.
func (p *sectionParser) text() string {
	start := p.i
	escaped := false
	for p.i++; p.s[p.i] != '"'; p.i++ {
		if p.s[p.i] == '\\' {
			escaped = true
			p.i++
		}
	}
	p.i++
	if !escaped {
		return strings.Clone(p.s[start+1 : p.i-1])
	}
	var s string
	json.Unmarshal([]byte(p.s[start:p.i]), &s) // valid, as the whole is
	return s
}

func (p *sectionParser) key(k string) {
	switch {
	case k == "":
		p.fail("a key is empty")
	case len(k) > maxTwinKey:
		p.fail("the key %q… has %d bytes, the limit is %d", k[:32], len(k), maxTwinKey)
	case strings.ContainsAny(k, ".$ ") || strings.ContainsFunc(k, unicode.IsControl):
		p.fail("the key %q has a dot, a dollar sign, a space or a control character", k)
	}
}

func (p *sectionParser) number(key string) {
	start := p.i
	for p.i < len(p.s) && !strings.ContainsRune(",]}", rune(p.s[p.i])) {
		p.i++
	}
	lit := p.s[start:p.i]
	if strings.ContainsAny(lit, ".eE") {
		if _, err := strconv.ParseFloat(lit, 64); err != nil {
			p.fail("the number at %q does not fit 64 bits", key)
		}
		return
	}
	if n, err := strconv.ParseInt(lit, 10, 64); err != nil || n < minTwinInt || n > maxTwinInt {
		p.fail("the integer at %q is not %d to %d", key, minTwinInt, maxTwinInt)
	}
}

// size is what IoT Hub's limits on sections count: bytes of keys and strings
// without control characters, 8 for a number, 4 for true, false and null. An
// element of an array counts at least 1, so that it is bounded too.
func (n *node) size() int {
	if !n.isObject() {
		return rawSize(n.Raw)
	}
	total := 0
	for _, m := range n.Members {
		total += printable(m.Key) + m.size()
	}
	return total
}

func rawSize(raw string) int {
	switch raw[0] {
	case '"':
		var s string
		json.Unmarshal([]byte(raw), &s)
		return printable(s)
	case 't', 'f', 'n':
		return 4
	case '[':
		var elements []json.RawMessage
		json.Unmarshal([]byte(raw), &elements)
		total := 0
		for _, e := range elements {
			total += max(1, rawSize(string(e)))
		}
		return total
	case '{':
		var members map[string]json.RawMessage
		json.Unmarshal([]byte(raw), &members)
		total := 0
		for k, v := range members {
			total += printable(k) + rawSize(string(v))
		}
		return total
	}
	return 8
}

func printable(s string) int {
	n := len(s)
	for _, r := range s {
		if unicode.IsControl(r) {
			n -= len(string(r))
		}
	}
	return n
}
