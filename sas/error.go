package sas

import (
	"errors"
	"strconv"
	"sync/atomic"
)

// SyntaxError says what of a token or a connection string can't be read, and
// where. It quotes nothing of it. Do not change one: the package hands out the same
// again when a peer repeats its mistake, so that refusing costs no more than accepting.
type SyntaxError struct {
	Part   string // "token", "sig", "connection string", "HostName", ...
	Offset int    // bytes from the start of what was parsed
	Limit  int    // the bound that was crossed; 0 if there is none
	Err    error  // match this: [ErrMalformed], [ErrMissingHostName], ...
}

// Error gives the part, its offset, the cause and the limit, on one line.
func (e *SyntaxError) Error() string {
	if e == nil || e.Err == nil {
		return "sas: no error"
	}
	s := "sas: " + e.Part + " at offset " + strconv.Itoa(e.Offset) + " " + e.Err.Error()
	if e.Limit != 0 {
		s += ", the limit is " + strconv.Itoa(e.Limit)
	}
	return s
}

// Unwrap returns the cause.
func (e *SyntaxError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// ErrTooLong is the cause when a token has more than [MaxToken] bytes, or a
// connection string more than [MaxConnectionString].
var ErrTooLong = errors.New("has too many bytes")

// Causes of a [SyntaxError] of [ParseToken].
var (
	ErrMalformed      = errors.New("is not of the form SharedAccessSignature name=value&name=value")
	ErrTooManyFields  = errors.New("has too many fields")
	ErrDuplicateField = errors.New("stands there twice")
	ErrMissingSR      = errors.New("is missing or empty")
	ErrMissingSig     = errors.New("is missing or empty")
	ErrMissingSE      = errors.New("is missing or empty")
	ErrBadSE          = errors.New("is not a number of seconds")
)

// Causes of a [SyntaxError] of [ParseConnectionString].
var (
	ErrEmpty              = errors.New("is empty")
	ErrNotPairs           = errors.New("does not begin with name=value")
	ErrDuplicateKey       = errors.New("stands there twice")
	ErrEndpointScheme     = errors.New("does not begin with sb://")
	ErrMissingHostName    = errors.New("is missing or empty")
	ErrBadHostName        = errors.New("is not a host name")
	ErrIncomplete         = errors.New("needs DeviceId or SharedAccessKeyName, and DeviceId with ModuleId")
	ErrMixedCredentials   = errors.New("has more than one kind of credential")
	ErrMissingCredentials = errors.New("has no credential")
	ErrBadSignature       = errors.New("is not a token") // wraps the error of [ParseToken], too
)

// fault is one of the ways in which a token can be wrong.
type fault uint8

const (
	faultLength fault = iota
	faultForm
	faultFields
	faultDuplicate
	faultSR
	faultSig
	faultSE
	faultSeconds
	faults // how many there are
)

var faultText = [faults]SyntaxError{
	faultLength:    {Part: "token", Limit: MaxToken, Err: ErrTooLong},
	faultForm:      {Part: "token", Err: ErrMalformed},
	faultFields:    {Part: "token", Limit: maxFields, Err: ErrTooManyFields},
	faultDuplicate: {Part: "field", Err: ErrDuplicateField},
	faultSR:        {Part: "sr", Err: ErrMissingSR},
	faultSig:       {Part: "sig", Err: ErrMissingSig},
	faultSE:        {Part: "se", Err: ErrMissingSE},
	faultSeconds:   {Part: "se", Err: ErrBadSE},
}

// kept holds the errors that were made of each kind, one for each last byte of an
// offset: a peer that sends the same malformed token again gets the same error again.
var kept [faults][256]atomic.Pointer[SyntaxError]

func refuse(f fault, offset int) error {
	if e := kept[f][uint8(offset)].Load(); e != nil && e.Offset == offset {
		return e
	}
	e := faultText[f]
	e.Offset = offset
	kept[f][uint8(offset)].Store(&e)
	return &e
}
