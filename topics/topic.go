package topics

import (
	"time"

	"github.com/hubwire/hubwire"
)

// Kind says what a topic is for. The zero Kind is not valid.
type Kind uint8

// The kinds, each with the form that the Append functions write. In the last
// column: who publishes it.
const (
	Telemetry      Kind = iota + 1 // devices/{device}[/modules/{module}]/messages/events/{bag}          device
	C2D                            // devices/{device}[/modules/{module}]/messages/devicebound/{bag}     hub
	Input                          // devices/{device}/modules/{module}/inputs/{input}/{bag}             hub
	MethodRequest                  // $iothub/methods/POST/{method}/?$rid={rid}                          hub
	MethodResponse                 // $iothub/methods/res/{status}/?$rid={rid}                           device
	TwinGet                        // $iothub/twin/GET/?$rid={rid}                                       device
	TwinReported                   // $iothub/twin/PATCH/properties/reported/?$rid={rid}[&$version={n}]  device
	TwinResponse                   // $iothub/twin/res/{status}/?$rid={rid}[&$version={n}]               hub
	TwinDesired                    // $iothub/twin/PATCH/properties/desired/?$version={n}                hub
	DPSRegister                    // $dps/registrations/PUT/iotdps-register/?$rid={rid}                 device
	DPSQuery                       // $dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={id}  device
	DPSResponse                    // $dps/registrations/res/{status}/?$rid={rid}[&retry-after={s}]      DPS
)

var kindNames = [...]string{
	"invalid", "telemetry", "C2D", "input", "method request", "method response", "twin get", "twin reported",
	"twin response", "twin desired", "DPS register", "DPS query", "DPS response",
}

// String returns a name for people, such as "method request".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

// Topic is a view of a topic that [Parse] has read. It aliases the slice given to
// Parse: it holds while the caller leaves that slice alone. Parts that the kind
// has not are empty. Nothing in it is percent-decoded.
type Topic struct {
	Kind Kind

	// Status is the decimal status of MethodResponse, TwinResponse and DPSResponse.
	Status int32

	raw []byte

	// Offsets into raw. A topic has at most 65535 bytes, and no kind has both
	// an identity and a request.
	device, module span
	name           span
	rid, extra     span // extra is $version, operationId or retry-after
	bag            span
}

// span is a piece of a topic.
type span struct{ lo, hi uint16 }

func (t *Topic) part(s span) []byte { return t.raw[s.lo:s.hi:s.hi] }

// DeviceID is the device id of Telemetry, C2D and Input. Ids are never percent-encoded.
func (t *Topic) DeviceID() []byte { return t.part(t.device) }

// ModuleID is the module id of Telemetry, C2D and Input, empty for a device's own.
func (t *Topic) ModuleID() []byte { return t.part(t.module) }

// Identity returns copies of both ids. It allocates; [Topic.Is] does not.
func (t *Topic) Identity() hubwire.Identity {
	return hubwire.Identity{DeviceID: string(t.DeviceID()), ModuleID: string(t.ModuleID())}
}

// Is reports whether the topic names exactly id. It is false for kinds without an identity.
func (t *Topic) Is(id hubwire.Identity) bool {
	return string(t.DeviceID()) == id.DeviceID && string(t.ModuleID()) == id.ModuleID && id.DeviceID != ""
}

// Name is the method name of MethodRequest or the input name of Input, as it
// came: [AppendUnescape] gives it decoded.
func (t *Topic) Name() []byte { return t.part(t.name) }

// RequestID is $rid, byte for byte, for the answer to echo. It is empty for the
// kinds without one, and for a TwinReported that asks for no answer.
func (t *Topic) RequestID() []byte { return t.part(t.rid) }

// VersionText is $version of TwinReported, TwinResponse and TwinDesired as it came.
func (t *Topic) VersionText() []byte {
	if t.Kind == DPSResponse || t.Kind == DPSQuery {
		return nil
	}
	return t.part(t.extra)
}

// Version is $version as a number; ok is false when it is absent or not one.
func (t *Topic) Version() (n int64, ok bool) {
	return parseInt64(t.VersionText())
}

// OperationID is operationId of DPSQuery, as it came: [AppendUnescape] gives it decoded.
func (t *Topic) OperationID() []byte {
	if t.Kind != DPSQuery {
		return nil
	}
	return t.part(t.extra)
}

// RetryAfter is how long a DPSResponse asks to wait; ok is false when it does
// not say, or not in whole seconds. At most a day is believed.
func (t *Topic) RetryAfter() (d time.Duration, ok bool) {
	if t.Kind != DPSResponse {
		return 0, false
	}
	n, ok := parseInt64(t.part(t.extra))
	if !ok || n < 0 {
		return 0, false
	}
	return time.Duration(min(n, 24*60*60)) * time.Second, true
}

// Bag is the property bag of Telemetry, C2D and Input, and what follows the
// question mark in the other kinds, which nobody percent-encodes. Of telemetry's,
// one leading '?' and all trailing '/' are gone (Node's guide shows the former,
// the .NET and Java SDKs send the latter).
func (t *Topic) Bag() Bag { return Bag(t.part(t.bag)) }
