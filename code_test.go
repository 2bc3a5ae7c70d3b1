package hubwire_test

import (
	"testing"

	"github.com/hubwire/hubwire"
)

// The codes by their numbers, as the service and the official SDKs have them, and
// whether the same call can succeed later.
func TestCodes(t *testing.T) {
	for _, c := range []struct {
		code      hubwire.Code
		number    int
		name      string
		retryable bool
	}{
		{hubwire.InvalidProtocolVersion, 400001, "InvalidProtocolVersion", false},
		{hubwire.InvalidOperation, 400003, "InvalidOperation", false},
		{hubwire.ArgumentInvalid, 400004, "ArgumentInvalid", false},
		{hubwire.ArgumentNull, 400005, "ArgumentNull", false},
		{hubwire.FormatError, 400006, "IotHubFormatError", false},
		{hubwire.DeviceDefinedMultipleTimes, 400011, "DeviceDefinedMultipleTimes", false},
		{hubwire.BulkRegistryOperationFailure, 400013, "BulkRegistryOperationFailure", false},
		{hubwire.ConnectionClosedOnNew, 400027, "ConnectionForcefullyClosedOnNewConnection", true},
		{hubwire.CannotRegisterModuleToModule, 400301, "CannotRegisterModuleToModule", false},
		{hubwire.HubNotFound, 401001, "IotHubNotFound", false},
		{hubwire.UnauthorizedAccess, 401002, "IotHubUnauthorizedAccess", false},
		{hubwire.Unauthorized, 401003, "IotHubUnauthorized", false},
		{hubwire.HubSuspended, 403001, "IotHubSuspended", false},
		{hubwire.QuotaExceeded, 403002, "IotHubQuotaExceeded", true},
		{hubwire.JobQuotaExceeded, 403003, "JobQuotaExceeded", false},
		{hubwire.QueueDepthExceeded, 403004, "DeviceMaximumQueueDepthExceeded", false},
		{hubwire.MaxCBSTokenExceeded, 403005, "IotHubMaxCbsTokenExceeded", false},
		{hubwire.MaxActiveFileUploadExceeded, 403006, "DeviceMaximumActiveFileUploadLimitExceeded", false},
		{hubwire.DeviceDisabled, 403012, "DeviceDisabled", false},
		{hubwire.DeviceNotFound, 404001, "DeviceNotFound", false},
		{hubwire.JobNotFound, 404002, "JobNotFound", false},
		{hubwire.ModuleNotFound, 404010, "ModuleNotFound", false},
		{hubwire.DeviceNotOnline, 404103, "DeviceNotOnline", false},
		{hubwire.ConnectionClosedRemotely, 404104, "DeviceConnectionClosedRemotely", true},
		{hubwire.DeviceAlreadyExists, 409001, "DeviceAlreadyExists", false},
		{hubwire.LinkCreationConflict, 409002, "LinkCreationConflict", false},
		{hubwire.ModuleAlreadyExists, 409301, "ModuleAlreadyExistsOnDevice", false},
		{hubwire.ConfigurationAlreadyExists, 409401, "ConfigurationAlreadyExists", false},
		{hubwire.PreconditionFailed, 412001, "PreconditionFailed", false},
		{hubwire.MessageLockLost, 412002, "DeviceMessageLockLost", false},
		{hubwire.MessageTooLarge, 413001, "MessageTooLarge", false},
		{hubwire.TooManyDevices, 413002, "TooManyDevices", false},
		{hubwire.TooManyModules, 413003, "TooManyModulesOnDevice", false},
		{hubwire.TooManyRequests, 429000, "GenericTooManyRequests", true},
		{hubwire.Throttled, 429001, "ThrottlingException", true},
		{hubwire.ThrottleBacklogLimitExceeded, 429002, "ThrottleBacklogLimitExceeded", true},
		{hubwire.ThrottlingBacklogTimeout, 429003, "ThrottlingBacklogTimeout", true},
		{hubwire.TooManyActiveJobs, 429004, "ThrottlingMaxActiveJobCountExceeded", true},
		{hubwire.DeviceThrottled, 429005, "DeviceThrottlingLimitExceeded", true},
		{hubwire.ServerError, 500001, "ServerError", true},
		{hubwire.ServiceUnavailable, 503001, "ServiceUnavailable", true},
		{hubwire.PartitionNotFound, 503003, "PartitionNotFound", true},
		{hubwire.GatewayTimeout, 504101, "GatewayTimeout", false},
		{0, 0, "", false},
		{503005, 503005, "", true},  // codes that have no constant
		{404301, 404301, "", false}, // say so by their status
	} {
		if int(c.code) != c.number || c.code.Name() != c.name || c.code.Retryable() != c.retryable || c.code.Status() != c.number/1000 {
			t.Errorf("%d %q, retryable %t; want %d %q, %t", int(c.code), c.code.Name(), c.code.Retryable(), c.number, c.name, c.retryable)
		}
	}
}
