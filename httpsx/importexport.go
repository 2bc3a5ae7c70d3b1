package httpsx

import (
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// ImportExportJob is an import or export of the registry: the body of [CreateImportExport], and
// the answer of all that is done with such jobs. What the hub sets (ID, Start, End, Status, Progress,
// FailureReason) is ignored in a request.
// Source: REST, "Jobs - Create Import Export Job", JobProperties.
type ImportExportJob struct {
	ID            string    `json:"jobId"`         // made by the hub
	Type          JobType   `json:"type"`          // JobImport or JobExport
	Status        JobStatus `json:"status"`        // set by the hub
	Progress      int       `json:"progress"`      // 0 to 100
	Start         Time      `json:"startTimeUtc"`  // set by the hub
	End           Time      `json:"endTimeUtc"`    // set by the hub
	FailureReason string    `json:"failureReason"` // set by the hub; empty when there is none

	// InputContainer and OutputContainer are the URLs of blob containers, which hold a
	// signature where StorageAuthentication is by key. Printing, logging and encoding/json hide
	// them; [Marshal] does not. An import reads from the first and writes its errors to the second.
	InputContainer  sas.Secret `json:"inputBlobContainerUri"`
	OutputContainer sas.Secret `json:"outputBlobContainerUri"`

	InputBlob             string                `json:"inputBlobName"`             // empty means devices.txt
	OutputBlob            string                `json:"outputBlobName"`            // empty means devices.txt
	ExcludeKeys           bool                  `json:"excludeKeysInExport"`       // the keys are not exported
	StorageAuthentication StorageAuthentication `json:"storageAuthenticationType"` // how the hub gets to the containers; empty means by key
	Identity              *ManagedIdentity      `json:"identity"`                  // of the hub, for StorageByIdentity; nil means its system-assigned one
	IncludeConfigurations bool                  `json:"includeConfigurations"`     // they travel with the devices
	ConfigurationsBlob    string                `json:"configurationsBlobName"`    // empty means configurations.txt
}

// StorageAuthentication is how the hub gets at the containers. Compare with [StorageAuthentication.Is].
type StorageAuthentication string

// The ways. The empty one is by key.
const (
	StorageByKey      StorageAuthentication = "keyBased"
	StorageByIdentity StorageAuthentication = "identityBased"
)

// Is compares without case.
func (a StorageAuthentication) Is(b StorageAuthentication) bool {
	return strings.EqualFold(string(a), string(b))
}

// ManagedIdentity is whom the hub is to its storage.
type ManagedIdentity struct {
	UserAssigned string `json:"userAssignedIdentity"` // the resource id of it
}

// Check reports whether j can be what [CreateImportExport] starts. The error is an [*hubwire.Error]
// with code [hubwire.ArgumentInvalid] that names the member.
func (j *ImportExportJob) Check() error {
	missing := ""
	switch {
	case j == nil:
		return refused(CreateImportExport, hubwire.ArgumentInvalid, "there is no job")
	case !j.Type.Is(JobImport) && !j.Type.Is(JobExport):
		return refused(CreateImportExport, hubwire.ArgumentInvalid, "type %.40q is neither %s nor %s", string(j.Type), JobImport, JobExport)
	case j.Type.Is(JobImport) && j.InputContainer.IsZero():
		missing = "inputBlobContainerUri"
	case j.OutputContainer.IsZero():
		missing = "outputBlobContainerUri"
	}
	if missing != "" {
		return refused(CreateImportExport, hubwire.ArgumentInvalid, "%s is empty", missing)
	}
	return nil
}

func (j *ImportExportJob) append(dst []byte, full bool) []byte {
	o := open(dst, full)
	o.str("jobId", j.ID)
	if full {
		o.timeOrNull("startTimeUtc", j.Start)
		o.timeOrNull("endTimeUtc", j.End)
	}
	o.str("type", string(j.Type))
	o.str("status", string(j.Status))
	o.int("progress", int64(j.Progress))
	o.strOrNull("inputBlobContainerUri", j.InputContainer.Reveal())
	o.strOrNull("outputBlobContainerUri", j.OutputContainer.Reveal())
	o.strOrNull("inputBlobName", j.InputBlob)
	o.strOrNull("outputBlobName", j.OutputBlob)
	o.bool("excludeKeysInExport", j.ExcludeKeys)
	o.strOrNull("storageAuthenticationType", string(j.StorageAuthentication))
	if j.Identity != nil {
		o.any("identity", j.Identity)
	}
	o.bool("includeConfigurations", j.IncludeConfigurations)
	o.strOrNull("configurationsBlobName", j.ConfigurationsBlob)
	o.strOrNull("failureReason", j.FailureReason)
	return o.close()
}

// ImportExportJobs is the answer of [ListImportExports].
type ImportExportJobs []ImportExportJob

func (js ImportExportJobs) append(dst []byte, full bool) []byte { return appendAll(dst, js, full) }
