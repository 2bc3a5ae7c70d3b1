package httpsx

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/hubwire/hubwire"
)

// MaxBulk is how many identities one [BulkDevices] may have.
const MaxBulk = 100

// ImportMode is what is to be done with an identity. Compare with [ImportMode.Is]: clients
// write it in different case.
type ImportMode string

// The import modes. In an import file the empty one is CreateOrUpdate.
const (
	ImportCreate                ImportMode = "create"
	ImportUpdate                ImportMode = "update"
	ImportUpdateIfMatch         ImportMode = "updateIfMatchETag"
	ImportDelete                ImportMode = "delete"
	ImportDeleteIfMatch         ImportMode = "deleteIfMatchETag"
	ImportUpdateTwin            ImportMode = "updateTwin"
	ImportUpdateTwinIfMatch     ImportMode = "updateTwinIfMatchETag"
	ImportCreateOrUpdate        ImportMode = "createOrUpdate"
	ImportCreateOrUpdateIfMatch ImportMode = "createOrUpdateIfMatchETag"
)

// Is compares without case.
func (m ImportMode) Is(n ImportMode) bool { return strings.EqualFold(string(m), string(n)) }

// ImportDevice is an identity as [BulkDevices] and the blobs of import and export jobs
// have it, there one on a line.
// Source: REST, "Bulk Registry - Update Registry", ExportImportDevice.
type ImportDevice struct {
	ID             string          `json:"id"`             // the device's
	ModuleID       string          `json:"moduleId"`       // empty for the device itself
	ETag           string          `json:"eTag"`           // of the identity, for the modes that end in IfMatch
	ImportMode     ImportMode      `json:"importMode"`     // what to do with it
	Status         Status          `json:"status"`         // empty means enabled
	StatusReason   string          `json:"statusReason"`   // at most 128 characters
	Authentication Authentication  `json:"authentication"` // as in [Device]
	TwinETag       string          `json:"twinETag"`       // of the twin, for the modes that end in TwinIfMatch
	Tags           json.RawMessage `json:"tags"`           // a JSON object; nil leaves them alone
	Properties     TwinProperties  `json:"properties"`     // of the twin
	Capabilities   Capabilities    `json:"capabilities"`   // as in [Device]
	Scope          string          `json:"deviceScope"`    // as in [Device]
	ParentScopes   []string        `json:"parentScopes"`   // as in [Device]
}

// Identity returns whose identity it is.
func (d *ImportDevice) Identity() hubwire.Identity {
	if d == nil {
		return hubwire.Identity{}
	}
	return hubwire.Identity{DeviceID: d.ID, ModuleID: d.ModuleID}
}

// Check reports whether the status of d is one. The error is an [*hubwire.Error] with code
// [hubwire.ArgumentInvalid], for d alone. The import mode and all else is for the hub to judge.
func (d *ImportDevice) Check() error {
	if d == nil {
		return refused(BulkDevices, hubwire.ArgumentInvalid, "there is no device")
	}
	return firstError(BulkDevices, d.Status.check())
}

// ImportDevices is the body of [BulkDevices], of 1 to [MaxBulk] elements, no two for the same identity.
type ImportDevices []ImportDevice

// Check reports what is wrong with all of it, before any element is looked at: an [*hubwire.Error]
// with code [hubwire.ArgumentInvalid] when it is empty, [hubwire.TooManyDevices] or
// [hubwire.DeviceDefinedMultipleTimes].
func (ds ImportDevices) Check() error {
	switch {
	case len(ds) == 0:
		return refused(BulkDevices, hubwire.ArgumentInvalid, "there are no devices")
	case len(ds) > MaxBulk:
		return refused(BulkDevices, hubwire.TooManyDevices, "there are %d devices, the limit is %d", len(ds), MaxBulk)
	}
	seen := make(map[hubwire.Identity]bool, len(ds))
	for i := range ds {
		id := ds[i].Identity()
		if seen[id] {
			return refused(BulkDevices, hubwire.DeviceDefinedMultipleTimes, "%.300q is there more than once", id.String())
		}
		seen[id] = true
	}
	return nil
}

func (ds ImportDevices) append(dst []byte, full bool) []byte { return appendAll(dst, ds, full) }

// append writes a line of an export when it is full: with keys that are null when they are left out.
func (d *ImportDevice) append(dst []byte, full bool) []byte {
	o := open(dst, false)
	o.str("id", d.ID)
	o.str("moduleId", d.ModuleID)
	o.str("eTag", d.ETag)
	o.str("importMode", string(d.ImportMode))
	o.str("status", string(d.Status))
	o.str("statusReason", d.StatusReason)
	o.full = full
	o.authentication("authentication", &d.Authentication)
	o.full = false
	o.str("twinETag", d.TwinETag)
	o.json("tags", d.Tags)
	if d.Properties.Desired != nil || d.Properties.Reported != nil {
		o.properties(&d.Properties)
	}
	o.capabilities("capabilities", d.Capabilities)
	o.str("deviceScope", d.Scope)
	o.strs("parentScopes", d.ParentScopes)
	return o.close()
}

// BulkResult is the answer of [BulkDevices]. When an element failed the status is 400; those that
// did not are applied all the same.
// Source: REST, "Bulk Registry - Update Registry", BulkRegistryOperationResult.
type BulkResult struct {
	IsSuccessful bool          `json:"isSuccessful"` // no element failed
	Errors       []BulkError   `json:"errors"`       // of those that failed
	Warnings     []BulkWarning `json:"warnings"`     // of those that did not
}

// BulkError says why an element failed. It is also a line of the importErrors.log of an import.
type BulkError struct {
	DeviceID  string   `json:"deviceId"`            // of the element
	ModuleID  string   `json:"moduleId,omitempty"`  // of the element, empty for a device
	Code      BulkCode `json:"errorCode"`           // why it failed
	Status    string   `json:"errorStatus"`         // for people
	Operation string   `json:"operation,omitempty"` // what failed, mostly empty
}

// BulkWarning says what else is to be said of an element that succeeded.
type BulkWarning struct {
	DeviceID string `json:"deviceId"`      // of the element
	Code     string `json:"warningCode"`   // "DeviceRegisteredWithoutTwin"
	Status   string `json:"warningStatus"` // for people
}

// BulkCode is a code that is written as a number, and read as a number or a name.
type BulkCode hubwire.Code

// MarshalJSON implements [json.Marshaler].
func (c BulkCode) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(c), 10), nil }

// UnmarshalJSON implements [json.Unmarshaler]. A name that is not known becomes 0.
func (c *BulkCode) UnmarshalJSON(b []byte) error {
	if c == nil {
		return nil
	}
	code, _ := hubwire.ParseCode(strings.Trim(string(b), `"`))
	*c = BulkCode(code)
	return nil
}

func (r *BulkResult) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.bool("isSuccessful", r.IsSuccessful)
	o.any("errors", nonNil(r.Errors))
	o.any("warnings", nonNil(r.Warnings))
	return o.close()
}

// nonNil makes an array that is not there an empty one.
func nonNil[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}

// PolicyKey is which of the keys are made anew.
type PolicyKey string

// The keys.
const (
	PrimaryKey   PolicyKey = "primaryKey"
	SecondaryKey PolicyKey = "secondaryKey"
	BothKeys     PolicyKey = "both"
)

// KeyRegeneration is the body of [RegenerateKeys].
// Source: REST, api-version 2024-03-31, as the az CLI uses it.
type KeyRegeneration struct {
	PolicyKey PolicyKey    `json:"policyKey"` // which keys to make anew
	Devices   []IdentityID `json:"devices"`   // and whose, modules too
}

// IdentityID names a device, or a module of it.
type IdentityID struct {
	ID       string `json:"id"`                 // the device's
	ModuleID string `json:"moduleId,omitempty"` // empty for the device itself
}

// RegeneratedKeys is the answer of [RegenerateKeys]: 200, or 207 and 400 when some or all of them
// failed.
type RegeneratedKeys struct {
	PolicyKey PolicyKey    `json:"policyKey"`   // which keys were asked for
	Rotated   []RotatedKey `json:"rotatedKeys"` // who has new ones
	Errors    []KeyError   `json:"errors"`      // and who has not
}

// RotatedKey is an identity with its new keys.
type RotatedKey struct {
	ID       string `json:"id"`       // the device's
	ModuleID string `json:"moduleId"` // empty for the device itself
	SymmetricKey
}

// KeyError is an identity whose keys stay as they are.
type KeyError struct {
	ID       string   `json:"id"`                 // the device's
	ModuleID string   `json:"moduleId,omitempty"` // empty for the device itself
	Code     BulkCode `json:"errorCode"`          // why they stay
	Status   string   `json:"errorStatus"`        // for people
}

func (r *RegeneratedKeys) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.str("policyKey", string(r.PolicyKey))
	o.key("rotatedKeys")
	o.b = appendAll(o.b, r.Rotated, true)
	o.any("errors", nonNil(r.Errors))
	return o.close()
}

func (k *RotatedKey) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.str("id", k.ID)
	o.strOrNull("moduleId", k.ModuleID)
	o.strOrNull("primaryKey", k.Primary.Reveal())
	o.strOrNull("secondaryKey", k.Secondary.Reveal())
	return o.close()
}
