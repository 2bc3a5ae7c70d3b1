package sas

import "strings"

// wholeString is the part that a fault of a connection string is in when it is in
// no single value.
const wholeString = "connection string"

// pairs are the name=value pairs of a connection string.
type pairs struct {
	byName map[string]pair // the names in lower case
	size   int             // of the connection string, where what is missing would be
}

type pair struct {
	value string
	at    int // offset of the value
}

// knownNames are those that a fault may name: whatever else stands before a "="
// could be a piece of a secret.
var knownNames = [...]string{
	"HostName", "DeviceId", "ModuleId", "GatewayHostName", "SharedAccessKeyName", "SharedAccessKey",
	"SharedAccessSignature", "x509", "X509Cert", "UseProvisioning", "Endpoint", "EntityPath",
}

func partOf(name string) string {
	for _, known := range knownNames {
		if equalFold(known, name) {
			return known
		}
	}
	return "a name"
}

// splitPairs splits s into its pairs. White space, and then semicolons, at both
// ends of s don't count, nor do semicolons at the end of a value.
func splitPairs(s string) (*pairs, error) {
	if len(s) > MaxConnectionString {
		return nil, &SyntaxError{wholeString, MaxConnectionString, MaxConnectionString, ErrTooLong}
	}
	p := &pairs{byName: map[string]pair{}, size: len(s)}
	trimmed := strings.TrimLeft(strings.TrimLeft(s, " \t\r\n"), ";")
	at := len(s) - len(trimmed)
	s = s[:at+len(strings.TrimRight(strings.TrimRight(trimmed, " \t\r\n"), ";"))]
	if at == len(s) {
		return nil, &SyntaxError{Part: wholeString, Offset: at, Err: ErrEmpty}
	}
	for at < len(s) {
		size := nameSize(s[at:])
		if size < 0 { // only the first can be none: the others begin where endOfValue found a name
			return nil, &SyntaxError{Part: wholeString, Offset: at, Err: ErrNotPairs}
		}
		name, value := lowered(s[at:at+size]), at+size+1
		end := endOfValue(s, value)
		if _, twice := p.byName[name]; twice {
			return nil, &SyntaxError{Part: partOf(name), Offset: at, Err: ErrDuplicateKey}
		}
		p.byName[name] = pair{strings.TrimRight(s[value:end], ";"), value}
		at = end + 1
	}
	return p, nil
}

// nameSize returns the length of the name that s begins with: all up to a "=",
// with no semicolon in it. It is negative when there is none.
func nameSize(s string) int {
	if i := strings.IndexAny(s, ";="); i >= 0 && s[i] == '=' {
		return i
	}
	return -1
}

// endOfValue returns where the value at offset at ends: at the end of s, or at a
// semicolon that a name follows. Any other semicolon belongs to the value.
func endOfValue(s string, at int) int {
	for {
		i := strings.IndexByte(s[at:], ';')
		if i < 0 {
			return len(s)
		}
		at += i
		if nameSize(s[at+1:]) >= 0 {
			return at
		}
		at++
	}
}

func (p *pairs) value(name string) string { return p.byName[lowered(name)].value }

func (p *pairs) isTrue(name string) bool { return strings.EqualFold(p.value(name), "true") }

// refuse is the error for what is wrong with a value, or for its absence.
func (p *pairs) refuse(part string, err error) error {
	at := 0
	if part != wholeString {
		at = p.size
		if v, ok := p.byName[lowered(part)]; ok {
			at = v.at
		}
	}
	return &SyntaxError{Part: part, Offset: at, Err: err}
}
