package httpsx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/jsonobject"
)

// MaxDepth is how deeply arrays and objects may be nested in a body.
const MaxDepth = 64

// document is what writes itself: its keys, and members that are null or missing
// as its kind has them. full means all members, as a server writes it; else only
// those that are set.
type document interface {
	append(dst []byte, full bool) []byte
}

// Marshal returns a document of this package as a server writes it, keys and other
// secrets included, which encoding/json would write as "(secret)". What is none
// of the documents is written as encoding/json does it, with <, > and & as they are.
func Marshal(doc any) ([]byte, error) { return marshal(doc, true) }

var errNotJSON = errors.New("httpsx: a raw value in the document is not JSON")

func marshal(doc any, full bool) ([]byte, error) {
	if rows, ok := doc.(Rows); ok { // each was JSON when it became a row
		return rows.append(nil, full), nil
	}
	if d := asDocument(doc); d != nil {
		b := d.append(nil, full)
		if !json.Valid(b) {
			return nil, errNotJSON
		}
		return b, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// asDocument returns doc as a document, also where it is one's value, or a slice of
// them: its keys must not be left to encoding/json. It is nil when doc is none.
func asDocument(doc any) document {
	switch d := doc.(type) {
	case document:
		if v := reflect.ValueOf(d); v.Kind() == reflect.Pointer && v.IsNil() {
			return nil
		}
		return d
	case []Device:
		return Devices(d)
	case []Module:
		return Modules(d)
	case []ImportDevice:
		return ImportDevices(d)
	case []ImportExportJob:
		return ImportExportJobs(d)
	case []Configuration:
		return Configurations(d)
	case []json.RawMessage:
		return Rows(d)
	}
	v := reflect.ValueOf(doc)
	if v.Kind() != reflect.Struct {
		return nil
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	d, _ := p.Interface().(document)
	return d
}

// Decode reads a body as one JSON value and nothing else into doc, a pointer to one of the
// documents. Members that doc does not know are ignored. The error is an [*hubwire.Error] with
// code [hubwire.FormatError], whose message names the member or the offset: for what is not JSON,
// not UTF-8, of a wrong type, or nested more deeply than [MaxDepth].
func Decode(op Operation, body []byte, doc any) error {
	if err := checkJSON(body); err != nil {
		return refused(op, hubwire.FormatError, "%s", err)
	}
	err := json.Unmarshal(body, doc)
	var own *hubwire.Error
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own): // a document's
		own.Op = op.String()
		return own
	case errors.As(err, &syntax):
		return refused(op, hubwire.FormatError, "the body is not JSON: %s at offset %d", syntax, syntax.Offset)
	case errors.As(err, &wrong) && wrong.Field != "":
		return refused(op, hubwire.FormatError, "the body's member %.100s is of the wrong type: %.100s", wrong.Field, wrong.Value)
	case wrong != nil:
		return refused(op, hubwire.FormatError, "the body is of the wrong type: %.100s", wrong.Value)
	}
	return refused(op, hubwire.FormatError, "the body is not what the operation takes: %s", reason(err))
}

// checkJSON finds what encoding/json lets pass. What it does not find wrong may still not be JSON.
func checkJSON(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("the body is not UTF-8")
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return errors.New("there is no body")
	}
	if i := jsonobject.IndexDeeper(b, MaxDepth); i >= 0 {
		return fmt.Errorf("the body is nested more than %d deep at offset %d", MaxDepth, i)
	}
	return nil
}

// object writes a JSON object. Its methods write a member; those that are not set they write
// only when it is full.
type object struct {
	b     []byte
	full  bool
	comma bool
}

func open(dst []byte, full bool) object { return object{b: append(dst, '{'), full: full} }

func (o *object) close() []byte { return append(o.b, '}') }

// key writes the name of a member, which needs no escapes.
func (o *object) key(name string) {
	if o.comma {
		o.b = append(o.b, ',')
	}
	o.comma = true
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) str(name, v string) {
	if v != "" || o.full {
		o.key(name)
		o.b = appendString(o.b, v)
	}
}

// strOrNull is str for a member that is null when it is empty.
func (o *object) strOrNull(name, v string) {
	if v != "" {
		o.str(name, v)
	} else if o.full {
		o.raw(name, "null")
	}
}

func (o *object) int(name string, v int64) {
	if v != 0 || o.full {
		o.key(name)
		o.b = strconv.AppendInt(o.b, v, 10)
	}
}

func (o *object) time(name string, t Time) {
	if !t.IsZero() || o.full {
		o.key(name)
		o.b = t.append(o.b)
	}
}

func (o *object) timeOrNull(name string, t Time) {
	if t.IsZero() {
		o.raw(name, "null")
		return
	}
	o.time(name, t)
}

// raw writes what is JSON already.
func (o *object) raw(name, json string) {
	o.key(name)
	o.b = append(o.b, json...)
}

func (o *object) bool(name string, v bool) {
	if v || o.full {
		o.key(name)
		o.b = strconv.AppendBool(o.b, v)
	}
}

// json writes a raw value, which is left out when there is none. One that is not JSON leaves the
// document without a value there, see marshal: "1,"x":2" must not become another member.
func (o *object) json(name string, v json.RawMessage) {
	switch {
	case v == nil:
	case json.Valid(v):
		o.raw(name, string(v))
	default:
		o.key(name)
	}
}

// doc writes a document.
func (o *object) doc(name string, d document) {
	o.key(name)
	o.b = d.append(o.b, o.full)
}

// any writes what holds no keys as encoding/json does it. What that refuses, a raw value that
// is not JSON, leaves the document without a value there: see marshal.
func (o *object) any(name string, v any) {
	o.key(name)
	b, _ := marshal(v, o.full)
	o.b = append(o.b, b...)
}

// strs writes an array, which is [] when there is none.
func (o *object) strs(name string, v []string) {
	if len(v) == 0 && !o.full {
		return
	}
	o.key(name)
	o.b = append(o.b, '[')
	for i, s := range v {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = appendString(o.b, s)
	}
	o.b = append(o.b, ']')
}

// appendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	return appendText(append(dst, '"'), strings.ToValidUTF8(s, "\uFFFD"))
}

// appendAll appends an array of documents.
func appendAll[T any, D interface {
	*T
	document
}](dst []byte, docs []T, full bool) []byte {
	dst = append(dst, '[')
	for i := range docs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = D(&docs[i]).append(dst, full)
	}
	return append(dst, ']')
}
