package httpsx

import (
	"encoding/base64"
	"errors"
	"fmt"
	"iter"

	"github.com/hubwire/hubwire"
)

// What can be wrong with a batch.
var (
	ErrNotJSON     = errors.New("httpsx: not JSON")
	ErrMember      = errors.New("httpsx: a member of another type")
	ErrNoBody      = errors.New("httpsx: a message without a body")
	ErrBase64      = errors.New("httpsx: not Base64")
	ErrTooDeep     = errors.New("httpsx: nested too deeply")
	ErrBatchTooBig = errors.New("httpsx: the batch has more than 262144 bytes")
)

// BatchError says where a batch is at fault.
type BatchError struct {
	Index  int   // of the message, from 0
	Offset int   // from the start of the body
	Err    error // match this: ErrNotJSON and its kin, or a *PropertyError
}

// Error names the message and the place.
func (e *BatchError) Error() string {
	if e == nil {
		return "httpsx: no error"
	}
	return fmt.Sprintf("batch, message %d, byte %d: %v", e.Index, e.Offset, e.Err)
}

// Unwrap returns what is wrong there.
func (e *BatchError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// ParseBatch yields the messages of a batch, in order, in any of the forms
// that the SDKs write: with or without base64Encoded, which without it is true, and properties; blanks
// anywhere; control characters within strings as they are, which the SDKs do not escape.
// Members are known by their exact names, others are passed over, with at most 32
// levels in them. Properties keep their order; their names are as in [ParseMessage].
//
// A fault ends it with an error, a [*BatchError]: only a caller that has come to the
// end knows that the batch is good, so nothing may be done with its messages before.
// Messages alias the body where it holds them as they are.
func ParseBatch(body []byte) iter.Seq2[*hubwire.Message, error] {
	return func(yield func(*hubwire.Message, error) bool) {
		if len(body) > hubwire.MaxTelemetrySize {
			yield(nil, &BatchError{Offset: hubwire.MaxTelemetrySize, Err: ErrBatchTooBig})
			return
		}
		s := &scanner{b: body}
		index := 0
		s.array(func() bool {
			m := parseElement(s)
			if s.err != nil {
				return false
			}
			index++
			return yield(m, nil)
		})
		if s.end(); s.err != nil && s.err != errStopped {
			yield(nil, &BatchError{Index: index, Offset: s.at, Err: s.err})
		}
	}
}

// parseElement reads one message. Its body waits for base64Encoded, which may stand behind it.
func parseElement(s *scanner) *hubwire.Message {
	m := new(hubwire.Message)
	start, at := s.i, 0
	var text []byte
	encoded := true
	s.object(func(name []byte) {
		switch string(name) {
		case "body":
			s.space()
			at = s.i
			text = s.string()
		case "base64Encoded":
			encoded = s.bool()
		case "properties":
			parseElementProperties(s, m)
		default:
			s.skip()
		}
	})
	switch {
	case s.err != nil:
	case text == nil:
		s.fail(start, ErrNoBody)
	case !encoded:
		m.Body = text
	default:
		m.Body = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(m.Body, text)
		if err != nil {
			s.fail(at, ErrBase64)
		}
		m.Body = m.Body[:n]
	}
	return m
}

func parseElementProperties(s *scanner, m *hubwire.Message) {
	s.object(func(name []byte) {
		at := s.i
		header := string(name)
		value := s.stringOrNull()
		if s.err != nil {
			return
		}
		if app, ok := appName(header); ok {
			if app == "" {
				s.fail(at, &PropertyError{Err: ErrNoName})
				return
			}
			m.Properties = append(m.Properties, hubwire.Property{Name: string(appendLower(nil, app)), Value: string(value)})
		} else if sys := systemOf(header); sys != 0 {
			setField(m, sys, string(value))
		}
	})
}
