package httpsx

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/hubwire/hubwire/internal/systemtime"
)

// Time is a time as the REST API writes it: ISO 8601 in UTC, with up to seven digits of
// fraction, and 0001-01-01T00:00:00Z, which is the zero Time, for never. It reads
// what has no zone as UTC, and null and "" as never.
type Time struct {
	time.Time

	// unread is what is no time. It is no error by itself: the hub sets most of
	// the times there are, and ignores what a client sends for them.
	unread string
}

// NewTime returns t as a Time.
func NewTime(t time.Time) Time { return Time{Time: t.UTC()} }

// Equal reports whether both are the same time.
func (t Time) Equal(u Time) bool { return t.Time.Equal(u.Time) }

// append appends the time as a JSON string.
func (t Time) append(dst []byte) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.9999999Z07:00")
	return append(dst, '"')
}

// MarshalJSON implements [json.Marshaler].
func (t Time) MarshalJSON() ([]byte, error) { return t.append(nil), nil }

// UnmarshalJSON implements [json.Unmarshaler]. What is no time becomes the zero Time, without an error.
func (t *Time) UnmarshalJSON(b []byte) error {
	if t == nil {
		return nil
	}
	*t = Time{}
	var s string
	if json.Unmarshal(b, &s) != nil {
		t.unread = string(b)
		return nil
	}
	t.Time, t.unread = parseTime(s)
	return nil
}

// parseTime reads a time, or returns what is none.
func parseTime(s string) (at time.Time, unread string) {
	const never = "0001-01-01T00:00:00" // in any zone
	if s = strings.TrimSpace(s); s == "" || strings.HasPrefix(s, never) {
		return time.Time{}, ""
	}
	at, ok := systemtime.Parse(s)
	if !ok {
		return time.Time{}, s
	}
	return at, ""
}

// In returns t in another zone; nil is UTC, where [time.Time.In] panics.
func (t Time) In(zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	return t.Time.In(zone)
}
