package httpsx

import "net/http"

// Operation is what a request asks for: one of the constants. The zero Operation is not valid.
type Operation uint8

// The operations of the device endpoint. Each is for a device, or with a module id for a module.
const (
	SendTelemetry Operation = iota + 1
	ReceiveC2D
	CompleteC2D
	RejectC2D // the request of CompleteC2D with "reject" in its query
	AbandonC2D
	InitUpload
	NotifyUpload
)

// The operations of the service API. Those on twins and methods are for a device,
// or with a module id for a module.
const (
	GetDevice Operation = iota + 16
	PutDevice
	DeleteDevice
	ListDevices
	BulkDevices
	GetModule
	PutModule
	DeleteModule
	ListModules
	GetDeviceStatistics
	GetServiceStatistics
	RegenerateKeys

	GetTwin
	PatchTwin
	PutTwin
	Query
	InvokeMethod
	PurgeC2D
	SendC2D // an extension: IoT Hub takes these over AMQP only

	ListJobs
	GetJob
	PutJob
	CancelJob
	CreateImportExport
	ListImportExports
	GetImportExport
	CancelImportExport

	GetConfiguration
	PutConfiguration
	DeleteConfiguration
	ListConfigurations
	TestConfigurationQueries
	ApplyConfiguration

	GetDigitalTwin
	PatchDigitalTwin
	InvokeCommand

	ReceiveFeedback
	CompleteFeedback
	AbandonFeedback

	ListScope             // the identities in the scope of an edge device
	GetInScope            // one of them
	ListTargetScope       // those in the scope of an edge device further down
	GetOnBehalfOf         // of a device or module further down
	PutModuleOnBehalfOf   // of an edge device further down
	GetModuleOnBehalfOf   // the same
	ListModulesOnBehalfOf // the same
	DeleteModuleOnBehalfOf

	lastOperation = DeleteModuleOnBehalfOf
)

// operation is a line of the table: a name for people, method and path, the
// statuses that are a success, of which a server answers with the first, and the
// largest body of a request in bytes, 0 being maxBody.
//
// In a path {device}, {module}, {name} and {component} are the fields of [Target], and
// what stands in brackets is there when the field in it is.
type operation struct {
	name, method, path string
	success            [3]int
	limit              int64
}

const (
	get, put, post, patch, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete

	identityPath = "/devices/{device}[/modules/{module}]"
	twinPath     = "/twins/{device}[/modules/{module}]"
	edgePath     = "/devices/{device}/modules/$edgeHub"
	feedbackPath = "/messages/serviceBound/feedback"
)

// Status lists.
var (
	ok200      = [3]int{200}
	ok200or201 = [3]int{200, 201} // a server never answers 201, which the C and Go clients refuse
	ok204      = [3]int{204}
	ok204or200 = [3]int{204, 200}
	ok200or204 = [3]int{200, 204}
)

// operations is the table. Where two lines fit a request the first counts.
// Source: the REST references "IoT Hub service" and "IoT Hub device", and what the official SDKs send.
var operations = [lastOperation + 1]operation{
	SendTelemetry: {"send", post, identityPath + "/messages/events", [3]int{204, 200, 202}, maxTelemetryBody},
	ReceiveC2D:    {"receive", get, identityPath + "/messages/deviceBound", ok200or204, 0},
	CompleteC2D:   {"complete", del, identityPath + "/messages/deviceBound/{name}", ok204or200, 0},
	RejectC2D:     {"reject", del, identityPath + "/messages/deviceBound/{name}", ok204or200, 0},
	AbandonC2D:    {"abandon", post, identityPath + "/messages/deviceBound/{name}/abandon", ok204or200, 0},
	InitUpload:    {"file upload", post, identityPath + "/files", ok200, 0},
	NotifyUpload:  {"file upload notify", post, identityPath + "/files/notifications[/{name}]", ok204or200, 0},

	GetDevice:            {"device get", get, "/devices/{device}", ok200, 0},
	PutDevice:            {"device put", put, "/devices/{device}", ok200or201, 0},
	DeleteDevice:         {"device delete", del, "/devices/{device}", ok204, 0},
	ListDevices:          {"device list", get, "/devices", ok200, 0},
	BulkDevices:          {"device bulk", post, "/devices", ok200, maxBulkBody},
	GetModule:            {"module get", get, "/devices/{device}/modules/{module}", ok200, 0},
	PutModule:            {"module put", put, "/devices/{device}/modules/{module}", ok200or201, 0},
	DeleteModule:         {"module delete", del, "/devices/{device}/modules/{module}", ok204, 0},
	ListModules:          {"module list", get, "/devices/{device}/modules", ok200, 0},
	GetDeviceStatistics:  {"device statistics", get, "/statistics/devices", ok200, 0},
	GetServiceStatistics: {"service statistics", get, "/statistics/service", ok200, 0},
	RegenerateKeys:       {"key regenerate", post, "/devices/keys/regenerate", [3]int{200, 207}, 0},

	GetTwin:      {"twin get", get, twinPath, ok200, 0},
	PatchTwin:    {"twin patch", patch, twinPath, ok200, 0},
	PutTwin:      {"twin put", put, twinPath, ok200, 0},
	Query:        {"query", post, "/devices/query", ok200, 0},
	InvokeMethod: {"method", post, twinPath + "/methods", ok200, 0},
	PurgeC2D:     {"purge", del, "/devices/{device}/commands", ok200, 0},
	SendC2D:      {"send to device", post, identityPath + "/messages/deviceBound", ok204, maxC2DBody},

	ListJobs:           {"job list", get, "/jobs/v2/query", ok200, 0},
	GetJob:             {"job get", get, "/jobs/v2/{name}", ok200, 0},
	PutJob:             {"job put", put, "/jobs/v2/{name}", ok200, 0},
	CancelJob:          {"job cancel", post, "/jobs/v2/{name}/cancel", ok200, 0},
	CreateImportExport: {"import or export", post, "/jobs/create", ok200, 0},
	ListImportExports:  {"import and export list", get, "/jobs", ok200, 0},
	GetImportExport:    {"import or export get", get, "/jobs/{name}", ok200, 0},
	CancelImportExport: {"import or export cancel", del, "/jobs/{name}", ok204or200, 0},

	GetConfiguration:         {"configuration get", get, "/configurations/{name}", ok200, 0},
	PutConfiguration:         {"configuration put", put, "/configurations/{name}", ok200or201, 0},
	DeleteConfiguration:      {"configuration delete", del, "/configurations/{name}", ok204, 0},
	ListConfigurations:       {"configuration list", get, "/configurations", ok200, 0},
	TestConfigurationQueries: {"configuration test", post, "/configurations/testQueries", ok200, 0},
	ApplyConfiguration:       {"configuration apply", post, "/devices/{device}/applyConfigurationContent", ok204or200, 0},

	GetDigitalTwin:   {"digital twin get", get, "/digitaltwins/{device}", ok200, 0},
	PatchDigitalTwin: {"digital twin patch", patch, "/digitaltwins/{device}", [3]int{202}, 0},
	InvokeCommand:    {"command", post, "/digitaltwins/{device}[/components/{component}]/commands/{name}", ok200, 0},

	ReceiveFeedback:  {"feedback receive", get, feedbackPath, ok200or204, 0},
	CompleteFeedback: {"feedback complete", del, feedbackPath + "/{name}", ok204, 0},
	AbandonFeedback:  {"feedback abandon", post, feedbackPath + "/{name}/abandon", ok204, 0},

	ListScope:              {"scope list", get, edgePath + "/devicesAndModulesInDeviceScope", ok200, 0},
	GetInScope:             {"scope get", get, edgePath + "/deviceAndModuleInDeviceScope", ok200, 0},
	ListTargetScope:        {"target scope list", post, edgePath + "/devicesAndModulesInTargetDeviceScope", ok200, 0},
	GetOnBehalfOf:          {"identity get on behalf", post, edgePath + "/getDeviceAndModuleOnBehalfOf", ok200, 0},
	PutModuleOnBehalfOf:    {"module put on behalf", put, edgePath + "/putModuleOnBehalfOf", ok200or201, 0},
	GetModuleOnBehalfOf:    {"module get on behalf", post, edgePath + "/getModuleOnBehalfOf", ok200, 0},
	ListModulesOnBehalfOf:  {"module list on behalf", post, edgePath + "/getModulesOnTargetDevice", ok200, 0},
	DeleteModuleOnBehalfOf: {"module delete on behalf", post, edgePath + "/deleteModuleOnBehalfOf", ok204or200, 0},
}

// line returns the line of op, which is empty when op is none of the constants.
func (op Operation) line() *operation {
	if op > lastOperation {
		op = 0
	}
	return &operations[op]
}

// String returns the operation's name for people, which is also the Op of its
// errors: "twin get".
func (op Operation) String() string {
	if l := op.line(); l.name != "" {
		return l.name
	}
	return "no operation"
}

// Method returns the HTTP method, or "" when op is none of the constants.
func (op Operation) Method() string { return op.line().method }

// Status returns the status of a server's success, or 0 when op is none of the
// constants. Where there may be nothing to answer with, that is 204: [ReceiveC2D]
// and [ReceiveFeedback] of an empty queue.
func (op Operation) Status() int { return op.line().success[0] }

// Succeeds reports whether status is a success of op, as a client sees it.
func (op Operation) Succeeds(status int) bool {
	for _, s := range op.line().success {
		if s == status && s != 0 {
			return true
		}
	}
	return false
}

// Repeatable reports whether a request can be sent again when nobody knows what
// became of the first: doing it twice is as doing it once. A second delete or a
// conditional write may be answered differently.
func (op Operation) Repeatable() bool {
	switch op.Method() {
	case get, put, del:
		return op != ReceiveC2D && op != ReceiveFeedback // each locks what it takes
	case post:
		switch op {
		case Query, TestConfigurationQueries, ApplyConfiguration, CancelJob,
			ListTargetScope, GetOnBehalfOf, GetModuleOnBehalfOf, ListModulesOnBehalfOf, DeleteModuleOnBehalfOf:
			return true
		}
	}
	return false
}

// Limits of a request's body, in bytes.
const (
	maxBody          = 1 << 20   // the largest is a twin that is sent back whole, with its metadata
	maxBulkBody      = 8 << 20   // 100 identities with their tags and desired properties
	maxTelemetryBody = 256 << 10 // a message, or a batch of them
	maxC2DBody       = 64 << 10
)

// MaxBody returns the largest body that a request may have, in bytes: 256 KiB for
// telemetry, 64 KiB for a message to a device, 8 MiB for bulk, else 1 MiB.
func (op Operation) MaxBody() int64 {
	if l := op.line(); l.limit != 0 {
		return l.limit
	}
	return maxBody
}
