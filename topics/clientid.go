package topics

import (
	"strings"

	"github.com/hubwire/hubwire"
)

// AppendClientID appends the MQTT client id of id:
//
//	{device}[/{module}]
//
// Nothing is escaped. With DPS the client id is the registration id alone.
func AppendClientID(dst []byte, id hubwire.Identity) []byte {
	dst = append(dst, id.DeviceID...)
	if id.ModuleID != "" {
		dst = append(append(dst, '/'), id.ModuleID...)
	}
	return dst
}

// ParseClientID is the inverse of [AppendClientID]: the first '/' parts the ids.
// Neither may be empty; the legality of their characters is [hubwire.Identity.Check]'s.
func ParseClientID(s string) (hubwire.Identity, error) {
	if err := checkString("client id", s); err != nil {
		return hubwire.Identity{}, err
	}
	device, module, isModule := strings.Cut(s, "/")
	if device == "" {
		return hubwire.Identity{}, wrong("device id", 0, ErrEmpty)
	}
	if isModule && module == "" {
		return hubwire.Identity{}, wrong("module id", len(s), ErrEmpty)
	}
	return hubwire.Identity{DeviceID: device, ModuleID: module}, nil
}
