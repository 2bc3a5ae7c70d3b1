package httpsx

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// MaxBlobName is the longest name of a blob, in bytes.
const MaxBlobName = 1024

// UploadRequest is the body of [InitUpload].
// Source: IoT Hub developer guide, "Upload files with IoT Hub".
type UploadRequest struct {
	BlobName string `json:"blobName"` // without the device's id, which the hub puts in front
}

// Check reports whether u names a blob: in UTF-8, without control characters, in at most
// [MaxBlobName] bytes. The error is an [*hubwire.Error] with code [hubwire.ArgumentInvalid].
func (u *UploadRequest) Check() error {
	switch {
	case u == nil || u.BlobName == "":
		return refused(InitUpload, hubwire.ArgumentInvalid, "blobName is empty")
	case len(u.BlobName) > MaxBlobName:
		return refused(InitUpload, hubwire.ArgumentInvalid, "blobName has %d bytes, the limit is %d", len(u.BlobName), MaxBlobName)
	case !utf8.ValidString(u.BlobName) || strings.ContainsFunc(u.BlobName, isControl):
		return refused(InitUpload, hubwire.ArgumentInvalid, "blobName is not text")
	}
	return nil
}

func (u *UploadRequest) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.str("blobName", u.BlobName)
	return o.close()
}

// UploadSlot is the answer of [InitUpload]: where the file goes. All members are there.
type UploadSlot struct {
	CorrelationID string     `json:"correlationId"` // Base64; names the upload in [NotifyUpload]
	HostName      string     `json:"hostName"`      // of the account, with a port when it is not 443
	ContainerName string     `json:"containerName"` // of the blob
	BlobName      string     `json:"blobName"`      // {device}/{requested name}
	SASToken      sas.Secret `json:"sasToken"`      // from its question mark; see [Marshal]
}

// URL returns where the file goes, with its token, as a secret:
//
//	https://{host}/{container}/{blob}{token}
//
// The blob's name is percent-encoded but for its slashes.
func (u *UploadSlot) URL() sas.Secret {
	if u == nil {
		return sas.Secret{}
	}
	blob := url.URL{Path: "/" + u.ContainerName + "/" + u.BlobName}
	return sas.NewSecret("https://" + u.HostName + blob.EscapedPath() + u.SASToken.Reveal())
}

// Check reports whether an answer has all its members. The error is an [*hubwire.Error]
// with code [hubwire.DeserializationError], for it is the hub's.
func (u *UploadSlot) Check() error {
	missing := ""
	switch {
	case u == nil || u.CorrelationID == "":
		missing = "correlationId"
	case u.HostName == "":
		missing = "hostName"
	case u.ContainerName == "":
		missing = "containerName"
	case u.BlobName == "":
		missing = "blobName"
	case u.SASToken.IsZero():
		missing = "sasToken"
	default:
		return nil
	}
	e := refused(InitUpload, hubwire.DeserializationError, "the answer: %s is empty", missing)
	e.Outcome = hubwire.Unknown
	return e
}

func (u *UploadSlot) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.str("correlationId", u.CorrelationID)
	o.str("hostName", u.HostName)
	o.str("containerName", u.ContainerName)
	o.str("blobName", u.BlobName)
	o.str("sasToken", u.SASToken.Reveal())
	return o.close()
}

// UploadResult is the body of [NotifyUpload]: how the upload went.
type UploadResult struct {
	CorrelationID string `json:"correlationId"`     // null, or left out, where the path has it
	IsSuccess     bool   `json:"isSuccess"`         // the file is in its place
	StatusCode    int    `json:"statusCode"`        // the account's, mostly; the SDKs also send 0 and -1
	Description   string `json:"statusDescription"` // for people
}

func (u *UploadResult) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.strOrNull("correlationId", u.CorrelationID)
	o.bool("isSuccess", u.IsSuccess)
	o.int("statusCode", int64(u.StatusCode))
	o.str("statusDescription", u.Description)
	return o.close()
}

// ReadUploadResult reads the result of an upload in any of the spellings that the SDKs have.
// correlationID is what the path has ([Target.Name]), or empty:
//
//	POST …/files/notifications        {"correlationId":"MjAy…","isSuccess":true,"statusCode":200,"statusDescription":"OK"}
//	POST …/files/notifications/       the same, from C
//	POST …/files/notifications/MjAy…  {"isSuccess":true,"statusCode":201,"statusDescription":"OK"}, from Node
//	POST …/files/notifications/MjAy…  {"correlationId":null,"isSuccess":false,"statusCode":-1,"statusDescription":""}, from .NET
//
// That of the path counts when there are both. The error is an [*hubwire.Error]: that of [Decode], or
// with code [hubwire.InvalidFileUploadCorrelationID] when there is neither.
func ReadUploadResult(correlationID string, body []byte) (*UploadResult, error) {
	u := new(UploadResult)
	if err := Decode(NotifyUpload, body, u); err != nil {
		return nil, err
	}
	if correlationID != "" {
		u.CorrelationID = correlationID
	}
	if u.CorrelationID == "" {
		return nil, refused(NotifyUpload, hubwire.InvalidFileUploadCorrelationID, "there is no correlationId")
	}
	return u, nil
}
