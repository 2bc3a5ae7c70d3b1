package amqp

import (
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// The filter by which a receiver of events says where it starts.
// Source: spec/amqp.md 6.3.
const (
	SelectorFilter            = "apache.org:selector-filter:string"
	selectorDescriptor uint64 = 0x0000468C00000004
)

// StartAt is what a [Start] counts by.
type StartAt uint8

// The kinds of starts.
const (
	Earliest   StartAt = iota // the oldest event that there is
	Latest                    // only what comes from now on
	AtOffset                  // Start.Offset
	AtSequence                // Start.Sequence
	AtTime                    // Start.Time
)

// Start is where a receiver of events begins. The zero Start is the oldest event.
type Start struct {
	At        StartAt   // what the rest is read by; each of the others counts for one value of it
	Offset    string    // opaque; ours are decimal numbers
	Sequence  int64     // number of an event
	Time      time.Time // milliseconds count
	Inclusive bool      // that event too, if there is one; of a time: events of that very moment
}

// The expressions, without their comparison.
const (
	selectOffset     = "amqp.annotation." + KeyOffset
	selectSequence   = "amqp.annotation." + KeySequenceNumber
	selectTime       = "amqp.annotation." + KeyStoredTime
	selectTimeLegacy = "amqp.annotation." + keyLegacyEnqueued
	offsetEarliest   = "-1"
	offsetLatest     = "@latest"
)

// ParseSelector reads the expression of a filter: one comparison, ">" or ">=", of the
// annotation x-opt-offset, x-opt-sequence-number, x-opt-enqueued-time or
// x-opt-enqueuedtimeutc with a value that may be in single quotes.
//
//	amqp.annotation.x-opt-offset > '@latest'
//
// The error is a [*hubwire.Error] with code [hubwire.ArgumentInvalid].
func ParseSelector(expression string) (Start, error) {
	bad := func() (Start, error) {
		return Start{}, refused("attach", hubwire.ArgumentInvalid, "the filter %.200q is none that events can be selected by", expression)
	}
	name, value, ok := strings.Cut(expression, ">")
	if !ok {
		return bad()
	}
	var s Start
	value, s.Inclusive = strings.CutPrefix(value, "=")
	value = strings.TrimSpace(value)
	if n := len(value); n >= 2 && value[0] == '\'' && value[n-1] == '\'' {
		value = value[1 : n-1]
	}
	number, err := strconv.ParseInt(value, 10, 64)
	switch name = strings.TrimSpace(name); {
	case name == selectOffset && value == offsetEarliest:
		return Start{}, nil
	case name == selectOffset && strings.EqualFold(value, offsetLatest):
		return Start{At: Latest}, nil
	case name == selectOffset && value != "" && !strings.ContainsAny(value, " '"):
		s.At, s.Offset = AtOffset, value
	case name == selectSequence && err == nil:
		s.At, s.Sequence = AtSequence, number
	case (name == selectTime || name == selectTimeLegacy) && err == nil && number <= maxTimestamp && number >= -maxTimestamp:
		s.At, s.Time = AtTime, time.UnixMilli(number).UTC()
	default:
		return bad()
	}
	return s, nil
}

// AppendSelector appends the expression that selects s, with its value in quotes.
func (s Start) AppendSelector(dst []byte) []byte {
	compare := " > '"
	if s.Inclusive {
		compare = " >= '"
	}
	switch s.At {
	case Latest:
		return append(dst, selectOffset+" > '"+offsetLatest+"'"...)
	case AtOffset:
		dst = append(append(dst, selectOffset+compare...), s.Offset...)
	case AtSequence:
		dst = strconv.AppendInt(append(dst, selectSequence+compare...), s.Sequence, 10)
	case AtTime:
		dst = strconv.AppendInt(append(dst, selectTime+compare...), s.Time.UnixMilli(), 10)
	default:
		return append(dst, selectOffset+" > '"+offsetEarliest+"'"...)
	}
	return append(dst, '\'')
}

// String returns what AppendSelector appends.
func (s Start) String() string { return string(s.AppendSelector(nil)) }

// ParseFilter reads the filter of a source, a map or null: where a receiver starts, and
// whether it says so. It knows the selector by its name, in any case, and by its
// descriptor, a number or a symbol. Other filters it passes over. Errors are those of
// [ParseSelector].
func ParseFilter(filter Value) (s Start, ok bool, err error) {
	for key, v := range filter.Entries() {
		descriptor, value, described := v.Described()
		if !described {
			value = v
		}
		code, _ := descriptor.Uint()
		if code != selectorDescriptor && !isSelector(key) && !isSelector(descriptor) {
			continue
		}
		text, isText := value.Text()
		if !isText {
			return Start{}, false, refused("attach", hubwire.ArgumentInvalid, "the filter of events is a %v, not a string", value.Kind())
		}
		s, err = ParseSelector(string(text))
		return s, err == nil, err
	}
	return Start{}, false, nil
}

func isSelector(v Value) bool {
	s, _ := v.Text()
	return strings.EqualFold(string(s), SelectorFilter)
}

// AppendFilter appends the filter of a source that starts at s, a map, with its descriptor
// as a number.
func (s Start) AppendFilter(dst []byte) []byte {
	at := len(dst)
	dst = amqp10.AppendSymbol(amqp10.OpenCompound(dst), SelectorFilter)
	dst = amqp10.AppendWideDescriptor(dst, selectorDescriptor)
	var room [128]byte
	dst = amqp10.AppendString(dst, s.AppendSelector(room[:0]))
	return amqp10.CloseMap(dst, at, 2)
}
