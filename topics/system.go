package topics

// System is a system property of a message: one whose name IoT Hub defines. The
// zero System stands for none.
type System uint8

// The system properties, with their names in a property bag. On the wire the
// dollar sign is escaped ("%24.mid") or not ("$.mid").
const (
	MessageID          System = iota + 1 // $.mid
	CorrelationID                        // $.cid
	UserID                               // $.uid
	To                                   // $.to
	ContentType                          // $.ct
	ContentEncoding                      // $.ce
	CreationTime                         // $.ctime
	Expiry                               // $.exp
	Output                               // $.on; a module's output
	Component                            // $.sub; Plug and Play component
	InterfaceID                          // $.ifid
	Schema                               // $.schema
	ConnectionDeviceID                   // $.cdid; to module inputs only: a hub must not take it from a device
	ConnectionModuleID                   // $.cmid; likewise
	DiagnosticID                         // $.diagid
	DiagnosticContext                    // $.diagctx
	Ack                                  // iothub-ack, without prefix; C2D only
)

var systemNames = [...]string{
	MessageID:          "$.mid",
	CorrelationID:      "$.cid",
	UserID:             "$.uid",
	To:                 "$.to",
	ContentType:        "$.ct",
	ContentEncoding:    "$.ce",
	CreationTime:       "$.ctime",
	Expiry:             "$.exp",
	Output:             "$.on",
	Component:          "$.sub",
	InterfaceID:        "$.ifid",
	Schema:             "$.schema",
	ConnectionDeviceID: "$.cdid",
	ConnectionModuleID: "$.cmid",
	DiagnosticID:       "$.diagid",
	DiagnosticContext:  "$.diagctx",
	Ack:                "iothub-ack",
}

// systemPrefixes holds "&%24.mid=" and its kin: what [AppendSystem] writes.
var systemPrefixes = func() (t [len(systemNames)]string) {
	for i, n := range systemNames {
		t[i] = "&" + string(appendEscaped(nil, n, bagEscapes)) + "="
	}
	return t
}()

// Name returns the decoded name, such as "$.mid", or "" for none.
func (s System) Name() string {
	if int(s) < len(systemNames) {
		return systemNames[s]
	}
	return ""
}

// String is [System.Name].
func (s System) String() string { return s.Name() }

// LookupSystem returns the system property of that decoded name, or 0. Names are
// case-sensitive.
func LookupSystem[T Text](name T) System {
	switch {
	case len(name) > 2 && name[0] == '$' && name[1] == '.':
		return lookupShort(name[2:])
	case string(name) == "iothub-ack":
		return Ack
	}
	return 0
}

// lookupShort finds a system property by its name without "$.".
func lookupShort[T Text](short T) System {
	switch string(short) {
	case "mid":
		return MessageID
	case "cid":
		return CorrelationID
	case "uid":
		return UserID
	case "to":
		return To
	case "ct":
		return ContentType
	case "ce":
		return ContentEncoding
	case "ctime":
		return CreationTime
	case "exp":
		return Expiry
	case "on":
		return Output
	case "sub":
		return Component
	case "ifid":
		return InterfaceID
	case "schema":
		return Schema
	case "cdid":
		return ConnectionDeviceID
	case "cmid":
		return ConnectionModuleID
	case "diagid":
		return DiagnosticID
	case "diagctx":
		return DiagnosticContext
	}
	return 0
}
