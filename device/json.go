package device

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/jsonobject"
)

// withoutMember returns a JSON object without the members of those names. The
// other values are byte for byte as they were.
func withoutMember(object []byte, names ...string) (json.RawMessage, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	key := json.NewEncoder(&out)
	key.SetEscapeHTML(false)
	err := jsonobject.Each(object, func(name string, value json.RawMessage) error {
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
