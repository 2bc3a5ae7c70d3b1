package core

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// node is a value in a twin: an object that remembers the order in which its
// members first came, or anything else as its JSON text. A node is never
// changed once it is part of a twin; a merge shares what it leaves alone. The
// field names are short because the store holds many.
type node struct {
	Key     string    `json:"k,omitempty"`
	Raw     string    `json:"r,omitempty"` // compact JSON; empty for an object
	Members []*node   `json:"m,omitempty"`
	At      time.Time `json:"t,omitzero"`  // $lastUpdated
	Version int64     `json:"v,omitempty"` // $lastUpdatedVersion; 0 when a device wrote it
}

func (n *node) isObject() bool { return n.Raw == "" }
func (n *node) isNull() bool   { return n.Raw == "null" }

// index finds members by key: by search while they are few, else by map.
type index map[string]int

func indexOf(ms []*node) index {
	if len(ms) <= 16 {
		return nil
	}
	x := make(index, len(ms))
	for i, m := range ms {
		x[m.Key] = i
	}
	return x
}

func (x index) find(ms []*node, key string) (int, bool) {
	if x != nil {
		i, ok := x[key]
		return i, ok
	}
	for i, m := range ms {
		if m.Key == key {
			return i, true
		}
	}
	return 0, false
}

// stamp is the metadata of a write.
type stamp struct {
	at      time.Time
	version int64 // of the section after a service's write; 0 for a device's
}

// merge returns old with patch applied as RFC 7396 has it: objects merge, null
// deletes, all else replaces. old may be nil.
func merge(old, patch *node, st stamp) *node {
	n := &node{Key: patch.Key, Raw: patch.Raw, At: st.at, Version: st.version}
	if !patch.isObject() {
		return n
	}
	if old != nil && old.isObject() {
		n.Members = append(make([]*node, 0, len(old.Members)+len(patch.Members)), old.Members...)
	}
	olds := n.Members // no key comes twice in a patch
	x := indexOf(olds)
	gone := 0
	for _, p := range patch.Members {
		i, ok := x.find(olds, p.Key)
		switch {
		case p.isNull() && ok:
			n.Members[i] = &node{Key: p.Key, Raw: "null"}
			gone++
		case p.isNull():
		case ok:
			n.Members[i] = merge(n.Members[i], p, st)
		default:
			n.Members = append(n.Members, merge(nil, p, st))
		}
	}
	if gone > 0 {
		left := n.Members[:0]
		for _, m := range n.Members {
			if !m.isNull() {
				left = append(left, m)
			}
		}
		clear(n.Members[len(left):])
		n.Members = left
	}
	return n
}

// replacement returns a merge patch that makes old into now: all of now, and
// null for what is gone. So a device gets the whole document, as IoT Hub sends
// it for a replace, and one that merges it has the hub's state too.
func replacement(old, now *node) *node {
	n := &node{Key: now.Key, Raw: now.Raw}
	if !now.isObject() || !old.isObject() {
		n.Members = now.Members
		return n
	}
	olds, news := indexOf(old.Members), indexOf(now.Members)
	for _, m := range now.Members {
		if i, ok := olds.find(old.Members, m.Key); ok {
			m = replacement(old.Members[i], m)
		}
		n.Members = append(n.Members, m)
	}
	for _, m := range old.Members {
		if _, ok := news.find(now.Members, m.Key); !ok {
			n.Members = append(n.Members, &node{Key: m.Key, Raw: "null"})
		}
	}
	return n
}

// diff returns the merge patch that makes old into now, both objects, with nothing in it that
// stays as it is; nil when all does.
func diff(old, now *node) *node {
	p := &node{Key: now.Key}
	olds, news := indexOf(old.Members), indexOf(now.Members)
	for _, m := range now.Members {
		i, ok := olds.find(old.Members, m.Key)
		switch {
		case !ok || !m.isObject() && m.Raw != old.Members[i].Raw || m.isObject() != old.Members[i].isObject():
			p.Members = append(p.Members, m)
		case m.isObject():
			if inner := diff(old.Members[i], m); inner != nil {
				p.Members = append(p.Members, inner)
			}
		}
	}
	for _, m := range old.Members {
		if _, ok := news.find(now.Members, m.Key); !ok {
			p.Members = append(p.Members, &node{Key: m.Key, Raw: "null"})
		}
	}
	if len(p.Members) == 0 {
		return nil
	}
	return p
}

// AppendJSON appends n's value. With Member it is an object of package query.
func (n *node) AppendJSON(dst []byte) []byte {
	if !n.isObject() {
		return append(dst, n.Raw...)
	}
	dst = append(dst, '{')
	for i, m := range n.Members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.AppendJSON(append(appendKey(dst, m.Key), ':'))
	}
	return append(dst, '}')
}

// appendMetadata appends n's $metadata: for each object and value when, and
// for a service's write at which version, it last changed.
func (n *node) appendMetadata(dst []byte) []byte {
	dst = append(dst, `{"$lastUpdated":"`...)
	dst = systemtime.Append(dst, n.At)
	dst = append(dst, '"')
	if n.Version != 0 {
		dst = append(dst, `,"$lastUpdatedVersion":`...)
		dst = strconv.AppendInt(dst, n.Version, 10)
	}
	for _, m := range n.Members {
		dst = append(appendKey(append(dst, ','), m.Key), ':')
		dst = m.appendMetadata(dst)
	}
	return append(dst, '}')
}

// appendKey appends a key as JSON. Keys hold valid UTF-8 and no control
// characters, so only quotes and backslashes need an escape.
func appendKey(dst []byte, key string) []byte {
	dst = append(dst, '"')
	for i := range len(key) {
		if key[i] == '"' || key[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, key[i])
	}
	return append(dst, '"')
}

// parseSection reads the JSON object of a twin section and checks what does
// not depend on the rest of the section: form, keys, strings, numbers, depth and length.
// $version and $metadata at its top are the hub's own and are dropped. The
// node keeps no part of data.
func parseSection(op, section string, data []byte) (*node, error) {
	p := sectionParser{op: op, section: section}
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, refuse(op, hubwire.FormatError, "%s: not valid JSON in UTF-8", section)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, data); err != nil {
		return nil, refuse(op, hubwire.FormatError, "%s: %v", section, err)
	}
	p.s = text.String()
	if p.s[0] != '{' {
		return nil, refuse(op, hubwire.ArgumentInvalid, "%s: not a JSON object", section)
	}
	n := p.value("", 0, true)
	if p.err != nil {
		return nil, p.err
	}
	// Its $metadata, if there was any, does not count.
	if size := n.textSize(); size > maxTwinText {
		return nil, tooMuchText(op, section, size)
	}
	return n, nil
}
