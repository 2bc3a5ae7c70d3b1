package service

import "github.com/hubwire/hubwire/httpsx"

// The documents of the REST API, of package httpsx, under the names that they have here.
type (
	Device             = httpsx.Device             // a device identity of the registry
	Module             = httpsx.Module             // a module identity of the registry
	Authentication     = httpsx.Authentication     // how a device or module proves who it is
	AuthenticationType = httpsx.AuthenticationType // which proof it is
	SymmetricKey       = httpsx.SymmetricKey       // a pair of keys, which do not print
	Thumbprints        = httpsx.Thumbprints        // those of a pair of certificates, in hex
	Capabilities       = httpsx.Capabilities       // what a device is
	Status             = httpsx.Status             // whether an identity may connect
	ConnectionState    = httpsx.ConnectionState    // whether it is connected
	DeviceStatistics   = httpsx.DeviceStatistics   // how many devices there are
	ServiceStatistics  = httpsx.ServiceStatistics  // how many are connected
	Time               = httpsx.Time               // a time of the service; zero is never

	ImportDevice    = httpsx.ImportDevice    // an element of a bulk operation, and a line of an import
	ImportMode      = httpsx.ImportMode      // what to do with it
	BulkResult      = httpsx.BulkResult      // what came of a bulk operation
	BulkError       = httpsx.BulkError       // why an element failed
	BulkWarning     = httpsx.BulkWarning     // what else is to be said of one
	PolicyKey       = httpsx.PolicyKey       // which keys to make anew
	RegeneratedKeys = httpsx.RegeneratedKeys // the new keys

	Twin       = httpsx.Twin       // a twin as services see it
	TwinUpdate = httpsx.TwinUpdate // what to write to one
	ItemType   = httpsx.ItemType   // what the rows of a query are

	Job             = httpsx.Job             // a job on many devices
	JobType         = httpsx.JobType         // what it does
	JobStatus       = httpsx.JobStatus       // how far it is
	JobStatistics   = httpsx.JobStatistics   // how far its devices are
	DeviceJob       = httpsx.DeviceJob       // one device's part of a job
	ImportExportJob = httpsx.ImportExportJob // an import or export of identities

	Configuration            = httpsx.Configuration            // an automatic device management configuration, or a deployment
	ConfigurationContent     = httpsx.ConfigurationContent     // what it sets
	ConfigurationMetrics     = httpsx.ConfigurationMetrics     // what it counts
	ConfigurationQueries     = httpsx.ConfigurationQueries     // queries to be looked at
	ConfigurationQueryErrors = httpsx.ConfigurationQueryErrors // what is wrong with them

	FeedbackRecord = httpsx.FeedbackRecord // what became of a message
	FeedbackStatus = httpsx.FeedbackStatus // the same, as a word

	JSONPatch      = httpsx.JSONPatch      // a change of a digital twin (RFC 6902)
	PatchOperation = httpsx.PatchOperation // one step of it
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
