package blob

import (
	"encoding/xml"
	"fmt"
	"net/http"
)

// fault is an answer that is an error: a status, one of the service's codes, and text for people.
// Source: "Status and error codes" and "Blob service error codes".
type fault struct {
	status  int
	code    string
	message string
	detail  string // of a refused authentication
}

func (f *fault) Error() string { return "blob: " + f.code + ": " + f.message }

// because returns f with a detail.
func (f *fault) because(format string, args ...any) *fault {
	own := *f
	own.detail = fmt.Sprintf(format, args...)
	return &own
}

var (
	errNoAuthentication = &fault{status: http.StatusUnauthorized, code: "NoAuthenticationInformation", message: "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."}
	errAuthentication   = &fault{status: http.StatusForbidden, code: "AuthenticationFailed", message: "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature."}
	errPermission       = &fault{status: http.StatusForbidden, code: "AuthorizationPermissionMismatch", message: "This request is not authorized to perform this operation using this permission."}

	errURI         = &fault{status: http.StatusBadRequest, code: "InvalidUri", message: "The requested URI does not represent any resource on the server."}
	errName        = &fault{status: http.StatusBadRequest, code: "InvalidResourceName", message: "The specified resource name contains invalid characters."}
	errNameLength  = &fault{status: http.StatusBadRequest, code: "OutOfRangeInput", message: "The specified resource name length is not within the permissible limits."}
	errVerb        = &fault{status: http.StatusMethodNotAllowed, code: "UnsupportedHttpVerb", message: "The resource doesn't support specified Http Verb."}
	errQuery       = &fault{status: http.StatusBadRequest, code: "InvalidQueryParameterValue", message: "Value for one of the query parameters specified in the request URI is invalid."}
	errHeader      = &fault{status: http.StatusBadRequest, code: "InvalidHeaderValue", message: "The value for one of the HTTP headers is not in the correct format."}
	errUnsupported = &fault{status: http.StatusBadRequest, code: "UnsupportedHeader", message: "One of the HTTP headers specified in the request is not supported."}
	errNoBlobType  = &fault{status: http.StatusBadRequest, code: "MissingRequiredHeader", message: "An HTTP header that's mandatory for this request is not specified."}
	errNoLength    = &fault{status: http.StatusLengthRequired, code: "MissingContentLengthHeader", message: "Content-Length HTTP header is missing"}
	errTooLarge    = &fault{status: http.StatusRequestEntityTooLarge, code: "RequestBodyTooLarge", message: "The request body is too large and exceeds the maximum permissible limit."}
	errBody        = &fault{status: http.StatusBadRequest, code: "IncompleteBody", message: "The request body did not arrive."}
	errMD5         = &fault{status: http.StatusBadRequest, code: "InvalidMd5", message: "The MD5 value specified in the request is invalid. MD5 value must be 128 bits and base64 encoded."}
	errMD5Mismatch = &fault{status: http.StatusBadRequest, code: "Md5Mismatch", message: "The MD5 value specified in the request did not match with the MD5 value calculated by the server."}
	errCRCMismatch = &fault{status: http.StatusBadRequest, code: "Crc64Mismatch", message: "The CRC64 value specified in the request did not match with the CRC64 value calculated by the server."}
	errMetadata    = &fault{status: http.StatusBadRequest, code: "MetadataTooLarge", message: "The metadata specified exceeds the maximum permissible limit."}
	errBlock       = &fault{status: http.StatusBadRequest, code: "InvalidBlobOrBlock", message: "The specified blob or block content is invalid."}
	errBlockList   = &fault{status: http.StatusBadRequest, code: "InvalidBlockList", message: "The specified block list is invalid."}
	errListTooLong = &fault{status: http.StatusBadRequest, code: "BlockListTooLong", message: "The block list may not contain more than 50,000 blocks."}
	errTooMany     = &fault{status: http.StatusConflict, code: "BlockCountExceedsLimit", message: "The uncommitted block count cannot exceed the maximum limit of 100,000 blocks."}
	errXML         = &fault{status: http.StatusBadRequest, code: "InvalidXmlDocument", message: "XML specified is not syntactically valid."}
	errNoContainer = &fault{status: http.StatusNotFound, code: "ContainerNotFound", message: "The specified container does not exist."}
	errNoBlob      = &fault{status: http.StatusNotFound, code: "BlobNotFound", message: "The specified blob does not exist."}
	errExists      = &fault{status: http.StatusConflict, code: "BlobAlreadyExists", message: "The specified blob already exists."}
	errCondition   = &fault{status: http.StatusPreconditionFailed, code: "ConditionNotMet", message: "The condition specified using HTTP conditional header(s) is not met."}
	errNotModified = &fault{status: http.StatusNotModified, code: "ConditionNotMet"}
	errRange       = &fault{status: http.StatusRequestedRangeNotSatisfiable, code: "InvalidRange", message: "The range specified is invalid for the current size of the resource."}
	errInternal    = &fault{status: http.StatusInternalServerError, code: "InternalError", message: "The server encountered an internal error. Please retry the request."}
	errFull        = &fault{status: http.StatusInsufficientStorage, code: "AccountIsFull", message: "The hub's own storage has no room for more."}
	errClosed      = &fault{status: http.StatusServiceUnavailable, code: "ServerBusy", message: "The hub is closed."}
)

// body is the XML of an error.
func (f *fault) body() []byte {
	b, _ := xml.Marshal(struct { // strings: cannot fail
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
		Detail  string `xml:"AuthenticationErrorDetail,omitempty"`
	}{Code: f.code, Message: f.message, Detail: f.detail})
	return append([]byte(xml.Header), b...)
}
