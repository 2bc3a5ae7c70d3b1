package hubwire

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Code is an IoT Hub error code: the HTTP status it belongs to, times 1000,
// plus a number of its own. A Code is an error, for use with [errors.Is].
// Source: IoT Hub developer guide, "Understand and resolve IoT Hub error codes", and
// the official SDKs' tables.
type Code int

// The codes, of which each means what its name says; [Code.Name] has the service's own, where that
// differs. The list is what the references print a number of; others occur. Those of the
// Device Provisioning Service are not in it.
const (
	// 400 Bad Request.
	BadRequest                          Code = 400000
	InvalidProtocolVersion              Code = 400001
	InvalidResultCount                  Code = 400002
	InvalidOperation                    Code = 400003
	ArgumentInvalid                     Code = 400004
	ArgumentNull                        Code = 400005
	FormatError                         Code = 400006
	StorageEntitySerializationError     Code = 400007
	BlobContainerValidationError        Code = 400008
	ImportWarningExists                 Code = 400009
	InvalidSchemaVersion                Code = 400010
	DeviceDefinedMultipleTimes          Code = 400011
	DeserializationError                Code = 400012
	BulkRegistryOperationFailure        Code = 400013
	DefaultStorageEndpointNotConfigured Code = 400014 // file upload needs a storage account
	InvalidFileUploadCorrelationID      Code = 400015
	ExpiredFileUploadCorrelationID      Code = 400016
	InvalidStorageEndpoint              Code = 400017
	InvalidMessagingEndpoint            Code = 400018
	InvalidFileUploadCompletionStatus   Code = 400019
	InvalidStorageEndpointOrBlob        Code = 400020
	RequestCanceled                     Code = 400021
	InvalidStorageEndpointProperty      Code = 400022
	ETagDoesNotMatch                    Code = 400023
	RequestTimedOut                     Code = 400024
	UnsupportedOperationOnReplica       Code = 400025
	NullMessage                         Code = 400026
	ConnectionClosedOnNew               Code = 400027 // another connection of the same identity took over
	InvalidDeviceScope                  Code = 400028
	ConnectionClosedOnFault             Code = 400029
	ConnectionRejectedOnFault           Code = 400030
	InvalidEndpointAuthenticationType   Code = 400031
	ManagedIdentityNotEnabled           Code = 400032
	InvalidPolicyKey                    Code = 400035
	BulkRegenerateKeyFailure            Code = 400036
	InvalidRouteTestInput               Code = 400100
	InvalidSourceOnRoute                Code = 400101
	RoutingNotEnabled                   Code = 400102
	InvalidContentEncodingOrType        Code = 400103
	CannotRegisterModuleToModule        Code = 400301
	TenantHubRoutingNotEnabled          Code = 400302
	InvalidConfigurationCondition       Code = 400401
	InvalidConfigurationContent         Code = 400402
	ImmutableConfigurationContent       Code = 400403
	InvalidConfigurationMetricsQuery    Code = 400404
	InvalidPnPInterfaceDefinition       Code = 400501
	InvalidPnPDesired                   Code = 400502
	InvalidPnPReported                  Code = 400503
	InvalidPnPWritableReported          Code = 400504
	InvalidDigitalTwinJSONPatch         Code = 400505
	InvalidDigitalTwinPayload           Code = 400506
	InvalidDigitalTwinPatch             Code = 400507
	InvalidDigitalTwinPatchPath         Code = 400508

	// 401 Unauthorized.
	GenericUnauthorized            Code = 401000
	HubNotFound                    Code = 401001
	UnauthorizedAccess             Code = 401002 // the token is fine, its policy lacks the right
	Unauthorized                   Code = 401003
	ElasticPoolNotFound            Code = 401004
	SystemModuleUnauthorizedAccess Code = 401100

	// 403 Forbidden.
	Forbidden                           Code = 403000
	HubSuspended                        Code = 403001
	QuotaExceeded                       Code = 403002 // the day's messages are used up
	JobQuotaExceeded                    Code = 403003
	QueueDepthExceeded                  Code = 403004 // 50 C2D messages wait for the device
	MaxCBSTokenExceeded                 Code = 403005
	MaxActiveFileUploadExceeded         Code = 403006 // 10 uploads were begun and not notified
	QueueSizeExceeded                   Code = 403007
	RoutingEndpointForbidden            Code = 403008
	InvalidMessageExpiryTime            Code = 403009
	NotAvailableInTier                  Code = 403010
	KeyEncryptionKeyRevoked             Code = 403011
	DeviceDisabled                      Code = 403012
	ModelMaxPropertiesExceeded          Code = 403100
	ModelMaxIndexablePropertiesExceeded Code = 403101
	MaxInflightMethodExceeded           Code = 403800 // too many methods of the device are under way

	// 404 Not Found.
	NotFound                     Code = 404000
	DeviceNotFound               Code = 404001
	JobNotFound                  Code = 404002
	QuotaMetricNotFound          Code = 404004
	SystemPropertyNotFound       Code = 404005
	AMQPAddressNotFound          Code = 404006
	RoutingEndpointNotFound      Code = 404007
	CertificateNotFound          Code = 404008
	ElasticPoolTenantHubNotFound Code = 404009
	ModuleNotFound               Code = 404010
	AzureTableStoreNotFound      Code = 404011
	HubFailingOver               Code = 404012
	FeatureNotSupported          Code = 404013
	DigitalTwinInterfaceNotFound Code = 404014
	QueryStoreClusterNotFound    Code = 404101
	DeviceNotOnline              Code = 404103 // for a direct method: not connected, or without a handler
	ConnectionClosedRemotely     Code = 404104 // keep-alive expired, or the peer went away
	ConfigurationNotFound        Code = 404301
	GroupNotFound                Code = 404302
	DigitalTwinModelNotFound     Code = 404401
	InterfaceNameModelNotFound   Code = 404402

	// 405 Method Not Allowed.
	MethodNotAllowed           Code = 405000
	NotAllowedInCurrentState   Code = 405102
	ImportDevicesNotSupported  Code = 405103
	BulkAddDevicesNotSupported Code = 405104

	// 409 Conflict.
	Conflict                        Code = 409000
	DeviceAlreadyExists             Code = 409001
	LinkCreationConflict            Code = 409002
	CallbackSubscriptionConflict    Code = 409003
	ModelAlreadyExists              Code = 409101
	DeviceLocked                    Code = 409102
	DeviceJobAlreadyExists          Code = 409103
	JobAlreadyExists                Code = 409104
	ModuleAlreadyExists             Code = 409301
	ConfigurationAlreadyExists      Code = 409401
	ConfigurationBeingApplied       Code = 409402
	DigitalTwinModelAlreadyExists   Code = 409501
	DigitalTwinModelOfOtherType     Code = 409502
	InterfaceNameModelAlreadyExists Code = 409503

	// 412 Precondition Failed.
	GenericPreconditionFailed Code = 412000
	PreconditionFailed        Code = 412001 // the ETag or version is not the current one
	MessageLockLost           Code = 412002
	JobRunPreconditionFailed  Code = 412003
	InflightMessagesInLink    Code = 412004

	// 413 Content Too Large.
	RequestTooLarge            Code = 413000
	MessageTooLarge            Code = 413001
	TooManyDevices             Code = 413002
	TooManyModules             Code = 413003
	TooManyConfigurations      Code = 413101
	TooManyDigitalTwinModels   Code = 413201
	TooManyInterfaceNameModels Code = 413202

	// 415 Unsupported Media Type.
	UnsupportedMediaType Code = 415000
	IncompatibleDataType Code = 415101

	// 429 Too Many Requests.
	TooManyRequests              Code = 429000
	Throttled                    Code = 429001
	ThrottleBacklogLimitExceeded Code = 429002
	ThrottlingBacklogTimeout     Code = 429003
	TooManyActiveJobs            Code = 429004
	DeviceThrottled              Code = 429005

	// 499.
	ClientClosedRequest Code = 499000

	// 500 Internal Server Error.
	GenericServerError            Code = 500000
	ServerError                   Code = 500001
	JobCancelled                  Code = 500002
	GenericTimeout                Code = 500008
	InvalidThrottleParameter      Code = 500009
	ModelRepoEndpointError        Code = 500301
	ResolutionError               Code = 500302
	UnableToFetchCredentials      Code = 500401
	UnableToFetchTenantInfo       Code = 500402
	UnableToShareIdentity         Code = 500403
	UnableToExpandDiscoveryInfo   Code = 500501
	UnableToExpandComponentInfo   Code = 500502
	UnableToCompressComponentInfo Code = 500503
	UnableToCompressDiscoveryInfo Code = 500504
	OrphanDiscoveryDocument       Code = 500505

	// 502 Bad Gateway.
	BadGateway Code = 502000 // the device's answer to a method cannot be passed on

	// 503 Service Unavailable.
	GenericServiceUnavailable  Code = 503000
	ServiceUnavailable         Code = 503001
	PartitionNotFound          Code = 503003
	HubActivationFailed        Code = 503004
	ServerBusy                 Code = 503005
	HubRestoring               Code = 503006
	ReceiveLinkOpensThrottled  Code = 503008
	ConnectionUnavailable      Code = 503101
	DeviceUnavailable          Code = 503102
	ConfigurationNotAvailable  Code = 503201
	GroupNotAvailable          Code = 503202
	HostingServiceNotAvailable Code = 503301

	// 504 Gateway Timeout.
	GenericGatewayTimeout Code = 504000
	GatewayTimeout        Code = 504101 // the device did not answer a method in time
)

// Status returns the HTTP status that c belongs to: 404 for 404103, and 0 for 0.
func (c Code) Status() int { return int(c) / 1000 }

// Retryable reports whether what failed with c can succeed later, unchanged:
// throttling, the hub's own trouble and lost connections, not a refusal. A method that timed
// out ([GatewayTimeout]) may have run, so trying that again is not for everyone to decide.
func (c Code) Retryable() bool {
	switch c {
	case QuotaExceeded, MaxInflightMethodExceeded, HubFailingOver, LinkCreationConflict,
		ConnectionClosedOnNew, ConnectionClosedRemotely, ConnectionClosedOnFault, ConnectionRejectedOnFault,
		RequestCanceled, RequestTimedOut:
		return true
	case JobCancelled, InvalidThrottleParameter:
		return false
	}
	s := c.Status()
	return s == 429 || s == 500 || s == 503
}

// Name returns the service's word for c, such as "DeviceNotFound", which HTTPS sends
// in iothub-errorcode, or "" for a code it does not know.
func (c Code) Name() string { return codeNames[c] }

// ParseCode returns the code that the service writes as s: by its name, "DeviceNotFound", or
// in decimal digits. It reports whether s is one that it knows, or the number of one that
// there could be.
func ParseCode(s string) (Code, bool) {
	n, err := strconv.Atoi(s)
	if err != nil {
		c, ok := codesByName()[s]
		return c, ok
	}
	if c := Code(n); c.Status() >= 300 && c.Status() < 600 {
		return c, true
	}
	return 0, false
}

var codesByName = sync.OnceValue(func() map[string]Code {
	m := make(map[string]Code, len(codeNames))
	for c, name := range codeNames {
		m[name] = c
	}
	return m
})

// Error makes c usable with [errors.Is].
func (c Code) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("hubwire: %d %s", int(c), c.Name()), " ")
}
