package core

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/hubwire/hubwire"
)

// ErrorDetail is the newer form of the service's errors, the one that twins have over
// MQTT and methods over HTTPS:
//
//	{"errorCode":404103,"trackingId":"…-G:0-TimeStamp:08/24/2018 17:49:33","message":"…","timestampUtc":"2018-08-24T17:49:33.2011570Z"}
//
// Left out: its member info, which the .NET SDK reads only when it is no object.
type ErrorDetail struct {
	ErrorCode    hubwire.Code `json:"errorCode"`
	TrackingID   string       `json:"trackingId"`
	Message      string       `json:"message"`
	TimestampUTC string       `json:"timestampUtc"`
}

// NewErrorDetail returns what a peer is told of e now. The Node SDK takes an answer
// without a truthy errorCode for a success, whatever its status: code 0 becomes ServerError.
func NewErrorDetail(e *hubwire.Error) ErrorDetail {
	now := time.Now().UTC()
	return ErrorDetail{
		ErrorCode:    cmp.Or(e.Code, hubwire.ServerError),
		TrackingID:   newTrackingID(now),
		Message:      cmp.Or(e.Message, "the hub does not say more"), // Node shows it
		TimestampUTC: now.Format("2006-01-02T15:04:05.0000000Z"),
	}
}

func newTrackingID(now time.Time) string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:]) + "-G:0-TimeStamp:" + now.Format("01/02/2006 15:04:05")
}
