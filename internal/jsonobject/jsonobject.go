// Package jsonobject is what encoding/json lacks: the members of a JSON object in their
// order and with their values byte for byte as they are, where it gives either a map or
// single tokens, and a bound of the depth, where it has one of its own.
package jsonobject

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// ErrNotObject is the error of [Each] for what is not one object and nothing else.
var ErrNotObject = errors.New("not one JSON object")

// Each calls f for each member of object, in order, duplicates included, until f
// returns an error. value is a copy. The errors are f's, [ErrNotObject], and those
// of encoding/json for what is malformed; the members before that have been seen.
func Each(object []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ErrNotObject
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := f(name.(string), value); err != nil { // a key of an object is a string
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return ErrNotObject
	}
	return nil
}

// IndexDeeper returns the offset of the first bracket in valid JSON that is nested, with
// others around it, more than limit deep, or -1. It allocates nothing.
func IndexDeeper(text []byte, limit int) int {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return i
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return -1
}
