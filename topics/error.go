package topics

import (
	"errors"
	"strconv"
	"sync/atomic"
)

// SyntaxError says what is wrong with a topic, filter, client id, user name or
// body, and where. Do not change one: the package hands out the same again when
// a peer repeats its mistake, so that refusing costs no more than accepting.
type SyntaxError struct {
	Part   string // such as "device id", "status", "$rid"
	Offset int    // bytes from the start of what was parsed
	Err    error  // match this: ErrUnknown, ErrEmpty, ...
}

// What a [SyntaxError] can hold.
var (
	ErrUnknown   = errors.New("not one that IoT Hub or DPS uses")
	ErrEmpty     = errors.New("is empty")
	ErrMissing   = errors.New("is missing")
	ErrTooLong   = errors.New("has more than 65535 bytes")
	ErrUTF8      = errors.New("is not UTF-8")
	ErrNUL       = errors.New("has a NUL character")
	ErrWildcard  = errors.New("has a wildcard")
	ErrTruncated = errors.New("ends too early")
	ErrNumber    = errors.New("is not a decimal number in range")
	ErrSegment   = errors.New("has too many segments")
	ErrAuthChain = errors.New("does not begin with the identity that connects")
	ErrJSON      = errors.New("is not the JSON that was expected")
)

// Error gives the part, its offset and the cause, on one line.
func (e *SyntaxError) Error() string {
	return "topics: " + e.Part + " at offset " + strconv.Itoa(e.Offset) + " " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error { return e.Err }

// fault is one of the ways in which a topic or a filter can be wrong.
type fault uint8

const (
	faultUnknown fault = iota
	faultUnknownFilter
	faultEmptyTopic
	faultEmptyFilter
	faultTooLong
	faultUTF8
	faultNUL
	faultWildcard
	faultDevice
	faultDeviceWildcard
	faultModule
	faultModuleWildcard
	faultInput
	faultInputWildcard
	faultInputEnd
	faultMethod
	faultMethodSegment
	faultMethodEnd
	faultStatus
	faultStatusEnd
	faultQuery
	faultRequestID
	faultVersion
	faultOperationID
	faults // how many there are
)

var faultText = [faults]struct {
	part string
	err  error
}{
	faultUnknown:        {"topic", ErrUnknown},
	faultUnknownFilter:  {"filter", ErrUnknown},
	faultEmptyTopic:     {"topic", ErrEmpty},
	faultEmptyFilter:    {"filter", ErrEmpty},
	faultTooLong:        {"topic", ErrTooLong},
	faultUTF8:           {"topic", ErrUTF8},
	faultNUL:            {"topic", ErrNUL},
	faultWildcard:       {"topic", ErrWildcard},
	faultDevice:         {"device id", ErrEmpty},
	faultDeviceWildcard: {"device id", ErrWildcard},
	faultModule:         {"module id", ErrEmpty},
	faultModuleWildcard: {"module id", ErrWildcard},
	faultInput:          {"input name", ErrEmpty},
	faultInputWildcard:  {"input name", ErrWildcard},
	faultInputEnd:       {"input name", ErrTruncated},
	faultMethod:         {"method name", ErrEmpty},
	faultMethodSegment:  {"method name", ErrSegment},
	faultMethodEnd:      {"method name", ErrTruncated},
	faultStatus:         {"status", ErrNumber},
	faultStatusEnd:      {"status", ErrTruncated},
	faultQuery:          {"query", ErrMissing},
	faultRequestID:      {"$rid", ErrMissing},
	faultVersion:        {"$version", ErrMissing},
	faultOperationID:    {"operationId", ErrMissing},
}

// lastFault holds the latest error of each kind. A peer that sends the same
// malformed topic again gets the same error again, at no cost.
var lastFault [faults]atomic.Pointer[SyntaxError]

func refuse(f fault, offset int) error {
	if e := lastFault[f].Load(); e != nil && e.Offset == offset {
		return e
	}
	e := &SyntaxError{Part: faultText[f].part, Offset: offset, Err: faultText[f].err}
	lastFault[f].Store(e)
	return e
}
