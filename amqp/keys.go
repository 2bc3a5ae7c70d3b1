package amqp

// Keys of message annotations, with the type of what they have. They are symbols.
// Source: spec/amqp.md 4.4, 4.6, 4.7 and 6.4.
const (
	KeyEnqueuedTime   = "iothub-enqueuedtime"         // timestamp
	KeyDeliveryCount  = "iothub-deliverycount"        // ubyte: how often it was delivered before
	KeyLockToken      = "x-opt-lock-token"            // string
	KeySequenceNumber = "x-opt-sequence-number"       // ulong to a device, long in an event
	KeyInputName      = "x-opt-input-name"            // string
	KeyDeviceID       = "iothub-connection-device-id" // string
	KeyModuleID       = "iothub-connection-module-id" // string

	KeyInterfaceID       = "iothub-interface-id" // string
	KeyComponent         = "dt-subject"          // string
	KeyDiagnosticID      = "Diagnostic-Id"       // string
	KeyDiagnosticContext = "Correlation-Context" // string

	KeyAuthMethod     = "iothub-connection-auth-method"        // string, a JSON object
	KeyGenerationID   = "iothub-connection-auth-generation-id" // string
	KeyMessageSource  = "iothub-message-source"                // string
	KeyModelID        = "dt-dataschema"                        // string
	KeyOffset         = "x-opt-offset"                         // string
	KeyStoredTime     = "x-opt-enqueued-time"                  // timestamp
	KeyPartitionKey   = "x-opt-partition-key"                  // string
	KeyTwinOperation  = "operation"                            // string
	KeyTwinResource   = "resource"                             // string
	KeyTwinVersion    = "version"                              // long
	KeyTwinStatus     = "status"                               // int
	keyLegacyEnqueued = "x-opt-enqueuedtimeutc"                // in filters only
)

// Names of application properties that stand for system properties, or for what a direct
// method has. They are strings, and so are their values but for that of NameMethodStatus.
const (
	NameCreationTime = "iothub-creation-time-utc"
	NameSchema       = "iothub-message-schema"
	NameOutput       = "iothub-outputname"
	NameAck          = "iothub-ack"
	NameMethod       = "IoThub-methodname"
	NameMethodStatus = "IoThub-status" // int
)

// Keys of link properties, with the type of what they have. They are symbols.
// Source: spec/amqp.md 4.3 and 6.3.
const (
	LinkClientVersion = "com.microsoft:client-version"         // string
	LinkAPIVersion    = "com.microsoft:api-version"            // string
	LinkChannel       = "com.microsoft:channel-correlation-id" // string
	LinkModelID       = "com.microsoft:model-id"               // string
	LinkAuthChain     = "com.microsoft:auth-chain"             // string
	LinkTimeout       = "com.microsoft:timeout"                // uint or double, milliseconds
	LinkEpoch         = "com.microsoft:epoch"                  // long
	LinkReceiverName  = "com.microsoft:receiver-name"          // string
)

// RuntimeMetric is the desired capability of a receiver of events that wants delivery
// annotations about the partition with each of them.
const RuntimeMetric = "com.microsoft:enable-receiver-runtime-metric"

// BatchFormat is the message-format of a transfer whose message is nothing but data sections,
// each of which is a whole message (observed: every message of the C SDK). [Message.Sections]
// gives them; [AppendData] writes one.
const BatchFormat uint32 = 0x80013700
