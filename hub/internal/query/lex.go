package query

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenNumber
	tokenString
	tokenSign // an operator, a bracket, a comma
)

// token is a word of the text.
type token struct {
	kind   tokenKind
	raw    string // as it is written
	text   string // of a name or string: what it says
	number float64
	offset int
}

// is reports whether the token is this keyword, written in capitals, or this sign.
func (t *token) is(word string) bool {
	return t.kind == tokenName && strings.EqualFold(t.raw, word) || t.kind == tokenSign && t.raw == word
}

// found is the token as a phrase.
func (t *token) found() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenString:
		return fmt.Sprintf("the string %.20q", t.text)
	}
	return fmt.Sprintf("%.40q", t.raw)
}

// lexer cuts valid UTF-8 into tokens.
type lexer struct {
	text string
	pos  int
}

func (l *lexer) space() {
	for l.pos < len(l.text) && strings.IndexByte(" \t\r\n", l.text[l.pos]) >= 0 {
		l.pos++
	}
}

// fault is an error about n bytes at an offset.
func (l *lexer) fault(offset, n int, expected string) *SyntaxError {
	found := "the end"
	if offset < len(l.text) {
		found = fmt.Sprintf("%.40q", l.text[offset:min(len(l.text), offset+n)])
	}
	return &SyntaxError{Offset: offset, Found: found, Expected: expected}
}

func (l *lexer) next() (token, *SyntaxError) {
	l.space()
	start := l.pos
	if start == len(l.text) {
		return token{offset: start}, nil
	}
	r, width := utf8.DecodeRuneInString(l.text[start:])
	switch {
	case isNameStart(r):
		return l.name(), nil
	case r >= '0' && r <= '9':
		return l.number()
	case r == '\'' || r == '"':
		return l.str(byte(r))
	case strings.ContainsRune("!<>", r):
		if two := l.text[start:min(start+2, len(l.text))]; two == "!=" || two == "<>" || two == "<=" || two == ">=" {
			width = 2
		} else if r == '!' {
			return token{}, l.fault(start, 1, `"!="`)
		}
	case !strings.ContainsRune("=+-*/%()[],.", r):
		return token{}, l.fault(start, width, "a name, a constant or an operator")
	}
	l.pos += width
	raw := l.text[start:l.pos]
	return token{kind: tokenSign, raw: raw, offset: start}, nil
}

func isNameStart(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) }
func isNamePart(r rune) bool  { return isNameStart(r) || unicode.IsDigit(r) }

func (l *lexer) name() token {
	start := l.pos
	for i, r := range l.text[start:] {
		if !isNamePart(r) {
			break
		}
		l.pos = start + i + utf8.RuneLen(r)
	}
	raw := l.text[start:l.pos]
	return token{kind: tokenName, raw: raw, text: raw, offset: start}
}

// isPlain reports whether a name can stand as it is, without [[ ]].
func isPlain(name string) bool {
	l := lexer{text: name}
	r, _ := utf8.DecodeRuneInString(name)
	return isNameStart(r) && l.name().raw == name
}

// member reads what follows the dot of a path: a name, or any text in [[ ]].
func (l *lexer) member() (token, *SyntaxError) {
	l.space()
	rest, quoted := strings.CutPrefix(l.text[l.pos:], "[[")
	if !quoted {
		return l.next()
	}
	start := l.pos
	name, _, closed := strings.Cut(rest, "]]")
	switch {
	case !closed:
		return token{}, l.fault(len(l.text), 0, `"]]"`)
	case name == "":
		return token{}, l.fault(start, 4, "a member name")
	}
	l.pos += len(name) + 4
	return token{kind: tokenName, raw: l.text[start:l.pos], text: name, offset: start}, nil
}

func (l *lexer) digits(set string) {
	for l.pos < len(l.text) && strings.IndexByte(set, l.text[l.pos]) >= 0 {
		l.pos++
	}
}

const decimal = "0123456789"

// number reads what may look like one, and then sees whether it is one.
func (l *lexer) number() (token, *SyntaxError) {
	start := l.pos
	var n float64
	var err error
	if rest := l.text[start:]; strings.HasPrefix(rest, "0x") || strings.HasPrefix(rest, "0X") {
		l.pos += 2
		l.digits(decimal + "abcdefABCDEF")
		var u uint64
		u, err = strconv.ParseUint(l.text[start+2:l.pos], 16, 64)
		n = float64(u)
	} else {
		l.digits(decimal)
		if rest := l.text[l.pos:]; len(rest) > 1 && rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9' {
			l.pos++
			l.digits(decimal)
		}
		l.exponent()
		n, err = strconv.ParseFloat(l.text[start:l.pos], 64)
	}
	r, _ := utf8.DecodeRuneInString(l.text[l.pos:])
	if err != nil || l.pos < len(l.text) && isNamePart(r) {
		l.name()
		return token{}, l.fault(start, l.pos-start, "a number of 64 bits, decimal or 0x and hexadecimal digits")
	}
	return token{kind: tokenNumber, raw: l.text[start:l.pos], number: n, offset: start}, nil
}

func (l *lexer) exponent() {
	rest := l.text[l.pos:]
	if rest == "" || rest[0] != 'e' && rest[0] != 'E' {
		return
	}
	n := 1
	if len(rest) > 1 && (rest[1] == '+' || rest[1] == '-') {
		n = 2
	}
	if len(rest) > n && rest[n] >= '0' && rest[n] <= '9' {
		l.pos += n
		l.digits(decimal)
	}
}

// str reads a string in either kind of quotes.
func (l *lexer) str(quote byte) (token, *SyntaxError) {
	start := l.pos
	var b strings.Builder
	for l.pos++; l.pos < len(l.text); l.pos++ {
		switch c := l.text[l.pos]; c {
		case quote:
			l.pos++
			return token{kind: tokenString, raw: l.text[start:l.pos], text: b.String(), offset: start}, nil
		case '\\':
			r, ok := l.escape()
			if !ok {
				return token{}, l.fault(l.pos, 6, `one of the escapes \' \" \\ \uXXXX`)
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
		}
	}
	return token{}, l.fault(len(l.text), 0, fmt.Sprintf("the %c that ends the string", quote))
}

// escape reads the escape at pos, and leaves pos on its last byte.
func (l *lexer) escape() (rune, bool) {
	rest := l.text[l.pos+1:]
	if rest == "" {
		return 0, false
	}
	switch c := rest[0]; c {
	case '\'', '"', '\\':
		l.pos++
		return rune(c), true
	case 'u':
		r, ok := hex4(rest[1:])
		if !ok {
			return 0, false
		}
		n := 5
		if utf16.IsSurrogate(r) {
			low := strings.TrimPrefix(rest[n:], `\u`)
			r2, ok := hex4(low)
			if r = utf16.DecodeRune(r, r2); !ok || len(low) == len(rest[n:]) || r == utf8.RuneError {
				return 0, false
			}
			n += 6
		}
		l.pos += n
		return r, true
	}
	return 0, false
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	return rune(n), err == nil
}
