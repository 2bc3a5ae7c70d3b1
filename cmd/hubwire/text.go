package main

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// printable returns s, quoted when a terminal would not show it as it is:
// names and texts from the other end are not to move the cursor.
func printable(s string) string {
	if !utf8.ValidString(s) {
		return strconv.Quote(s)
	}
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}

// bodyText shows text as it is, over as many lines as it has, and quotes anything else.
func bodyText(body []byte) string {
	s := string(body)
	if plain := strings.NewReplacer("\n", "", "\t", "").Replace(s); printable(plain) != plain {
		return strconv.Quote(s)
	}
	return s
}

// plural is n and what is counted, whose plural is with an s.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
