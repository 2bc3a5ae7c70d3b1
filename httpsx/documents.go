package httpsx

import (
	"encoding/json"
	"strings"

	"github.com/hubwire/hubwire"
)

// MaxQuery is the longest text of a query, in characters.
const MaxQuery = 8192

// QueryText is the body of [Query].
type QueryText struct {
	Query string `json:"query"` // "SELECT * FROM devices"
}

// ItemType is what the rows of a query are, in the header x-ms-item-type. The .NET SDK wants its
// case as it is here.
type ItemType string

// The item types.
const (
	ItemTwin      ItemType = "Twin"        // of [Twin], or with a module id of a module's
	ItemRaw       ItemType = "Raw"         // whatever the query selects
	ItemDeviceJob ItemType = "DeviceJob"   // of [DeviceJob]
	ItemJob       ItemType = "JobResponse" // of [Job]
)

// Rows are those of a page of a query, as they are on the wire.
type Rows []json.RawMessage

func (rs Rows) append(dst []byte, _ bool) []byte {
	dst = append(dst, '[')
	for i, r := range rs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, r...)
	}
	return append(dst, ']')
}

// PurgeResult is the answer of [PurgeC2D].
type PurgeResult struct {
	Total    int    `json:"totalMessagesPurged"` // messages that were removed
	DeviceID string `json:"deviceId"`            // whose they were
	ModuleID string `json:"moduleId"`            // empty, on the wire null, for a device
}

func (p *PurgeResult) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.int("totalMessagesPurged", int64(p.Total))
	o.str("deviceId", p.DeviceID)
	o.strOrNull("moduleId", p.ModuleID)
	return o.close()
}

// FeedbackType is the content type of a batch of feedback.
const FeedbackType = "application/vnd.microsoft.iothub.feedback.json"

// FeedbackRecord says what became of a cloud-to-device message. The answer of [ReceiveFeedback] is
// an array of them, its ETag the lock token to complete or abandon it with.
// Source: IoT Hub developer guide, "Send cloud-to-device messages", message feedback.
type FeedbackRecord struct {
	OriginalMessageID  string         `json:"originalMessageId"`  // of the message that was sent
	Enqueued           Time           `json:"enqueuedTimeUtc"`    // when it came to what it did
	Status             FeedbackStatus `json:"statusCode"`         // what became of it
	Description        string         `json:"description"`        // the same, for people
	DeviceID           string         `json:"deviceId"`           // who it was for
	DeviceGenerationID string         `json:"deviceGenerationId"` // another one when a deleted id is registered again
}

// FeedbackStatus is what became of a cloud-to-device message. Compare with [FeedbackStatus.Is].
type FeedbackStatus string

// The statuses.
const (
	FeedbackSuccess               FeedbackStatus = "Success"
	FeedbackExpired               FeedbackStatus = "Expired"
	FeedbackDeliveryCountExceeded FeedbackStatus = "DeliveryCountExceeded"
	FeedbackRejected              FeedbackStatus = "Rejected"
	FeedbackPurged                FeedbackStatus = "Purged"
)

// Is compares without case.
func (s FeedbackStatus) Is(t FeedbackStatus) bool { return strings.EqualFold(string(s), string(t)) }

// FileNotification says that a device has uploaded a file. It goes over AMQP alone, and has its place
// here beside [FeedbackRecord].
// Source: IoT Hub developer guide, "Upload files with IoT Hub", file upload notifications.
type FileNotification struct {
	DeviceID    string `json:"deviceId"`        // whose file it is
	BlobURI     string `json:"blobUri"`         // without a token
	BlobName    string `json:"blobName"`        // {deviceId}/{name}
	LastUpdated Time   `json:"lastUpdatedTime"` // when the blob was written
	Size        int64  `json:"blobSizeInBytes"` // in bytes
	Enqueued    Time   `json:"enqueuedTimeUtc"` // when the hub made the notification
}

// PatchOperation is a step of the JSON Patch (RFC 6902) that is the body of [PatchDigitalTwin], an
// array of them.
type PatchOperation struct {
	Op    string          `json:"op"`             // "add", "replace" or "remove"
	Path  string          `json:"path"`           // "/property" or "/component/property"
	Value json.RawMessage `json:"value,omitzero"` // nil for remove
}

// JSONPatch is the body of [PatchDigitalTwin].
type JSONPatch []PatchOperation

// Check reports whether p has operations that there are, paths that begin with a slash, and
// values where they belong. The error is an [*hubwire.Error] with code
// [hubwire.InvalidDigitalTwinJSONPatch] or [hubwire.InvalidDigitalTwinPatchPath] that names the step.
func (p JSONPatch) Check() error {
	refuse := func(code hubwire.Code, format string, args ...any) error {
		return refused(PatchDigitalTwin, code, format, args...)
	}
	for i, step := range p {
		switch {
		case step.Op != "add" && step.Op != "replace" && step.Op != "remove":
			return refuse(hubwire.InvalidDigitalTwinJSONPatch, "step %d has the op %.40q, not add, replace or remove", i, step.Op)
		case step.Op != "remove" && step.Value == nil:
			return refuse(hubwire.InvalidDigitalTwinJSONPatch, "step %d has no value", i)
		case len(step.Path) < 2 || step.Path[0] != '/':
			return refuse(hubwire.InvalidDigitalTwinPatchPath, "step %d has the path %.100q, not one such as /property", i, step.Path)
		}
	}
	return nil
}

// ScopeResult is the answer of [ListScope] and its like.
// Source: what edgeHub reads and sends.
type ScopeResult struct {
	Devices      []Device `json:"devices"`          // at most a page of them
	Modules      []Module `json:"modules"`          // with their keys
	Continuation string   `json:"continuationLink"` // a relative URL to get next; empty, on the wire null, at the end
}

func (r *ScopeResult) append(dst []byte, full bool) []byte {
	o := open(dst, full)
	o.doc("devices", Devices(r.Devices))
	o.doc("modules", Modules(r.Modules))
	o.strOrNull("continuationLink", r.Continuation)
	return o.close()
}

// OnBehalfOf is the body of [ListTargetScope] and of the operations that end in OnBehalfOf: what an
// edge device asks for one below it. AuthChain is the way there, "leaf;parent/$edgeHub;root".
type OnBehalfOf struct {
	AuthChain      string  `json:"authChain"`        // the way to the target
	TargetDeviceID string  `json:"targetDeviceId"`   // whom it is about
	TargetModuleID string  `json:"targetModuleId"`   // empty for the device itself
	ModuleID       string  `json:"moduleId"`         // of DeleteModuleOnBehalfOf
	Module         *Module `json:"module"`           // of PutModuleOnBehalfOf
	PageSize       int     `json:"pageSize"`         // at most so many on a page; 0 for the hub's own
	Continuation   string  `json:"continuationLink"` // where the page begins; empty for the first
}

func (b *OnBehalfOf) append(dst []byte, _ bool) []byte {
	o := open(dst, false)
	o.int("pageSize", int64(b.PageSize))
	o.str("continuationLink", b.Continuation)
	o.str("authChain", b.AuthChain)
	o.str("targetDeviceId", b.TargetDeviceID)
	o.str("targetModuleId", b.TargetModuleID)
	o.str("moduleId", b.ModuleID)
	if b.Module != nil {
		o.doc("module", b.Module)
	}
	return o.close()
}
