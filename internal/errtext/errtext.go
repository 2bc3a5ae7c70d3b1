// Package errtext makes text that came in with an error fit to be kept and printed, for
// all protocols.
package errtext

import (
	"regexp"
	"strings"
)

// Max is how many bytes of a text are kept.
const Max = 1000

// secrets are the words behind which a secret stands, and it: of tokens and their URLs, of
// connection strings, of identities, of HTTP's authentication.
var secrets = regexp.MustCompile(`(?i)(sig=|sig%3D|Key=|(?:primary|secondary)Key"? *: *"?|Bearer |Basic )[^ &;,"'<>\r\n]*`)

// Error returns err with the text that [Line] makes of its own: crypto/tls quotes certificates in it, net/http
// whatever is not HTTP. nil stays nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return &bounded{err}
}

type bounded struct{ error }

func (e *bounded) Error() string { return Line(e.error.Error()) }
func (e *bounded) Unwrap() error { return e.error }

// Line bounds a text from the wire to [Max] bytes, and takes out of it what would break a
// line, what is not UTF-8, and what looks like a token or a key: not all that has a
// message is a hub.
func Line(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 4*Max)], "?")
	s = secrets.ReplaceAllString(s, "$1(secret)")
	if len(s) > Max {
		s = strings.ToValidUTF8(s[:Max], "") + "…"
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s))
}
