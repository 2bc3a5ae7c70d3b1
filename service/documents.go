package service

import "github.com/hubwire/hubwire/httpsx"

// The documents of the REST API, of package httpsx, under the names that they have here.
type (
	Device             = httpsx.Device
	Module             = httpsx.Module
	Authentication     = httpsx.Authentication
	AuthenticationType = httpsx.AuthenticationType
	SymmetricKey       = httpsx.SymmetricKey
	Thumbprints        = httpsx.Thumbprints
	Capabilities       = httpsx.Capabilities
	Status             = httpsx.Status
	ConnectionState    = httpsx.ConnectionState
	DeviceStatistics   = httpsx.DeviceStatistics
	ServiceStatistics  = httpsx.ServiceStatistics
	Time               = httpsx.Time

	ImportDevice    = httpsx.ImportDevice
	ImportMode      = httpsx.ImportMode
	BulkResult      = httpsx.BulkResult
	BulkError       = httpsx.BulkError
	BulkWarning     = httpsx.BulkWarning
	PolicyKey       = httpsx.PolicyKey
	RegeneratedKeys = httpsx.RegeneratedKeys

	Twin       = httpsx.Twin
	TwinUpdate = httpsx.TwinUpdate
	ItemType   = httpsx.ItemType

	Job             = httpsx.Job
	JobType         = httpsx.JobType
	JobStatus       = httpsx.JobStatus
	JobStatistics   = httpsx.JobStatistics
	DeviceJob       = httpsx.DeviceJob
	ImportExportJob = httpsx.ImportExportJob

	Configuration            = httpsx.Configuration
	ConfigurationContent     = httpsx.ConfigurationContent
	ConfigurationMetrics     = httpsx.ConfigurationMetrics
	ConfigurationQueries     = httpsx.ConfigurationQueries
	ConfigurationQueryErrors = httpsx.ConfigurationQueryErrors

	FeedbackRecord = httpsx.FeedbackRecord
	FeedbackStatus = httpsx.FeedbackStatus

	JSONPatch      = httpsx.JSONPatch
	PatchOperation = httpsx.PatchOperation
)

// What the documents' texts can be.
const (
	Enabled  = httpsx.Enabled
	Disabled = httpsx.Disabled

	Connected    = httpsx.Connected
	Disconnected = httpsx.Disconnected

	AuthenticateSAS        = httpsx.AuthenticateSAS
	AuthenticateSelfSigned = httpsx.AuthenticateSelfSigned
	AuthenticateCA         = httpsx.AuthenticateCA
	AuthenticateNone       = httpsx.AuthenticateNone

	ImportCreate                = httpsx.ImportCreate
	ImportUpdate                = httpsx.ImportUpdate
	ImportUpdateIfMatch         = httpsx.ImportUpdateIfMatch
	ImportDelete                = httpsx.ImportDelete
	ImportDeleteIfMatch         = httpsx.ImportDeleteIfMatch
	ImportUpdateTwin            = httpsx.ImportUpdateTwin
	ImportUpdateTwinIfMatch     = httpsx.ImportUpdateTwinIfMatch
	ImportCreateOrUpdate        = httpsx.ImportCreateOrUpdate
	ImportCreateOrUpdateIfMatch = httpsx.ImportCreateOrUpdateIfMatch

	PrimaryKey   = httpsx.PrimaryKey
	SecondaryKey = httpsx.SecondaryKey
	BothKeys     = httpsx.BothKeys

	FeedbackSuccess               = httpsx.FeedbackSuccess
	FeedbackExpired               = httpsx.FeedbackExpired
	FeedbackDeliveryCountExceeded = httpsx.FeedbackDeliveryCountExceeded
	FeedbackRejected              = httpsx.FeedbackRejected
	FeedbackPurged                = httpsx.FeedbackPurged

	JobUpdateTwin     = httpsx.JobUpdateTwin
	JobMethod         = httpsx.JobMethod
	JobImport         = httpsx.JobImport
	JobExport         = httpsx.JobExport
	JobUnknown        = httpsx.JobUnknown
	JobEnqueued       = httpsx.JobEnqueued
	JobQueued         = httpsx.JobQueued
	JobScheduled      = httpsx.JobScheduled
	JobPending        = httpsx.JobPending
	JobRunning        = httpsx.JobRunning
	JobCompleted      = httpsx.JobCompleted
	JobFailed         = httpsx.JobFailed
	JobCancelled      = httpsx.JobCancelled
	DeviceJobCanceled = httpsx.DeviceJobCanceled
)

// Any is the ETag of who does not mind which one there is: what is there is
// changed or deleted, whatever happened to it since.
const Any = "*"
