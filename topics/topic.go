package topics

import (
	"math"
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
// has not are empty. Nothing in it is percent-decoded. The zero Topic is none.
//
// A Topic is small: pass it by value.
type Topic struct {
	raw  []byte // before Kind, or there are five words
	Kind Kind   // which topic it is; it says what the rest can be asked for
	at   marks
}

// marks are three offsets into a topic, or numbers that fit beside them. Four
// words are what Go keeps in registers, and what makes Parse fast; so there are
// three, and the accessors work out the rest.
//
//	            a                        b                      c
//	identity    end of the device id     end of the module id,  begin of the bag
//	                                     or again a
//	status      status or otherStatus    begin of $rid's value  its end
//	others      end of the path          begin of $rid's value  its end
type marks struct{ a, b, c uint16 }

// otherStatus is in marks for a status that does not fit.
const otherStatus = 0xffff

func (t Topic) view(lo, hi int) []byte { return t.raw[lo:hi:hi] }

func (t Topic) hasIdentity() bool { return t.Kind-Telemetry <= Input-Telemetry }

// DeviceID is the device id of Telemetry, C2D and Input. Ids are never percent-encoded.
func (t Topic) DeviceID() []byte {
	if !t.hasIdentity() {
		return nil
	}
	lo := len("devices/")
	if t.raw[0] == '/' {
		lo++
	}
	return t.view(lo, int(t.at.a))
}

// ModuleID is the module id of Telemetry, C2D and Input, empty for a device's own.
func (t Topic) ModuleID() []byte {
	if !t.hasIdentity() || t.at.a == t.at.b {
		return nil
	}
	return t.view(int(t.at.a)+len("/modules/"), int(t.at.b))
}

// Identity returns copies of both ids. It allocates; [Topic.Is] does not.
func (t Topic) Identity() hubwire.Identity {
	return hubwire.Identity{DeviceID: string(t.DeviceID()), ModuleID: string(t.ModuleID())}
}

// Is reports whether the topic names exactly id. It is false for kinds without an identity.
func (t Topic) Is(id hubwire.Identity) bool {
	return string(t.DeviceID()) == id.DeviceID && string(t.ModuleID()) == id.ModuleID && id.DeviceID != ""
}

// Name is the method name of MethodRequest or the input name of Input, as it
// came: [AppendUnescape] gives it decoded.
func (t Topic) Name() []byte {
	switch t.Kind {
	case MethodRequest:
		return t.view(len("$iothub/methods/POST/"), int(t.at.a))
	case Input:
		return t.view(int(t.at.b)+len("/inputs/"), int(t.at.c)-len("/"))
	}
	return nil
}

// statusAt is where the status of a kind that has one begins.
var statusAt = [...]int{
	MethodResponse: len("$iothub/methods/res/"),
	TwinResponse:   len("$iothub/twin/res/"),
	DPSResponse:    len("$dps/registrations/res/"),
}

// Status is the decimal status of MethodResponse, TwinResponse and DPSResponse,
// which fits 32 bits; 0 for the other kinds.
func (t Topic) Status() int {
	if statusAt[t.Kind] == 0 {
		return 0
	}
	if t.at.a == otherStatus {
		return t.otherStatus()
	}
	return int(t.at.a)
}

func (t Topic) otherStatus() int {
	n, _ := status(t.raw, statusAt[t.Kind])
	return int(n)
}

// RequestID is $rid, byte for byte, for the answer to echo. It is empty for the
// kinds without one, and for a TwinReported that asks for no answer.
func (t Topic) RequestID() []byte {
	if t.Kind <= Input {
		return nil
	}
	return t.view(int(t.at.b), int(t.at.c))
}

// VersionText is $version of TwinReported, TwinResponse and TwinDesired as it came.
func (t Topic) VersionText() []byte {
	if t.Kind < TwinReported || t.Kind > TwinDesired {
		return nil
	}
	return t.param("$version=")
}

// Version is $version as a number; ok is false when it is absent or not one.
func (t Topic) Version() (n int64, ok bool) {
	// Where the hub has it, behind $rid and last, it takes no call.
	const rid, version = len("$iothub/twin/res/200/?$rid="), "&$version="
	if i := int(t.at.c); t.Kind == TwinResponse && t.at.b == uint16(rid) &&
		len(t.raw) > i+len(version) && string(t.raw[i:i+len(version)]) == version {
		for i += len(version); i < len(t.raw) && t.raw[i]-'0' < 10 && n < math.MaxInt64/100; i++ {
			n = n*10 + int64(t.raw[i]-'0')
		}
		if i == len(t.raw) {
			return n, true
		}
	}
	return parseInt64(t.VersionText())
}

// OperationID is operationId of DPSQuery, as it came: [AppendUnescape] gives it decoded.
func (t Topic) OperationID() []byte {
	if t.Kind != DPSQuery {
		return nil
	}
	return t.param("operationId=")
}

// RetryAfter is how long a DPSResponse asks to wait; ok is false when it does
// not say, or not in whole seconds. At most a day is believed.
func (t Topic) RetryAfter() (d time.Duration, ok bool) {
	if t.Kind != DPSResponse {
		return 0, false
	}
	n, ok := parseInt64(t.param("retry-after="))
	if !ok || n < 0 {
		return 0, false
	}
	return time.Duration(min(n, 24*60*60)) * time.Second, true
}

// Bag is the property bag of Telemetry, C2D and Input, and what follows the
// question mark in the other kinds, which nobody percent-encodes. Of telemetry's,
// one leading '?' and all trailing '/' are gone.
func (t Topic) Bag() Bag {
	if t.Kind == 0 {
		return nil
	}
	lo := int(t.at.c)
	if !t.hasIdentity() {
		lo = t.query()
	}
	return Bag(t.view(lo, len(t.raw)))
}

// query returns where the first part of the query begins.
func (t Topic) query() int {
	i := int(t.at.a)
	if at := statusAt[t.Kind]; at > 0 {
		_, i = status(t.raw, at)
	}
	if hasPrefixAt(t.raw, i, "/") {
		i++
	}
	return min(i+len("?"), len(t.raw))
}

// param returns the value of the first part of that name in the query. The name has its '='.
func (t Topic) param(name string) []byte {
	lo, hi := param(t.raw, t.query(), name)
	return t.view(lo, hi)
}

// parseInt64 reads a decimal number, without a plus sign.
func parseInt64(b []byte) (n int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := int64(c - '0')
		if d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		n = -n
	}
	return n, true
}
