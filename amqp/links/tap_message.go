package links

import (
	"encoding/binary"
	"errors"

	"github.com/hubwire/hubwire/internal/amqp10"
)

var errMapKey = errors.New("a message with a map whose key is no plain value")

// checkMessage refuses a message at which go-amqp would panic, and with it the process: it makes Go
// maps of annotations, with whatever is their key, and a list or some bytes are no key of a Go map. Bodies
// of data are not looked at.
func checkMessage(b []byte) error {
	if simple(b) {
		return nil
	}
	for r := amqp10.NewReader(b); r.More(); {
		section := r.Value()
		if err := r.Err(); err != nil {
			return err
		}
		descriptor, content, _ := section.Described()
		if code, _ := descriptor.Uint(); code == uint64(amqp10.DescData) {
			continue
		}
		if err := content.Check(); err != nil {
			return err
		}
		if !plainKeys(content) {
			return errMapKey
		}
	}
	return nil
}

// plainKeys reports whether all maps in v, which was checked, have keys that Go can compare.
func plainKeys(v amqp10.Value) bool {
	switch v.Kind() {
	case amqp10.KindDescribed:
		_, content, _ := v.Described()
		return plainKeys(content)
	case amqp10.KindList, amqp10.KindArray:
		for items := v.Items(); items.More(); {
			if !plainKeys(items.Value()) {
				return false
			}
		}
	case amqp10.KindMap:
		for key, value := range v.Entries() {
			switch key.Kind() {
			case amqp10.KindBinary, amqp10.KindList, amqp10.KindMap, amqp10.KindArray, amqp10.KindDescribed:
				return false
			}
			if !plainKeys(value) {
				return false
			}
		}
	}
	return true
}

// simple reports whether b is a message of sections whose values are plain and whose keys are text, as
// nearly all are. It does no more than step over them: events come by the hundred thousand.
func simple(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 || b[0] != amqp10.CodeDescribed || b[1] != amqp10.CodeSmallUlong {
			return false
		}
		section, n := amqp10.Descriptor(b[2]), step(b[3:])
		if n < 0 || section != amqp10.DescData && !simpleContent(b[3:3+n]) {
			return false
		}
		b = b[3+n:]
	}
	return true
}

// simpleContent is simple for a value, which is as long as it says. go-amqp goes by the count of a list or map,
// wherever that leads it, so it must fit.
func simpleContent(b []byte) bool {
	kind := amqp10.KindOf(b[0])
	if kind != amqp10.KindMap && kind != amqp10.KindList {
		return isPlain(b[0])
	}
	var count uint32
	switch {
	case b[0] == amqp10.CodeList0:
		return true
	case b[0]&0x10 == 0 && len(b) >= 3: // code, size, count
		count, b = uint32(b[2]), b[3:]
	case b[0]&0x10 != 0 && len(b) >= 9:
		count, b = binary.BigEndian.Uint32(b[5:]), b[9:]
	default:
		return false
	}
	if kind == amqp10.KindMap && count%2 != 0 {
		return false
	}
	for ; len(b) > 0; count-- {
		isKey := kind == amqp10.KindMap && count%2 == 0
		n := step(b)
		if n < 0 || count == 0 || !isPlain(b[0]) || isKey && !isText(b[0]) {
			return false
		}
		b = b[n:]
	}
	return count == 0
}

// isPlain reports whether a format code is that of neither a described value nor a list, map or array.
func isPlain(code byte) bool { return code != amqp10.CodeDescribed && code < 0xc0 }

// isText reports whether it is that of a string or symbol.
func isText(code byte) bool {
	short := code &^ 0x10
	return short == amqp10.CodeString8 || short == amqp10.CodeSymbol8
}

// step returns how long the value is that b begins with, by the class of its format code (part 1 section
// 1.2), or -1 when it is described, or not all there.
func step(b []byte) int {
	n := -1
	switch b[0] >> 4 {
	case 0x4:
		n = 1
	case 0x5:
		n = 2
	case 0x6:
		n = 3
	case 0x7:
		n = 5
	case 0x8:
		n = 9
	case 0x9:
		n = 17
	case 0xa, 0xc, 0xe:
		if len(b) > 1 {
			n = 2 + int(b[1])
		}
	case 0xb, 0xd, 0xf:
		if len(b) > 4 {
			n = 5 + int(min(binary.BigEndian.Uint32(b[1:]), maxMessage+1))
		}
	}
	if n > len(b) {
		return -1
	}
	return n
}
