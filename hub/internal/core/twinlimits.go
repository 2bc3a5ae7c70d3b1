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
	minTwinInt    = int64(-4503599627370496)
	maxTwinInt    = int64(4503599627370495)

	// maxTwinText bounds a section, and a patch of it, as JSON text, in bytes. It is the hub's
	// own: what the service counts leaves out control characters and how numbers and
	// escapes are written, but a device gets two sections in one MQTT packet, of 256 KiB at most.
	maxTwinText = 120 << 10
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

// value reads the value at i, which may be an object of the given depth. It
// returns nothing for a part of an array, which is kept as text.
func (p *sectionParser) value(key string, depth int, inObject bool) *node {
	start := p.i
	switch p.s[p.i] {
	case '{':
		if n := p.object(key, depth); inObject {
			return n
		}
		return nil
	case '[':
		for p.i++; p.s[p.i] != ']'; p.comma() {
			if p.value(key, depth, false); p.err != nil {
				return nil
			}
		}
		p.i++
	case '"':
		if s := p.text(); len(s) > maxTwinString {
			p.fail("the string at %q has %d bytes, the limit is %d", key, len(s), maxTwinString)
		}
	case 't', 'f', 'n':
		p.word()
	default:
		p.number(key)
	}
	if !inObject {
		return nil
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
	for p.i++; p.s[p.i] != '}'; p.comma() {
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
	lit := p.literal()
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
		return (&sectionParser{s: n.Raw}).size()
	}
	total := 0
	for _, m := range n.Members {
		total += printable(m.Key) + m.size()
	}
	return total
}

// textSize is the length of n's JSON text.
func (n *node) textSize() int { return len(n.AppendJSON(nil)) }

// size reads the value at i, and returns what it counts.
func (p *sectionParser) size() (total int) {
	switch p.s[p.i] {
	case '{':
		for p.i++; p.s[p.i] != '}'; p.comma() {
			total += printable(p.text())
			p.i++ // colon
			total += p.size()
		}
		p.i++
		return total
	case '[':
		for p.i++; p.s[p.i] != ']'; p.comma() {
			total += max(1, p.size())
		}
		p.i++
		return total
	case '"':
		return printable(p.text())
	case 't', 'f', 'n':
		p.word()
		return 4
	}
	p.literal()
	return 8
}

// comma moves past one, between two members or elements.
func (p *sectionParser) comma() {
	if p.s[p.i] == ',' {
		p.i++
	}
}

// word moves past true, false or null.
func (p *sectionParser) word() {
	if p.s[p.i] == 'f' {
		p.i++
	}
	p.i += len("true")
}

// literal reads the number at i, as it is written.
func (p *sectionParser) literal() string {
	start := p.i
	for p.i < len(p.s) && !strings.ContainsRune(",]}", rune(p.s[p.i])) {
		p.i++
	}
	return p.s[start:p.i]
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
