package httpsx

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// SetMessage puts the properties of m into the headers of a request that sends
// it, whose body is m.Body as it is:
//
//	iothub-messageid: m1
//	iothub-contenttype: application/json
//	iothub-creationtimeutc: 2026-01-02T03:04:05.6789012Z
//	iothub-app-level: 3
//
// Names are in lower case but for those of application properties, which keep theirs; what is
// not set is left out. What h has beside them stays. m must have passed [CheckProperties];
// else net/http refuses the request. A nil m or h sets nothing.
//
// It allocates once for eight headers, and once for each application property and each time; h
// refers to m's text afterwards, but not to m.
//
// Source: the device endpoint as the SDKs use it (spec/https.md 1.1).
func SetMessage(h http.Header, m *hubwire.Message) {
	if m != nil && h != nil {
		var v values
		setSystem(h, &systemHeaders, m, &v)
		setProperties(h, m.Properties, &v)
	}
}

// setSystem sets the headers of those system properties of m that are set.
func setSystem(h http.Header, names *[systems]string, m *hubwire.Message, values *values) {
	for s := sysMessageID; s < systems; s++ {
		if text := textField(m, s); text != nil {
			if *text != "" {
				h[names[s]] = values.one(*text)
			}
		} else if at := timeField(m, s); at != nil && !at.IsZero() {
			h[names[s]] = values.one(string(systemtime.Append(nil, *at)))
		}
	}
}

// setProperties sets the headers of application properties. One that comes twice is a header
// with two values.
func setProperties(h http.Header, properties []hubwire.Property, values *values) {
	for i := range properties {
		name := appPrefix + properties[i].Name
		if before, ok := h[name]; ok {
			h[name] = append(before, properties[i].Value)
		} else {
			h[name] = values.one(properties[i].Value)
		}
	}
}

// values is where the values of headers are, each a slice of one.
type values struct{ free []string }

func (v *values) one(s string) []string {
	if len(v.free) == 0 {
		v.free = make([]string, 8)
	}
	one := v.free[:1:1]
	one[0], v.free = s, v.free[1:]
	return one
}

// ParseMessage returns the message that a request with the headers h and this
// body sends. It takes the body over, and the values of h.
//
// The names of headers are in any case and any of the spellings that the SDKs
// have. HTTP has no order of headers, and no case: Properties are in the order of
// their names, in lower case, and those of the same name in the order of the header's
// values. Of a system property that comes twice the last counts. A time in none
// of the forms that the SDKs send stands in Properties, as "$.exp" or "$.ctime".
// All other headers are passed over, those among them that say who sends: that
// is for the hub to know.
//
// It is as lenient with characters as the SDKs need it, see [CheckProperties] for
// what may be sent; whether the hub takes the message [hubwire.Message.CheckTelemetry] tells.
// The error is a [*PropertyError], of a property without a name. It allocates
// the message, the slice of Properties, and one string for their names.
func ParseMessage(h http.Header, body []byte) (*hubwire.Message, error) {
	m := &hubwire.Message{Body: body}
	if err := parseProperties(h, m); err != nil {
		return nil, err
	}
	return m, nil
}

// parseProperties sets what the headers say of m.
func parseProperties(h http.Header, m *hubwire.Message) error {
	count, size := 0, 0
	for header, values := range h {
		if name, ok := appName(header); ok {
			if name == "" {
				return &PropertyError{Err: ErrNoName}
			}
			count, size = count+len(values), size+len(name)
		} else if s := systemOf(header); s != 0 && len(values) > 0 {
			setField(m, s, values[len(values)-1])
		}
	}
	if count+len(m.Properties) == 0 {
		return nil
	}
	m.Properties = slices.Grow(m.Properties, count)
	var names lowered
	names.b.Grow(size)
	for header, values := range h {
		name, ok := appName(header)
		if !ok {
			continue
		}
		name = names.add(name)
		for _, v := range values {
			m.Properties = append(m.Properties, hubwire.Property{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(m.Properties, func(a, b hubwire.Property) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// setField sets the field of m that s is, or what stands in Properties for it.
func setField(m *hubwire.Message, s system, value string) {
	if text := textField(m, s); text != nil {
		*text = value
		return
	}
	if value == "" {
		return
	}
	if at, ok := systemtime.Parse(value); ok {
		*timeField(m, s) = at
		return
	}
	name := "$.ctime"
	if s == sysExpiry {
		name = "$.exp"
	}
	m.Properties = append(m.Properties, hubwire.Property{Name: name, Value: value})
}

// lowered collects names in lower case, so that all of a message are pieces of one string.
type lowered struct{ b strings.Builder }

func (l *lowered) add(name string) string {
	start := l.b.Len()
	for i := range len(name) {
		c := name[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		l.b.WriteByte(c)
	}
	return l.b.String()[start:]
}
