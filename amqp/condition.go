package amqp

import (
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// Condition is the symbol that an AMQP error is known by. It is an error, for use with
// [errors.Is]: what [Error.Hubwire] returns matches its condition.
type Condition string

// Error returns the symbol.
func (c Condition) Error() string { return string(c) }

// The conditions that IoT Hub, Event Hubs or the SDKs use.
// Source: OASIS AMQP 1.0 part 2 section 2.8; spec/amqp.md 7.1.
const (
	InternalError         = Condition(amqp10.InternalError)
	NotFound              = Condition(amqp10.NotFound)
	UnauthorizedAccess    = Condition(amqp10.UnauthorizedAccess)
	DecodeError           = Condition(amqp10.DecodeError)
	ResourceLimitExceeded = Condition(amqp10.ResourceLimitExceeded)
	NotAllowed            = Condition(amqp10.NotAllowed)
	InvalidField          = Condition(amqp10.InvalidField)
	NotImplemented        = Condition(amqp10.NotImplemented)
	ResourceLocked        = Condition(amqp10.ResourceLocked)
	PreconditionFailed    = Condition(amqp10.PreconditionFailed)
	ResourceDeleted       = Condition(amqp10.ResourceDeleted)
	IllegalState          = Condition(amqp10.IllegalState)
	FrameSizeTooSmall     = Condition(amqp10.FrameSizeTooSmall)

	ConnectionForced   = Condition(amqp10.ConnectionForced)
	FramingError       = Condition(amqp10.FramingError)
	ConnectionRedirect = Condition(amqp10.ConnectionRedirect)

	WindowViolation  = Condition(amqp10.WindowViolation)
	ErrantLink       = Condition(amqp10.ErrantLink)
	HandleInUse      = Condition(amqp10.HandleInUse)
	UnattachedHandle = Condition(amqp10.UnattachedHandle)

	DetachForced          = Condition(amqp10.DetachForced) // the hub is busy or goes
	TransferLimitExceeded = Condition(amqp10.TransferLimitExceeded)
	MessageSizeExceeded   = Condition(amqp10.MessageSizeExceeded)
	LinkRedirect          = Condition(amqp10.LinkRedirect)
	Stolen                = Condition(amqp10.Stolen) // another connection, or reader, took over

	ArgumentError             Condition = "com.microsoft:argument-error"
	ArgumentOutOfRange        Condition = "com.microsoft:argument-out-of-range"
	HubNotFound               Condition = "com.microsoft:iot-hub-not-found-error"
	HubSuspended              Condition = "com.microsoft:iot-hub-suspended"
	QuotaExceeded             Condition = "com.microsoft:quota-exceeded"
	DeviceAlreadyExists       Condition = "com.microsoft:device-already-exists"
	HubPreconditionFailed     Condition = "com.microsoft:precondition-failed"
	MessageLockLost           Condition = "com.microsoft:message-lock-lost"
	DeviceContainerThrottled  Condition = "com.microsoft:device-container-throttled"
	Timeout                   Condition = "com.microsoft:timeout"
	LinkCreationConflict      Condition = "com.microsoft:link-creation-conflict"
	ServerBusy                Condition = "com.microsoft:server-busy"
	OperationCancelled        Condition = "com.microsoft:operation-cancelled"
	EntityDisabled            Condition = "com.microsoft:entity-disabled"
	InvalidLinkPropertyFormat Condition = "com.microsoft:invalid-link-property-format"
)

// conditionOf are the conditions of the codes that have not that of their status.
var conditionOf = map[hubwire.Code]Condition{
	hubwire.InvalidOperation:          NotAllowed,
	hubwire.RequestCanceled:           OperationCancelled,
	hubwire.RequestTimedOut:           Timeout,
	hubwire.ConnectionClosedOnNew:     Stolen,
	hubwire.ConnectionClosedOnFault:   ConnectionForced,
	hubwire.ConnectionRejectedOnFault: ConnectionForced,
	hubwire.FormatError:               InvalidField,
	hubwire.DeserializationError:      DecodeError,

	hubwire.HubNotFound: HubNotFound,

	hubwire.HubSuspended:                        HubSuspended,
	hubwire.QuotaExceeded:                       ResourceLimitExceeded,
	hubwire.JobQuotaExceeded:                    ResourceLimitExceeded,
	hubwire.QueueDepthExceeded:                  ResourceLimitExceeded,
	hubwire.QueueSizeExceeded:                   ResourceLimitExceeded,
	hubwire.MaxCBSTokenExceeded:                 ResourceLimitExceeded,
	hubwire.MaxActiveFileUploadExceeded:         ResourceLimitExceeded,
	hubwire.ModelMaxPropertiesExceeded:          ResourceLimitExceeded,
	hubwire.ModelMaxIndexablePropertiesExceeded: ResourceLimitExceeded,
	hubwire.MaxInflightMethodExceeded:           ResourceLimitExceeded,
	hubwire.DeviceDisabled:                      UnauthorizedAccess,
	hubwire.InvalidMessageExpiryTime:            ArgumentError,

	hubwire.HubFailingOver:           DetachForced,
	hubwire.FeatureNotSupported:      NotImplemented,
	hubwire.ConnectionClosedRemotely: ConnectionForced,

	hubwire.DeviceAlreadyExists:  DeviceAlreadyExists,
	hubwire.LinkCreationConflict: LinkCreationConflict,
	hubwire.DeviceLocked:         ResourceLocked,

	hubwire.MessageLockLost: MessageLockLost,

	hubwire.JobCancelled:      OperationCancelled,
	hubwire.GenericTimeout:    Timeout,
	hubwire.PartitionNotFound: ArgumentOutOfRange,
	hubwire.ServerBusy:        ServerBusy,
}

// ConditionOf returns the condition that a hub refuses with for code: that of part 7.1 of
// spec/amqp.md for the codes in it, for others that of their kind, and [InternalError] for
// 0 and what is no code.
func ConditionOf(code hubwire.Code) Condition {
	if c, ok := conditionOf[code]; ok {
		return c
	}
	switch code.Status() {
	case 400:
		return ArgumentError
	case 401:
		return UnauthorizedAccess
	case 403, 405, 409:
		return NotAllowed
	case 404:
		return NotFound
	case 412:
		return HubPreconditionFailed
	case 413:
		return MessageSizeExceeded
	case 415:
		return NotImplemented
	case 429:
		return DeviceContainerThrottled
	case 499:
		return OperationCancelled
	case 503:
		return DetachForced
	case 504:
		return Timeout
	}
	return InternalError
}

// meaning is what a client makes of a condition that comes without a code.
type meaning struct {
	code      hubwire.Code // 0 for what is no doing of IoT Hub's
	retryable bool
}

// meanings has the conditions with their class of spec/amqp.md 7.3. Those of the protocol
// alone, which mean that one of the two ends has a bug or that their connection is
// over, have no code.
var meanings = map[Condition]meaning{
	InternalError:         {hubwire.ServerError, true},
	NotFound:              {hubwire.DeviceNotFound, false},
	UnauthorizedAccess:    {hubwire.Unauthorized, false},
	DecodeError:           {hubwire.DeserializationError, false},
	ResourceLimitExceeded: {hubwire.QuotaExceeded, true},
	NotAllowed:            {hubwire.InvalidOperation, false},
	InvalidField:          {hubwire.FormatError, false},
	NotImplemented:        {hubwire.FeatureNotSupported, false},
	ResourceLocked:        {hubwire.DeviceLocked, true},
	PreconditionFailed:    {hubwire.PreconditionFailed, false},
	ResourceDeleted:       {hubwire.DeviceNotFound, false},
	IllegalState:          {0, false},
	FrameSizeTooSmall:     {0, false},

	ConnectionForced:   {hubwire.ConnectionClosedRemotely, true},
	FramingError:       {0, true},
	ConnectionRedirect: {0, true},
	WindowViolation:    {0, true},
	ErrantLink:         {0, true},
	HandleInUse:        {0, true},
	UnattachedHandle:   {0, true},

	DetachForced:          {hubwire.ServiceUnavailable, true},
	TransferLimitExceeded: {0, true},
	MessageSizeExceeded:   {hubwire.MessageTooLarge, false},
	LinkRedirect:          {0, true},
	Stolen:                {hubwire.ConnectionClosedOnNew, true},

	ArgumentError:             {hubwire.ArgumentInvalid, false},
	ArgumentOutOfRange:        {hubwire.ArgumentInvalid, false},
	InvalidLinkPropertyFormat: {hubwire.ArgumentInvalid, false},
	HubNotFound:               {hubwire.HubNotFound, false},
	HubSuspended:              {hubwire.HubSuspended, false},
	QuotaExceeded:             {hubwire.QuotaExceeded, true},
	DeviceAlreadyExists:       {hubwire.DeviceAlreadyExists, false},
	HubPreconditionFailed:     {hubwire.PreconditionFailed, false},
	MessageLockLost:           {hubwire.MessageLockLost, false},
	DeviceContainerThrottled:  {hubwire.Throttled, true},
	Timeout:                   {hubwire.GenericTimeout, true},
	LinkCreationConflict:      {hubwire.LinkCreationConflict, true},
	ServerBusy:                {hubwire.ServerBusy, true},
	OperationCancelled:        {hubwire.RequestCanceled, true},
	EntityDisabled:            {hubwire.ServiceUnavailable, false},
}

// Code returns the code that c means where no other is said, or 0 when c is unknown or of
// the protocol alone. Several codes share a condition, so at the other end another may have
// been meant: [Error.Hubwire] looks at the description first.
func (c Condition) Code() hubwire.Code { return meanings[c].code }

// Retryable reports whether what failed with c can succeed later, perhaps over another link
// or connection. An unknown condition is not.
// Source: spec/amqp.md 7.3.
func (c Condition) Retryable() bool { return meanings[c].retryable }
