package query

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// Row is what a condition looks at: a document by its members.
type Row interface {
	// Member returns the member of this name, or the zero Value when there is
	// none. The name of a system member comes as IoT Hub spells it, whatever
	// the text of the query did.
	Member(name string) Value
}

// Object is a [Row] that can be written, as a member of another.
type Object interface {
	Row
	AppendJSON(dst []byte) []byte
}

type kind uint8

const (
	undefined kind = iota
	null
	boolean
	number
	str
	array
	object
)

// Value is a JSON value, or, as the zero Value, undefined.
type Value struct {
	kind   kind
	number float64 // of a boolean: 1 is true
	text   string  // a string; of others their JSON, when it is known
	object Object  // of an object whose JSON is not known
}

// Null, True and False are those of JSON.
var (
	Null  = Value{kind: null}
	True  = Value{kind: boolean, number: 1}
	False = Value{kind: boolean}
)

// Bool returns [True] or [False].
func Bool(b bool) Value {
	if b {
		return True
	}
	return False
}

// Number returns a number, or undefined for one that JSON has not: an infinity, NaN.
func Number(n float64) Value {
	if math.IsInf(n, 0) || math.IsNaN(n) {
		return Value{}
	}
	return Value{kind: number, number: n}
}

// String returns a string, which must be valid UTF-8.
func String(s string) Value { return Value{kind: str, text: s} }

// ObjectOf returns an object, without looking at it.
func ObjectOf(o Object) Value { return Value{kind: object, object: o} }

// JSON returns the value that text is, which must be one valid JSON value
// without space around it. Objects and arrays are not decoded, and a string or number
// is without allocation unless it has escapes.
func JSON(text string) Value {
	if text == "" {
		return Value{}
	}
	switch text[0] {
	case '{':
		return Value{kind: object, text: text}
	case '[':
		return Value{kind: array, text: text}
	case '"':
		return String(unquote(text))
	case 't', 'f':
		return Bool(text[0] == 't')
	case 'n':
		return Null
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Value{}
	}
	return Value{kind: number, number: n, text: text}
}

func (v Value) isPrimitive() bool { return v.kind >= null && v.kind <= str }
func (v Value) isTrue() bool      { return v.kind == boolean && v.number == 1 }

// member returns a member of an object.
func (v Value) member(name string) Value {
	switch {
	case v.kind != object:
		return Value{}
	case v.object != nil:
		return v.object.Member(name)
	}
	return memberOf(v.text, name)
}

// index returns an element of an array.
func (v Value) index(i int) Value {
	if v.kind != array {
		return Value{}
	}
	text, _ := elementOf(v.text, i)
	return JSON(text)
}

// appendJSON appends v, which is not undefined.
func (v Value) appendJSON(dst []byte) []byte {
	switch v.kind {
	case null:
		return append(dst, "null"...)
	case boolean:
		return strconv.AppendBool(dst, v.number == 1)
	case str:
		return appendString(dst, v.text)
	case number:
		if v.text == "" {
			return appendNumber(dst, v.number)
		}
	case object:
		if v.object != nil {
			return v.object.AppendJSON(dst)
		}
	}
	return append(dst, v.text...)
}

func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return appendEncoded(dst, s)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// appendEncoded is appendString for what may need escapes.
func appendEncoded(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // a string: cannot fail
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

func appendNumber(dst []byte, n float64) []byte {
	b, _ := json.Marshal(n) // finite: cannot fail
	return append(dst, b...)
}

// Fields is an [Object] of few members, in order. Those that are undefined are left out.
type Fields []Field

// Field is a member of [Fields].
type Field struct {
	Name  string
	Value Value
}

// Member implements [Row].
func (fs Fields) Member(name string) Value {
	for i := range fs {
		if fs[i].Name == name {
			return fs[i].Value
		}
	}
	return Value{}
}

// AppendJSON implements [Object].
func (fs Fields) AppendJSON(dst []byte) []byte {
	start := len(dst)
	for i := range fs {
		dst = appendMember(dst, start, fs[i].Name, fs[i].Value)
	}
	return closeObject(dst, start)
}
