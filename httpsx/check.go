package httpsx

import (
	"errors"
	"fmt"

	"github.com/hubwire/hubwire"
)

// Why a property cannot go over HTTPS.
var (
	// ErrNotToken is about a byte of an application property's name or value that
	// is none of ASCII letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 section 5.6.2).
	ErrNotToken = errors.New("httpsx: not a character of an HTTP token, and the hub takes no other over HTTPS")

	// ErrNotText is about a byte of a system property that a header does not carry as it
	// is: outside of printable ASCII, or a blank at either end.
	ErrNotText = errors.New("httpsx: not a character that an HTTP header carries")

	// ErrNoName is about an application property without a name.
	ErrNoName = errors.New("httpsx: no name")
)

// PropertyError says which property of a message HTTPS cannot carry.
type PropertyError struct {
	Name   string // of the application property, or the header of the system property
	Value  bool   // it is the value, not the name
	Offset int    // of the first byte at fault
	Err    error  // match this: ErrNotToken, ErrNotText, ErrNoName
}

// Error names the property by at most 100 bytes of its name.
func (e *PropertyError) Error() string {
	if e == nil {
		return "httpsx: no error"
	}
	part := "name"
	if e.Value {
		part = "value"
	}
	return fmt.Sprintf("property %.100q: byte %d of its %s: %v", e.Name, e.Offset, part, e.Err)
}

// Unwrap returns what is wrong with it.
func (e *PropertyError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// CheckProperties reports whether HTTPS can carry the properties of m: names and values of
// application properties, which may be empty, only in the characters of an HTTP token, system
// properties in printable ASCII without blanks at their ends. The error is a [*PropertyError]
// about the first that is at fault. A nil m has none. What else IoT Hub asks of a message
// [hubwire.Message.CheckTelemetry] tells. It does not allocate.
//
// Source: "Create and read IoT Hub messages", application properties over HTTPS.
func CheckProperties(m *hubwire.Message) error {
	if m == nil {
		return nil
	}
	for s := sysMessageID; s < systems; s++ {
		if text := textField(m, s); text != nil {
			if i := notText(*text); i >= 0 {
				return &PropertyError{Name: systemHeaders[s], Value: true, Offset: i, Err: ErrNotText}
			}
		}
	}
	for i := range m.Properties {
		p := &m.Properties[i]
		if p.Name == "" {
			return &PropertyError{Err: ErrNoName}
		}
		if i := notToken(p.Name); i >= 0 {
			return &PropertyError{Name: p.Name, Offset: i, Err: ErrNotToken}
		}
		if i := notToken(p.Value); i >= 0 {
			return &PropertyError{Name: p.Name, Value: true, Offset: i, Err: ErrNotToken}
		}
	}
	return nil
}

// notToken returns the offset of the first byte of s that is not of a token, or -1.
func notToken(s string) int {
	for i := range len(s) {
		if !tokenChars[s[i]] {
			return i
		}
	}
	return -1
}

var tokenChars = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return t
}()

// notText returns the offset of the first byte of s that cannot stand there in
// the value of a header, or -1.
func notText(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == ' ' && (i == 0 || i == len(s)-1) {
			return i
		}
	}
	return -1
}
