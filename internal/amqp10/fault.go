package amqp10

import (
	"errors"
	"strconv"
	"sync/atomic"
)

// What can be wrong with bytes: a [*SyntaxError] wraps one of these.
var (
	ErrTruncated  = errors.New("ends too early")
	ErrTrailing   = errors.New("is followed by bytes that belong to nothing")
	ErrCode       = errors.New("no such format code")
	ErrType       = errors.New("is of another type")
	ErrRange      = errors.New("value does not fit the type")
	ErrMissing    = errors.New("is null and must not be")
	ErrCount      = errors.New("count does not fit the size")
	ErrDepth      = errors.New("is nested too deeply")
	ErrDescriptor = errors.New("is not described as what is due here")
	ErrFrame      = errors.New("frame header is wrong")       // a peer is told [FramingError]
	ErrTooLarge   = errors.New("frame is larger than agreed") // a peer is told [FramingError]
	ErrProtocol   = errors.New("not the protocol header")
)

// SyntaxError says what is wrong with bytes, and where.
//
// It is shared between calls that find the same fault: do not change it.
type SyntaxError struct {
	What   Descriptor // what was read, such as [DescAttach]; 0 for a value or a frame
	Field  int        // which of its fields, from 1; 0 for what is none
	Offset int        // bytes from the start of what was given to the fault
	Limit  int        // the bound that was crossed; 0 if there is none
	Err    error      // match this: [ErrTruncated], [ErrType], ...
}

// Error gives what, field, offset, fault and limit, on one line.
func (e *SyntaxError) Error() string {
	if e == nil || e.Err == nil {
		return "amqp10: no error"
	}
	s := "amqp10: "
	if e.What != 0 {
		s += e.What.String() + ": "
	}
	if e.Field != 0 {
		s += "field " + strconv.Itoa(e.Field) + " "
	}
	s += "at offset " + strconv.Itoa(e.Offset) + ": " + e.Err.Error()
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

// fault is one way in which bytes can be wrong. The zero fault is none.
type fault uint8

const (
	faultTruncated fault = iota + 1
	faultTrailing
	faultCode
	faultType
	faultRange
	faultMissing
	faultCount
	faultDepth
	faultDescriptor
	faultFrame
	faultTooLarge
	faultProtocol
)

var faults = [...]error{
	faultTruncated: ErrTruncated, faultTrailing: ErrTrailing, faultCode: ErrCode, faultType: ErrType,
	faultRange: ErrRange, faultMissing: ErrMissing, faultCount: ErrCount, faultDepth: ErrDepth,
	faultDescriptor: ErrDescriptor, faultFrame: ErrFrame, faultTooLarge: ErrTooLarge, faultProtocol: ErrProtocol,
}

// sharedErrors keeps errors for reuse, so that refusing is not dearer than accepting. An error is
// a pure function of its five values, so who else got the same one does not matter. Slots are
// overwritten, never added: memory is bounded.
var sharedErrors [512]atomic.Pointer[SyntaxError]

// refuse returns the error for fault f.
func refuse(what Descriptor, field int, f fault, offset, limit int) error {
	slot := &sharedErrors[(uint(offset)*31+uint(what)*7+uint(field)*3+uint(f))%uint(len(sharedErrors))]
	want := SyntaxError{What: what, Field: field, Offset: offset, Limit: limit, Err: faults[f]}
	if e := slot.Load(); e != nil && *e == want {
		return e
	}
	kept := want
	slot.Store(&kept)
	return &kept
}
