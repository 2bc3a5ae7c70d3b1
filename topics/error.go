package topics

import (
	"errors"
	"math"
	"strconv"
	"sync/atomic"
)

// SyntaxError says what is wrong with a topic, filter, client id, user name or
// body, and where.
//
// It is shared between calls that find the same fault: do not change it.
type SyntaxError struct {
	Part   string // such as "device id", "status", "$rid"
	Offset int    // bytes from the start of what was parsed to the fault
	Limit  int    // the bound that was crossed, in bytes or as a value; 0 if there is none
	Err    error  // match this: [ErrUnknown], [ErrEmpty], ...
}

// What a [SyntaxError] can hold.
var (
	ErrUnknown   = errors.New("is not one that IoT Hub or DPS uses")
	ErrEmpty     = errors.New("is empty")
	ErrMissing   = errors.New("is missing")
	ErrTooLong   = errors.New("is too long")
	ErrUTF8      = errors.New("is not UTF-8")
	ErrNUL       = errors.New("has a NUL character")
	ErrWildcard  = errors.New("has a wildcard")
	ErrTruncated = errors.New("ends too early")
	ErrNumber    = errors.New("is not a decimal number in range")
	ErrSegment   = errors.New("has too many segments")
	ErrAuthChain = errors.New("does not begin with the identity that connects")
	ErrJSON      = errors.New("is not the JSON that was expected")
)

// Error gives the part, its offset, the cause and the limit, on one line. Of what
// was parsed it holds nothing, but what encoding/json says of a body.
func (e *SyntaxError) Error() string {
	if e == nil || e.Err == nil {
		return "topics: no error"
	}
	s := "topics: " + e.Part + " at offset " + strconv.Itoa(e.Offset) + " " + e.Err.Error()
	if e.Limit != 0 {
		s += ", the limit is " + strconv.Itoa(e.Limit)
	}
	return s
}

// Unwrap returns Err.
func (e *SyntaxError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// wrong makes a SyntaxError.
func wrong(part string, offset int, err error) *SyntaxError {
	return &SyntaxError{Part: part, Offset: offset, Err: err}
}

// fault is one way in which a topic or filter can be wrong. It keeps the errors
// that it made, one for each last byte of an offset, so that refusing what a peer
// sends over and over does not cost more than accepting it: an allocation is
// dearer than a whole parse.
type fault struct {
	part  string
	limit int
	err   error
	kept  [256]atomic.Pointer[SyntaxError]
}

func newFault(part string, limit int, err error) *fault {
	return &fault{part: part, limit: limit, err: err}
}

// at returns the fault as an error, which is never nil.
func (f *fault) at(offset int) *SyntaxError {
	if e := f.keptAt(offset); e != nil {
		return e
	}
	return f.errorAt(offset)
}

// keptAt returns the error if it is kept, else nil. Unlike at it is small enough to be
// inlined, for where refusing has no time for a call.
func (f *fault) keptAt(offset int) *SyntaxError {
	e := f.kept[uint8(offset)].Load()
	if e == nil || e.Offset != offset {
		return nil
	}
	return e
}

func (f *fault) errorAt(offset int) *SyntaxError {
	e := &SyntaxError{Part: f.part, Offset: offset, Limit: f.limit, Err: f.err}
	f.kept[uint8(offset)].Store(e)
	return e
}

var (
	unknownTopic    = newFault("topic", 0, ErrUnknown)
	unknownFilter   = newFault("filter", 0, ErrUnknown)
	emptyTopic      = newFault("topic", 0, ErrEmpty)
	emptyFilter     = newFault("filter", 0, ErrEmpty)
	shortTopic      = newFault("topic", 0, ErrTruncated)
	longTopic       = newFault("topic", maxText, ErrTooLong)
	longFilter      = newFault("filter", maxText, ErrTooLong)
	notUTF8         = newFault("topic", 0, ErrUTF8)
	hasNUL          = newFault("topic", 0, ErrNUL)
	hasWildcard     = newFault("topic", 0, ErrWildcard)
	filterNotUTF8   = newFault("filter", 0, ErrUTF8)
	filterHasNUL    = newFault("filter", 0, ErrNUL)
	emptyDevice     = newFault("device id", 0, ErrEmpty)
	wildcardDevice  = newFault("device id", 0, ErrWildcard)
	emptyModule     = newFault("module id", 0, ErrEmpty)
	wildcardModule  = newFault("module id", 0, ErrWildcard)
	emptyInput      = newFault("input name", 0, ErrEmpty)
	wildcardInput   = newFault("input name", 0, ErrWildcard)
	endlessInput    = newFault("input name", 0, ErrTruncated)
	emptyMethod     = newFault("method name", 0, ErrEmpty)
	wildcardMethod  = newFault("method name", 0, ErrWildcard)
	segmentedMethod = newFault("method name", 0, ErrSegment)
	endlessMethod   = newFault("method name", 0, ErrTruncated)
	badStatus       = newFault("status", math.MaxInt32, ErrNumber)
	endlessStatus   = newFault("status", 0, ErrTruncated)
	noQuery         = newFault("query", 0, ErrMissing)
	noRequestID     = newFault("$rid", 0, ErrMissing)
	noVersion       = newFault("$version", 0, ErrMissing)
	noOperationID   = newFault("operationId", 0, ErrMissing)
)
