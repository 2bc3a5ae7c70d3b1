package httpsx_test

import (
	"testing"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	testkit.Zeros(t, map[string]any{
		"Allow":            httpsx.Allow,
		"AppendError":      httpsx.AppendError,
		"Decode":           httpsx.Decode,
		"ErrorName":        httpsx.ErrorName,
		"Marshal":          httpsx.Marshal,
		"Match":            httpsx.Match,
		"NewAnswer":        httpsx.NewAnswer,
		"NewBulkAnswer":    httpsx.NewBulkAnswer,
		"NewErrorAnswer":   httpsx.NewErrorAnswer,
		"NewTime":          httpsx.NewTime,
		"NewTrackingID":    httpsx.NewTrackingID,
		"ParseETag":        httpsx.ParseETag,
		"ParseError":       httpsx.ParseError,
		"ParseRetryAfter":  httpsx.ParseRetryAfter,
		"QuoteETag":        httpsx.QuoteETag,
		"SectionJSON":      httpsx.SectionJSON,
		"ReadAnswer":       httpsx.ReadAnswer,
		"ReadBody":         httpsx.ReadBody,
		"ReadRequest":      httpsx.ReadRequest,
		"CheckProperties":  httpsx.CheckProperties,
		"IsBatch":          httpsx.IsBatch,
		"LockTimeout":      httpsx.LockTimeout,
		"ReadUploadResult": httpsx.ReadUploadResult,
		"ParseBatch":       httpsx.ParseBatch,
		"ParseMessage":     httpsx.ParseMessage,
		"ParseReceived":    httpsx.ParseReceived,
		"SetLockTimeout":   httpsx.SetLockTimeout,
		"SetMessage":       httpsx.SetMessage,
		"SetReceived":      httpsx.SetReceived,
	},
		&httpsx.Answer{}, httpsx.AuthenticationType(""), &httpsx.Batch{}, &httpsx.BatchError{}, &httpsx.UploadRequest{}, &httpsx.UploadResult{}, &httpsx.UploadSlot{}, &httpsx.PropertyError{}, httpsx.BulkCode(0), &httpsx.Configuration{},
		&httpsx.ConfigurationContent{}, &httpsx.Device{}, httpsx.FeedbackStatus(""), &httpsx.ImportDevice{},
		httpsx.ImportDevices{}, &httpsx.ImportExportJob{}, httpsx.ImportMode(""), httpsx.JSONPatch{}, &httpsx.Job{},
		httpsx.JobStatus(""), httpsx.JobType(""), &httpsx.MethodCall{}, &httpsx.MethodResult{}, &httpsx.Module{}, httpsx.Operation(0),
		&httpsx.Request{}, httpsx.Status(""), httpsx.StorageAuthentication(""), httpsx.Time{}, &httpsx.Twin{}, &httpsx.TwinUpdate{},
	)
}
