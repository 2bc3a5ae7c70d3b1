package device

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/hubwire/hubwire"
)

// errNotObject is what is wrong with JSON from the hub that should be one object.
var errNotObject = errors.New("device: the JSON is not one object")

// eachMember calls f with the members of a JSON object, in order. value is a copy.
func eachMember(object []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errNotObject
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
		return errNotObject
	}
	return nil
}

// withoutMember returns a JSON object without the members of those names. The
// other values are byte for byte as they were.
func withoutMember(object []byte, names ...string) (json.RawMessage, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	key := json.NewEncoder(&out)
	key.SetEscapeHTML(false)
	err := eachMember(object, func(name string, value json.RawMessage) error {
		if slices.Contains(names, name) {
			return nil
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		if err := key.Encode(name); err != nil {
			return err
		}
		out.Truncate(out.Len() - 1) // the encoder's line feed
		out.WriteByte(':')
		out.Write(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// twinSection reads the desired or reported half of a twin as a device gets it.
func twinSection(object json.RawMessage) (hubwire.TwinSection, error) {
	var s hubwire.TwinSection
	var v struct {
		Version int64 `json:"$version"`
	}
	if err := json.Unmarshal(object, &v); err != nil {
		return s, err
	}
	body, err := withoutMember(object, "$version", "$metadata")
	if err != nil {
		return s, err
	}
	return hubwire.TwinSection{Version: v.Version, JSON: body}, nil
}
