package httpsx

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/percent"
)

// Target is what an operation is on: the variables of its path, decoded. Fields
// that the path of the operation does not have are empty.
type Target struct {
	Identity hubwire.Identity // the device or module; zero for what is about none

	// Name is that of a job, a configuration or a command, a lock token, or the
	// correlation id of an upload.
	Name string

	Component string // of a digital twin; empty for its root
}

// maxName is the longest Name or Component, in bytes.
const maxName = 1024

// word is a segment of a path: a fixed word, or a variable.
type word struct {
	text string
	is   variable
}

type variable uint8

const (
	varNone variable = iota
	varDevice
	varModule
	varName
	varComponent
)

// variables are those that a path can have, as it names them.
var variables = [...]string{varDevice: "{device}", varModule: "{module}", varName: "{name}", varComponent: "{component}"}

// form is one way to write the path of an operation.
type form struct {
	op     Operation
	method string
	words  []word
}

// maxWords is how many segments a path has at most.
const maxWords = 8

// forms are those of each operation, the shortest first and the longest last, and
// byLength all of them by the number of their segments, in the order of the table.
var forms, byLength = compile()

func compile() (forms [lastOperation + 1][]form, byLength [maxWords + 1][]form) {
	for op, o := range operations {
		if o.path == "" {
			continue
		}
		for _, path := range spellings(o.path) {
			f := form{Operation(op), o.method, parseWords(path)}
			forms[op] = append(forms[op], f)
			byLength[len(f.words)] = append(byLength[len(f.words)], f)
		}
	}
	return forms, byLength
}

// spellings gives a path with none of what is in brackets, with some, and with all of it.
func spellings(path string) []string {
	before, rest, optional := strings.Cut(path, "[")
	if !optional {
		return []string{path}
	}
	inside, behind, _ := strings.Cut(rest, "]")
	return append(spellings(before+behind), spellings(before+inside+behind)...)
}

func parseWords(path string) (words []word) {
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		words = append(words, word{segment, variable(max(slices.Index(variables[:], segment), 0))})
	}
	return words
}

// field returns where t keeps a variable.
func (t *Target) field(v variable) *string {
	switch v {
	case varDevice:
		return &t.Identity.DeviceID
	case varModule:
		return &t.Identity.ModuleID
	case varName:
		return &t.Name
	}
	return &t.Component
}

// unreserved are the bytes that a segment holds as they are (RFC 3986 section 2.3).
var unreserved = percent.NewTable("-._~")

// AppendPath appends the path of op on t, as in /devices/{id}/modules/{module id},
// and returns the extended slice. Segments are percent-encoded: all but letters,
// digits and "-._~". It allocates only to grow dst. t is not checked (see
// [Operation.Check]); an op that is none of the constants appends nothing.
func (op Operation) AppendPath(dst []byte, t Target) []byte {
	f := op.form(&t)
	if f == nil {
		return dst
	}
	for _, w := range f.words {
		dst = append(dst, '/')
		if w.is == varNone {
			dst = append(dst, w.text...)
			continue
		}
		for _, c := range []byte(*t.field(w.is)) {
			e := unreserved[c]
			dst = append(dst, byte(e), byte(e>>8), byte(e>>16))[:len(dst)+int(e>>24)]
		}
	}
	return dst
}

// form returns how the path of op on t is written, or nil.
func (op Operation) form(t *Target) *form {
	if op.line().path == "" {
		return nil
	}
	fs := forms[op]
	for i := len(fs) - 1; i > 0; i-- {
		if fs[i].fits(t, &fs[0]) {
			return &fs[i]
		}
	}
	return &fs[0]
}

// fits reports whether t has all that f has and the shortest form of its operation has not.
func (f *form) fits(t *Target, shortest *form) bool {
	for _, w := range f.words {
		if !shortest.has(w.is) && *t.field(w.is) == "" {
			return false
		}
	}
	return true
}

func (f *form) has(v variable) bool {
	return slices.ContainsFunc(f.words, func(w word) bool { return w.is == v })
}

// Check reports whether op can be asked of t: op is one of the constants, t has what its
// path names and nothing else, and ids are legal. The error is an [*hubwire.Error] with code
// [hubwire.ArgumentInvalid] and outcome [hubwire.NotSent].
func (op Operation) Check(t Target) error {
	f := op.form(&t)
	if f == nil {
		return notSent(op, hubwire.ArgumentInvalid, "%d is not an operation", uint8(op))
	}
	e := f.check(&t)
	for v := varDevice; e == nil && v <= varComponent; v++ {
		if *t.field(v) != "" && !f.has(v) {
			e = refused(op, hubwire.ArgumentInvalid, "%v has no %s", op, variables[v])
		}
	}
	if e != nil {
		e.Outcome = hubwire.NotSent
		return e
	}
	return nil
}

// check returns an error that says Refused: a server's.
func (f *form) check(t *Target) *hubwire.Error {
	for _, w := range f.words {
		var err error
		v := t.field(w.is)
		switch {
		case w.is == varNone:
		case w.is == varDevice:
			err = hubwire.Identity{DeviceID: *v}.Check()
		case w.is == varModule:
			err = t.Identity.Check()
			if *v == "" {
				err = fmt.Errorf("module id is empty")
			}
		case *v == "":
			err = fmt.Errorf("%s is empty", w.text)
		case len(*v) > maxName:
			err = fmt.Errorf("%s has %d bytes, the limit is %d", w.text, len(*v), maxName)
		case !utf8.ValidString(*v) || strings.ContainsFunc(*v, isControl):
			err = fmt.Errorf("%s is not text", w.text)
		}
		if err != nil {
			return refused(f.op, hubwire.ArgumentInvalid, "%s", reason(err))
		}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// Match finds the operation that a request asks for, by its method and path, and
// what it is on. Fixed words are compared without case; slashes at the end do not
// count; segments are decoded once, a plus being a plus. A POST whose header
// X-HTTP-Method-Override says PATCH is a PATCH, as the Java SDK sends it.
//
// The error is an [*hubwire.Error] with outcome [hubwire.Refused] and code
// [hubwire.NotFound]; [hubwire.MethodNotAllowed], see [Allow]; or
// [hubwire.ArgumentInvalid] for a path that is badly encoded and an id that is not
// legal. It does not allocate where nothing in the path is percent-encoded.
func Match(r *http.Request) (Operation, Target, error) {
	p, err := split(r)
	if err != nil {
		return 0, Target{}, err
	}
	var t Target
	method, otherMethod := methodOf(r), false
	for i := range p.candidates() {
		f := &byLength[p.n][i]
		switch {
		case !p.is(f):
		case f.method != method:
			otherMethod = true
		default:
			for i, w := range f.words {
				if w.is != varNone {
					*t.field(w.is) = p.segments[i]
				}
			}
			if e := f.check(&t); e != nil {
				return 0, Target{}, e
			}
			if f.op == CompleteC2D && rejects(r.URL.RawQuery) {
				return RejectC2D, t, nil
			}
			return f.op, t, nil
		}
	}
	if otherMethod {
		return 0, Target{}, refused(0, hubwire.MethodNotAllowed, "the resource has no method %.20q", method)
	}
	return 0, Target{}, refused(0, hubwire.NotFound, "there is no such resource")
}

// Allow returns the methods of the resource that r names, for the header Allow
// (RFC 9110 section 15.5.6): "DELETE, GET, PUT". It is "" when there is no such resource.
func Allow(r *http.Request) string {
	p, err := split(r)
	if err != nil {
		return ""
	}
	var methods []string
	for i := range p.candidates() {
		if f := &byLength[p.n][i]; p.is(f) && !slices.Contains(methods, f.method) {
			methods = append(methods, f.method)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// methodOf returns the method that r means.
func methodOf(r *http.Request) string {
	if r.Method == post && strings.EqualFold(valueOf(r.Header, "X-Http-Method-Override"), patch) {
		return patch
	}
	return r.Method
}

// rejects reports whether a settlement is a rejection. SDKs write "reject",
// "reject=" and, encoded, "?reject=true".
func rejects(query string) bool {
	if query == "" {
		return false
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if key == "reject" || strings.EqualFold(key, "%3Freject") || key == "?reject" {
			return true
		}
	}
	return false
}

// path is a path taken apart, its segments decoded.
type path struct {
	segments [maxWords]string
	n        int
}

// candidates are the forms that are as long as p.
func (p *path) candidates() []form { return byLength[p.n] }

// split takes the path of r apart. One with too many segments has no candidates.
func split(r *http.Request) (p path, err error) {
	if r == nil || r.URL == nil {
		return p, refused(0, hubwire.ArgumentInvalid, "there is no request")
	}
	encoded, rest := r.URL.RawPath != "", r.URL.Path // without a RawPath no encoding but that of Path is meant
	if encoded {
		rest = r.URL.EscapedPath()
	}
	rest = strings.Trim(rest, "/")
	for more := rest != ""; more; p.n++ {
		if p.n == maxWords {
			return path{}, nil
		}
		var s string
		s, rest, more = strings.Cut(rest, "/")
		if p.segments[p.n] = s; !encoded {
			continue
		}
		if p.segments[p.n], err = url.PathUnescape(s); err != nil {
			return p, refused(0, hubwire.ArgumentInvalid, "the path is badly encoded")
		}
	}
	return p, nil
}

// is reports whether p has this form, of the same length. A variable is anything but nothing.
func (p *path) is(f *form) bool {
	for i, w := range f.words {
		if w.is == varNone && !equalFold(w.text, p.segments[i]) || p.segments[i] == "" {
			return false
		}
	}
	return true
}

// equalFold compares ASCII without case: other letters have no case here, so that
// no word has a spelling beyond ASCII.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
