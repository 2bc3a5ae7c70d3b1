package hubwire

import (
	"fmt"
	"strings"
	"time"
)

// Error is what every operation against a hub fails with, over all protocols.
//
//	var e *hubwire.Error
//	if errors.As(err, &e) && e.Retryable { ... }
//	if errors.Is(err, hubwire.DeviceNotOnline) { ... }
//
// It matches its Code and its cause under [errors.Is]. What ended because the
// connection did also matches [net.ErrClosed]; what ended because its context
// did also matches the context's error. It never holds a key or a token.
type Error struct {
	Op         string        // what was tried: "send", "twin get"
	Code       Code          // the hub's code, or 0 when the hub did not speak
	Outcome    Outcome       // whether the hub may have acted on it
	Retryable  bool          // the same call can succeed later
	RetryAfter time.Duration // how long the hub asks to wait; 0 when it does not say
	TrackingID string        // for Azure's support; empty when the hub gave none
	Message    string        // for people
	Err        error         // the cause; may be nil
}

// Outcome says how far an operation that failed had got.
type Outcome uint8

// The outcomes. The zero Outcome is the cautious one.
const (
	Unknown Outcome = iota // sent, and the hub's answer was lost: it may or may not have happened
	NotSent                // nothing left this process
	Refused                // the hub answered, and said no
)

// String returns "outcome unknown", "not sent" or "refused".
func (o Outcome) String() string {
	switch o {
	case NotSent:
		return "not sent"
	case Refused:
		return "refused"
	}
	return "outcome unknown"
}

// Error gives the operation, code, outcome, message, cause and tracking id, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("hubwire: ")
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, "%d %s, ", int(e.Code), e.Code.Name())
	}
	b.WriteString(e.Outcome.String())
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.TrackingID != "" {
		b.WriteString(" (tracking id " + e.TrackingID + ")")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is e's [Code].
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code && c != 0
}

// Code is an IoT Hub error code: the HTTP status it belongs to, times 1000,
// plus a number of its own. A Code is an error, for use with [errors.Is].
// Source: IoT Hub developer guide, "Understand and resolve IoT Hub error codes", and
// the official SDKs' tables.
type Code int

// The codes. The list is what the SDKs know; others occur.
const (
	InvalidProtocolVersion       Code = 400001
	InvalidOperation             Code = 400003
	ArgumentInvalid              Code = 400004
	ArgumentNull                 Code = 400005
	FormatError                  Code = 400006
	DeviceDefinedMultipleTimes   Code = 400011
	BulkRegistryOperationFailure Code = 400013
	ConnectionClosedOnNew        Code = 400027 // another connection of the same identity took over
	CannotRegisterModuleToModule Code = 400301
	HubNotFound                  Code = 401001
	UnauthorizedAccess           Code = 401002
	Unauthorized                 Code = 401003
	HubSuspended                 Code = 403001
	QuotaExceeded                Code = 403002
	JobQuotaExceeded             Code = 403003
	QueueDepthExceeded           Code = 403004 // 50 C2D messages wait for the device
	MaxCBSTokenExceeded          Code = 403005
	MaxActiveFileUploadExceeded  Code = 403006
	DeviceDisabled               Code = 403012
	DeviceNotFound               Code = 404001
	JobNotFound                  Code = 404002
	ModuleNotFound               Code = 404010
	DeviceNotOnline              Code = 404103
	ConnectionClosedRemotely     Code = 404104 // keep-alive expired, or the peer went away
	DeviceAlreadyExists          Code = 409001
	LinkCreationConflict         Code = 409002
	ModuleAlreadyExists          Code = 409301
	ConfigurationAlreadyExists   Code = 409401
	PreconditionFailed           Code = 412001
	MessageLockLost              Code = 412002
	MessageTooLarge              Code = 413001
	TooManyDevices               Code = 413002
	TooManyModules               Code = 413003
	TooManyRequests              Code = 429000
	Throttled                    Code = 429001
	ThrottleBacklogLimitExceeded Code = 429002
	ThrottlingBacklogTimeout     Code = 429003
	TooManyActiveJobs            Code = 429004
	DeviceThrottled              Code = 429005
	ServerError                  Code = 500001
	ServiceUnavailable           Code = 503001
	PartitionNotFound            Code = 503003
	GatewayTimeout               Code = 504101 // the device did not answer a method in time
)

// Status returns the HTTP status that c belongs to: 404 for 404103.
func (c Code) Status() int { return int(c) / 1000 }

// Retryable reports whether what failed with c can succeed later, unchanged:
// throttling and the hub's own trouble, not a refusal.
func (c Code) Retryable() bool {
	switch c {
	case QuotaExceeded, ConnectionClosedOnNew, ConnectionClosedRemotely:
		return true
	}
	s := c.Status()
	return s == 429 || s == 500 || s == 503
}

// Name returns the service's word for c, such as "DeviceNotFound", or "" for a code it does not know.
func (c Code) Name() string { return codeNames[c] }

// Error makes c usable with [errors.Is].
func (c Code) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("hubwire: %d %s", int(c), c.Name()), " ")
}

// The service's own names, which HTTPS sends in iothub-errorcode.
var codeNames = map[Code]string{
	InvalidProtocolVersion:       "InvalidProtocolVersion",
	InvalidOperation:             "InvalidOperation",
	ArgumentInvalid:              "ArgumentInvalid",
	ArgumentNull:                 "ArgumentNull",
	FormatError:                  "IotHubFormatError",
	DeviceDefinedMultipleTimes:   "DeviceDefinedMultipleTimes",
	BulkRegistryOperationFailure: "BulkRegistryOperationFailure",
	ConnectionClosedOnNew:        "ConnectionForcefullyClosedOnNewConnection",
	CannotRegisterModuleToModule: "CannotRegisterModuleToModule",
	HubNotFound:                  "IotHubNotFound",
	UnauthorizedAccess:           "IotHubUnauthorizedAccess",
	Unauthorized:                 "IotHubUnauthorized",
	HubSuspended:                 "IotHubSuspended",
	QuotaExceeded:                "IotHubQuotaExceeded",
	JobQuotaExceeded:             "JobQuotaExceeded",
	QueueDepthExceeded:           "DeviceMaximumQueueDepthExceeded",
	MaxCBSTokenExceeded:          "IotHubMaxCbsTokenExceeded",
	MaxActiveFileUploadExceeded:  "DeviceMaximumActiveFileUploadLimitExceeded",
	DeviceDisabled:               "DeviceDisabled",
	DeviceNotFound:               "DeviceNotFound",
	JobNotFound:                  "JobNotFound",
	ModuleNotFound:               "ModuleNotFound",
	DeviceNotOnline:              "DeviceNotOnline",
	ConnectionClosedRemotely:     "DeviceConnectionClosedRemotely",
	DeviceAlreadyExists:          "DeviceAlreadyExists",
	LinkCreationConflict:         "LinkCreationConflict",
	ModuleAlreadyExists:          "ModuleAlreadyExistsOnDevice",
	ConfigurationAlreadyExists:   "ConfigurationAlreadyExists",
	PreconditionFailed:           "PreconditionFailed",
	MessageLockLost:              "DeviceMessageLockLost",
	MessageTooLarge:              "MessageTooLarge",
	TooManyDevices:               "TooManyDevices",
	TooManyModules:               "TooManyModulesOnDevice",
	TooManyRequests:              "GenericTooManyRequests",
	Throttled:                    "ThrottlingException",
	ThrottleBacklogLimitExceeded: "ThrottleBacklogLimitExceeded",
	ThrottlingBacklogTimeout:     "ThrottlingBacklogTimeout",
	TooManyActiveJobs:            "ThrottlingMaxActiveJobCountExceeded",
	DeviceThrottled:              "DeviceThrottlingLimitExceeded",
	ServerError:                  "ServerError",
	ServiceUnavailable:           "ServiceUnavailable",
	PartitionNotFound:            "PartitionNotFound",
	GatewayTimeout:               "GatewayTimeout",
}
