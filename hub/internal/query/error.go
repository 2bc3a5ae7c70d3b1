package query

import (
	"fmt"
	"strings"
)

// SyntaxError says what is wrong with the text of a query.
type SyntaxError struct {
	Offset      int    // in bytes from the start of the text
	Found       string // what is there, as a phrase
	Expected    string // what could be there, as a phrase
	Unsupported string // the feature of SQL that is left out, as a phrase; or empty
}

// Error gives it all on one line, fit for the answer to a client.
func (e *SyntaxError) Error() string {
	s := fmt.Sprintf("query: at offset %d: found %s, expected %s", e.Offset, e.Found, e.Expected)
	if e.Unsupported != "" {
		s += "; " + e.Unsupported + " not supported"
	}
	return s
}

// unsupported are the words of SQL that no path begins with, so that who tries
// one is told.
var unsupported = map[string]string{
	"JOIN": "JOIN is", "ORDER": "ORDER BY is", "DISTINCT": "DISTINCT is", "LIKE": "LIKE is", "HAVING": "HAVING is",
	"BETWEEN": "BETWEEN is", "EXISTS": "EXISTS is", "UNION": "UNION is", "SELECT": "subqueries are",
}

// reserved are the words of the language that no path begins with.
var reserved = map[string]bool{
	"SELECT": true, "TOP": true, "FROM": true, "WHERE": true, "GROUP": true, "BY": true, "AS": true,
	"AND": true, "OR": true, "NOT": true, "IN": true, "NIN": true,
	"UNDEFINED": true, "NULL": true, "TRUE": true, "FALSE": true,
}

func isReserved(word string) bool {
	word = strings.ToUpper(word)
	return reserved[word] || unsupported[word] != ""
}
