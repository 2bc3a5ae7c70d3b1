package topics_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hubwire/hubwire/topics"
)

// slowEscapeTo escapes s but for letters, digits and safe, the obvious way.
func slowEscapeTo(s, safe string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c < utf8.RuneSelf && (strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"+safe, c) >= 0) {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
		}
	}
	return b.String()
}

// every byte, and texts of every length up to three words.
func texts() []string {
	all := []string{everyASCII(), "é€😀", "m/0001 a+b", "application/json;charset=utf-8", "\xff\x80\xc0"}
	for c := range 256 {
		all = append(all, string([]byte{byte(c)}), string([]byte{'a', byte(c), 'z'}))
	}
	for n := range 25 {
		all = append(all, strings.Repeat("a", n), strings.Repeat("/", n), strings.Repeat("a/", n))
	}
	return all
}

func TestEscape(t *testing.T) {
	for _, s := range texts() {
		for _, c := range []struct {
			what, safe string
			got        []byte
		}{
			{"AppendEscape", "-._~", topics.AppendEscape([]byte("x"), s)},
			{"AppendEscape, of bytes", "-._~", topics.AppendEscape([]byte("x"), []byte(s))},
			{"AppendEscape, with room", "-._~", topics.AppendEscape(append(make([]byte, 0, 1000), 'x'), s)},
			{"AppendNull", "-._", topics.AppendNull([]byte("x?"), s)[1:]},
			{"AppendNull, with room", "-._", topics.AppendNull(append(make([]byte, 0, 1000), "x?"...), []byte(s))[1:]},
		} {
			if want := slowEscapeTo(s, c.safe); string(c.got[1:]) != want {
				t.Fatalf("%s of %q is %q, want %q", c.what, s, c.got[1:], want)
			}
		}
	}
}

// Two standard functions bound ours: what we escape they read, and the reverse.
func TestEscapeAgreesWithNetURL(t *testing.T) {
	for _, s := range texts() {
		ours := escape(s)
		if back, err := url.PathUnescape(ours); err != nil || back != s {
			t.Errorf("%q -> %q -> %q, %v", s, ours, back, err)
		}
		if !utf8.ValidString(s) {
			continue
		}
		for _, theirs := range []string{url.PathEscape(s), strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), strings.ToLower(url.PathEscape(strings.ToLower(s)))} {
			want, _ := url.PathUnescape(theirs)
			if got := unescape(theirs); got != want {
				t.Errorf("%q -> %q, want %q", theirs, got, want)
			}
		}
	}
}

// Growth is by what is needed: a buffer of just the size is filled, not replaced.
func TestEscapeFillsABufferOfItsSize(t *testing.T) {
	for _, s := range texts() {
		n := len(slowEscapeTo(s, "-._~"))
		buf := make([]byte, 0, n)
		got := topics.AppendEscape(buf, s)
		if n > 0 && &got[0] != &buf[:1][0] {
			t.Errorf("%q needs %d bytes, had them, and took others", s, n)
		}
	}
}

func TestUnescape(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"plain text", "plain", "plain"},
		{"a plus sign", "a+b", "a+b"},
		{"a blank", "a%20b", "a b"},
		{"both cases", "%2f%2F%6A%6a", "//jj"},
		{"a lone percent sign", "%", "%"},
		{"a percent sign and a digit", "%4", "%4"},
		{"no hex", "%zz%4g%g4%+1%-1% 1", "%zz%4g%g4%+1%-1% 1"},
		{"an escape behind a percent sign", "%%41%", "%A%"},
		{"two bytes", "%C3%A9", "é"},
		{"three bytes", "x%E2%82%ACx", "x€x"},
		{"four bytes", "%F0%9F%98%80%F0%9F%98%80", "😀😀"},
		{"not UTF-8: all stays", "%41%ff%42", "%41%ff%42"},
		{"half a character: all stays", "%41%E2%82", "%41%E2%82"},
		{"half a character and text: all stays", "%E2%82x%41", "%E2%82x%41"},
		{"half a character and an escape of ASCII: all stays", "%E2%82%41", "%E2%82%41"},
		{"a second byte alone: all stays", "é%A9", "é%A9"},
		{"overlong: all stays", "%C0%80", "%C0%80"},
		{"overlong in three: all stays", "%E0%9F%BF", "%E0%9F%BF"},
		{"a surrogate: all stays", "%ED%A0%80", "%ED%A0%80"},
		{"beyond the last: all stays", "%F4%90%80%80", "%F4%90%80%80"},
		{"five bytes: all stays", "%F8%88%80%80%80", "%F8%88%80%80%80"},
		{"the last character", "%F4%8F%BF%BF", "\U0010ffff"},
		{"the replacement character", "%EF%BF%BD", "\ufffd"},
	} {
		same(t, c.name, string(topics.AppendUnescape([]byte("x"), c.in)), "x"+c.want)
		same(t, c.name+", of bytes", string(topics.AppendUnescape([]byte("x"), []byte(c.in))), "x"+c.want)
		ps, _ := topics.Bag("k="+c.in).AppendDecoded(nil, nil)
		same(t, c.name+", in a bag", string(ps[0].Value), c.want)
	}
}
