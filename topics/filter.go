package topics

import (
	"bytes"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
)

// The filters that are the same for everyone, and the one of the C2D filters
// that the Embedded C SDK uses: the hub reads '+' as the identity that connected.
const (
	MethodFilter       = "$iothub/methods/POST/#"
	TwinResponseFilter = "$iothub/twin/res/#"
	TwinDesiredFilter  = "$iothub/twin/PATCH/properties/desired/#"
	DPSResponseFilter  = "$dps/registrations/res/#"
	C2DAnyFilter       = "devices/+/messages/devicebound/#"
)

// AppendC2DFilter appends the filter for cloud-to-device messages:
//
//	devices/{device}[/modules/{module}]/messages/devicebound/#
func AppendC2DFilter(dst []byte, id hubwire.Identity) []byte {
	return append(appendDevice(dst, id), "/messages/devicebound/#"...)
}

// AppendInputFilter appends the filter for all inputs of a module:
//
//	devices/{device}/modules/{module}/inputs/#
func AppendInputFilter(dst []byte, id hubwire.Identity) []byte {
	return append(appendDevice(dst, id), "/inputs/#"...)
}

// AppendModuleFilter appends the form of [AppendInputFilter] that the C and .NET SDKs use:
//
//	devices/{device}/modules/{module}/#
func AppendModuleFilter(dst []byte, id hubwire.Identity) []byte {
	return append(appendDevice(dst, id), "/#"...)
}

// Filter is a view of a topic filter that [ParseFilter] has read.
type Filter struct {
	// Kind is what the filter asks for: C2D, Input, MethodRequest,
	// TwinResponse, TwinDesired or DPSResponse.
	Kind Kind

	// The ids of C2D and Input, each perhaps "+".
	DeviceID, ModuleID []byte
}

// Allows reports whether id may subscribe to f: whether its ids, if any, are
// those of id or wildcards.
func (f *Filter) Allows(id hubwire.Identity) bool {
	if f == nil || f.Kind != C2D && f.Kind != Input {
		return f != nil && f.Kind != 0
	}
	if len(f.ModuleID) == 0 != (id.ModuleID == "") {
		return false
	}
	return allows(f.DeviceID, id.DeviceID) && (id.ModuleID == "" || allows(f.ModuleID, id.ModuleID))
}

func allows(level []byte, id string) bool { return string(level) == "+" || string(level) == id }

// ParseFilter tells what a subscription asks for, by the rules of the service's
// front end (as Edge Hub has them, in this order):
//
//	$iothub/methods/POST/...                                  MethodRequest
//	$iothub/twin/PATCH/properties/desired/...                 TwinDesired
//	devices/{device}[/modules/{module}]/messages/devicebound/#  C2D
//	$iothub/twin/res/#                                        TwinResponse
//	devices/{device}/modules/{module}/[.../]#                 Input
//	$dps/registrations/res/#                                  DPSResponse
//
// {device} and {module} may be '+'. All else is a [*SyntaxError]: ErrUnknown,
// upon which IoT Hub closes the connection, or ErrTooLong, ErrUTF8, ErrNUL. It
// does not allocate.
func ParseFilter(filter []byte) (Filter, error) {
	if err := checkFilter(filter); err != nil {
		return Filter{}, err
	}
	switch {
	case bytes.HasPrefix(filter, []byte("devices/")):
		return parseDeviceFilter(filter)
	case bytes.HasPrefix(filter, []byte("$iothub/methods/POST/")):
		return Filter{Kind: MethodRequest}, nil
	case bytes.HasPrefix(filter, []byte("$iothub/twin/PATCH/properties/desired/")):
		return Filter{Kind: TwinDesired}, nil
	case string(filter) == TwinResponseFilter:
		return Filter{Kind: TwinResponse}, nil
	case string(filter) == DPSResponseFilter:
		return Filter{Kind: DPSResponse}, nil
	}
	return Filter{}, unknownFilter.at(0)
}

// checkFilter refuses what no filter may be (MQTT 3.1.1 sections 1.5.3 and 4.7.3).
func checkFilter(b []byte) error {
	switch {
	case len(b) == 0:
		return emptyFilter.at(0)
	case len(b) > maxText:
		return longFilter.at(maxText)
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == 0:
			return filterHasNUL.at(i)
		case r == utf8.RuneError && n == 1:
			return filterNotUTF8.at(i)
		}
		i += n
	}
	return nil
}

func parseDeviceFilter(filter []byte) (Filter, error) {
	const devices = len("devices/")
	var f Filter
	device, rest, _ := bytes.Cut(filter[devices:], []byte("/"))
	if err := checkLevel(device, devices, emptyDevice, wildcardDevice); err != nil {
		return Filter{}, err
	}
	f.DeviceID = device[:len(device):len(device)]
	if after, ok := bytes.CutPrefix(rest, []byte("modules/")); ok {
		at := len(filter) - len(after)
		module, after, _ := bytes.Cut(after, []byte("/"))
		if err := checkLevel(module, at, emptyModule, wildcardModule); err != nil {
			return Filter{}, err
		}
		f.ModuleID, rest = module[:len(module):len(module)], after
	}
	switch {
	case string(rest) == "messages/devicebound/#":
		f.Kind = C2D
	case f.ModuleID != nil && (string(rest) == "#" || bytes.HasSuffix(rest, []byte("/#"))):
		f.Kind = Input
	default:
		return Filter{}, unknownFilter.at(len(filter) - len(rest))
	}
	return f, nil
}

// checkLevel refuses an id in a filter, at offset i, that is empty or stands for
// all that follows.
func checkLevel(level []byte, i int, empty, wildcard *fault) error {
	switch string(level) {
	case "":
		return empty.at(i)
	case "#":
		return wildcard.at(i)
	}
	return nil
}
