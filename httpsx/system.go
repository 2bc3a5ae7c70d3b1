package httpsx

import (
	"time"

	"github.com/hubwire/hubwire"
)

// appPrefix stands in front of the name of an application property.
const appPrefix = "iothub-app-"

// system is a system property of a message as HTTPS names it. The zero system is none.
type system uint8

const (
	sysMessageID system = iota + 1
	sysCorrelationID
	sysUserID
	sysTo
	sysContentType
	sysContentEncoding
	sysCreationTime
	sysExpiry
	sysAck
	sysComponent
	sysInterfaceID
	sysSchema
	sysOutput
	sysDiagnosticID
	sysDiagnosticContext
	systems // how many there are, and one
)

// systemHeaders are the names that we write: those of most SDKs, in lower case as they have them.
var systemHeaders = [systems]string{
	sysMessageID:         "iothub-messageid",
	sysCorrelationID:     "iothub-correlationid",
	sysUserID:            "iothub-userid",
	sysTo:                "iothub-to",
	sysContentType:       "iothub-contenttype",
	sysContentEncoding:   "iothub-contentencoding",
	sysCreationTime:      "iothub-creationtimeutc",
	sysExpiry:            "iothub-expiry",
	sysAck:               "iothub-ack",
	sysComponent:         "dt-subject",
	sysInterfaceID:       "iothub-interface-id",
	sysSchema:            "iothub-messageschema",
	sysOutput:            "iothub-outputname",
	sysDiagnosticID:      "iothub-diag-id",
	sysDiagnosticContext: "diag-correlation-context",
}

// longestHeader is the length of the longest name that systemOf knows.
const longestHeader = len("iothub-creation-time-utc")

// systemOf returns the system property that a header or a member of a batch's
// properties names, in any case, or 0.
func systemOf(name string) system {
	if len(name) > longestHeader || !beginsLikeOne(name) {
		return 0
	}
	var room [longestHeader]byte
	switch string(appendLower(room[:0], name)) {
	case "iothub-messageid":
		return sysMessageID
	case "iothub-correlationid":
		return sysCorrelationID
	case "iothub-userid":
		return sysUserID
	case "iothub-to":
		return sysTo
	case "iothub-contenttype", "contenttype": // to the device the short one
		return sysContentType
	case "iothub-contentencoding", "contentencoding":
		return sysContentEncoding
	case "iothub-creationtimeutc", "iothub-creation-time-utc": // .NET; Java
		return sysCreationTime
	case "iothub-expiry":
		return sysExpiry
	case "iothub-ack":
		return sysAck
	case "dt-subject":
		return sysComponent
	case "iothub-interface-id":
		return sysInterfaceID
	case "iothub-messageschema":
		return sysSchema
	case "iothub-outputname":
		return sysOutput
	case "iothub-diag-id":
		return sysDiagnosticID
	case "diag-correlation-context":
		return sysDiagnosticContext
	}
	return 0
}

// beginsLikeOne rules most other headers out by their first letter.
func beginsLikeOne(name string) bool {
	if name == "" {
		return false
	}
	switch name[0] | 0x20 {
	case 'i', 'd', 'c':
		return true
	}
	return false
}

// appName returns the name of the application property that a header carries, as it stands there.
func appName(header string) (name string, ok bool) {
	if len(header) < len(appPrefix) || !equalFold(header[:len(appPrefix)], appPrefix) {
		return "", false
	}
	return header[len(appPrefix):], true
}

// appendLower appends s with its ASCII letters in lower case.
func appendLower(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// textField returns the field of m that holds s, or nil if that is no text.
func textField(m *hubwire.Message, s system) *string {
	switch s {
	case sysMessageID:
		return &m.ID
	case sysCorrelationID:
		return &m.CorrelationID
	case sysUserID:
		return &m.UserID
	case sysTo:
		return &m.To
	case sysContentType:
		return &m.ContentType
	case sysContentEncoding:
		return &m.ContentEncoding
	case sysAck:
		return (*string)(&m.Ack)
	case sysComponent:
		return &m.Component
	case sysInterfaceID:
		return &m.InterfaceID
	case sysSchema:
		return &m.Schema
	case sysOutput:
		return &m.Output
	case sysDiagnosticID:
		return &m.DiagnosticID
	case sysDiagnosticContext:
		return &m.DiagnosticContext
	}
	return nil
}

// timeField returns the field of m that holds s, or nil if that is no time.
func timeField(m *hubwire.Message, s system) *time.Time {
	switch s {
	case sysCreationTime:
		return &m.CreationTime
	case sysExpiry:
		return &m.Expiry
	}
	return nil
}
