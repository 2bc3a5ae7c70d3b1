package hubwire

import (
	"fmt"
	"log/slog"
)

// MaxIDLength is the longest device or module id, in bytes.
const MaxIDLength = 128

// Identity names a device, or with a ModuleID a module of that device. It is
// comparable; the zero Identity is not valid. Ids are case-sensitive.
type Identity struct {
	DeviceID string // 1 to 128 characters, see [Identity.Check]
	ModuleID string // empty for the device itself
}

// String returns "device" or "device/module", which is also the MQTT client id.
func (id Identity) String() string {
	if id.ModuleID == "" {
		return id.DeviceID
	}
	return id.DeviceID + "/" + id.ModuleID
}

// LogValue implements [slog.LogValuer] with what String returns. The zero
// Identity is an empty group, which handlers leave out.
func (id Identity) LogValue() slog.Value {
	if id == (Identity{}) {
		return slog.GroupValue()
	}
	return slog.StringValue(id.String())
}

// IsModule reports whether id names a module.
func (id Identity) IsModule() bool { return id.ModuleID != "" }

// Check reports whether both ids are legal: 1 to [MaxIDLength] bytes (the
// module id may be empty), each an ASCII letter, a digit, or one of
//
//   - : . + % _ # * ? ! ( ) , = @ ; $ '
//
// The error is an [*Error] with code [ArgumentInvalid] and outcome [NotSent].
// Source: IoT Hub developer guide, "Understand the identity registry"; the
// colon and the semicolon are from the REST API's text.
func (id Identity) Check() error {
	if err := checkID("device id", id.DeviceID); err != nil {
		return err
	}
	if id.ModuleID == "" {
		return nil
	}
	return checkID("module id", id.ModuleID)
}

func checkID(what, s string) error {
	if s == "" {
		return invalid("%s is empty", what)
	}
	if len(s) > MaxIDLength {
		return invalid("%s has %d bytes, the limit is %d", what, len(s), MaxIDLength)
	}
	for i := range len(s) {
		if !idBytes[s[i]] {
			return invalid("%s has the byte %q at offset %d", what, s[i], i)
		}
	}
	return nil
}

var idBytes = func() (t [256]bool) {
	for _, c := range "-:.+%_#*?!(),=@;$'" {
		t[c] = true
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	return t
}()

// invalid is the error for an argument that is refused before anything is sent.
func invalid(format string, args ...any) *Error {
	return &Error{Code: ArgumentInvalid, Outcome: NotSent, Message: fmt.Sprintf(format, args...)}
}
