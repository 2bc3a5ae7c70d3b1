package errtext

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestError(t *testing.T) {
	if Error(nil) != nil {
		t.Error("nil is an error")
	}
	cause := fmt.Errorf("a\nb sig=abc: %w", io.EOF)
	if err := Error(cause); err.Error() != "a b sig=(secret) EOF" || !errors.Is(err, io.EOF) {
		t.Errorf("%q", err)
	}
}

func TestLine(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain text stays", "no such device", "no such device"},
		{"line breaks and NULs become blanks", "a\r\nb\x00c", "a  b c"},
		{"what is not UTF-8 becomes a mark", "a\xffb", "a?b"},
		{"a token's signature", "sr=h&sig=abc%3D&se=1", "sr=h&sig=(secret)&se=1"},
		{"an escaped one", "sig%3Dabc&se", "sig%3D(secret)&se"},
		{"a bearer's token", "bearer abc.def, and more", "bearer (secret), and more"},
		{"a user and a password", "Authorization: Basic YTpi", "Authorization: Basic (secret)"},
		{"keys of a connection string and of an identity", `AccountKey=abc==; "primaryKey": "abc"`, `AccountKey=(secret); "primaryKey": "(secret)"`},
		{"a long one is cut between two characters", strings.Repeat("é", Max), strings.Repeat("é", Max/2) + "…"},
	} {
		if got := Line(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if n := len(Line(strings.Repeat("x", 1<<20))); n > Max+len("…") {
		t.Errorf("%d bytes are kept", n)
	}
}
