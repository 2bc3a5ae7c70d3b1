package query

import (
	"encoding/json"
	"strings"
)

// Values inside valid JSON text are found without decoding what is around them:
// a query may look into one text many times.

// memberOf returns a member of an object; of several of one name the last, as
// most parsers do.
func memberOf(text, name string) (v Value) {
	for rest := skipSpace(text[1:]); rest != "" && rest[0] != '}'; rest = skipComma(rest) {
		key, after := cutValue(rest)
		after = skipSpace(after)
		value, after := cutValue(skipSpace(strings.TrimPrefix(after, ":")))
		if unquote(key) == name {
			v = JSON(value)
		}
		rest = after
	}
	return v
}

// elementOf returns the i-th element of an array, or when it has none the empty
// string and how many there are.
func elementOf(text string, i int) (element string, n int) {
	for rest := skipSpace(text[1:]); rest != "" && rest[0] != ']'; rest = skipComma(rest) {
		element, rest = cutValue(rest)
		if n == i {
			return element, n
		}
		n++
	}
	return "", n
}

func skipSpace(text string) string { return strings.TrimLeft(text, " \t\r\n") }

func skipComma(text string) string { return skipSpace(strings.TrimPrefix(skipSpace(text), ",")) }

// cutValue cuts the value off that text begins with. It takes at least a byte, if
// there is one.
func cutValue(text string) (value, rest string) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			for depth == 0 && i+1 < len(text) && strings.IndexByte(",]} \t\r\n", text[i+1]) < 0 {
				i++
			}
		}
		if depth <= 0 {
			return text[:min(i+1, len(text))], text[min(i+1, len(text)):]
		}
	}
	return text, ""
}

// stringEnd returns where the string ends that begins at i: at its closing quote.
func stringEnd(text string, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}

// unquote returns what a JSON string says.
func unquote(text string) string {
	if strings.IndexByte(text, '\\') >= 0 {
		var s string
		json.Unmarshal([]byte(text), &s) // valid, says the caller
		return s
	}
	return strings.Trim(text, `"`)
}
