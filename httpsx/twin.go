package httpsx

import (
	"bytes"
	"encoding/json"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/jsonobject"
)

// Twin is a twin as the service sees it: the document, and what the registry says of whose it is.
// Source: REST, "Devices - Get Twin" and "Modules - Get Twin".
type Twin struct {
	hubwire.Twin

	DeviceETag      string          // of the identity
	Status          Status          // as in [Device]
	StatusReason    string          // at most 128 characters
	StatusUpdated   Time            // when Status changed
	ConnectionState ConnectionState // whether it is connected now
	LastActivity    Time            // when it last connected or sent
	C2DCount        int             // messages that wait for it

	AuthenticationType AuthenticationType // how it proves who it is
	X509Thumbprint     Thumbprints        // of its own certificates
	Capabilities       Capabilities       // as in [Device]
	Scope              string             // as in [Device]
	ParentScopes       []string           // as in [Device]

	// Configurations are those that the identity is a target of, by their ids.
	Configurations map[string]ConfigurationState
}

// ConfigurationState is what a configuration is to a twin.
type ConfigurationState struct {
	Status string `json:"status"` // "Targeted" or "Applied"
}

// TwinProperties are both halves of a twin's properties, as they stand in it.
type TwinProperties struct {
	Desired  json.RawMessage `json:"desired"`  // a JSON object; in a twin with $version and $metadata
	Reported json.RawMessage `json:"reported"` // the same
}

// twinMembers are the members of a Twin.
type twinMembers struct {
	DeviceID           string                        `json:"deviceId"`
	ModuleID           string                        `json:"moduleId"`
	ETag               string                        `json:"etag"`
	DeviceETag         string                        `json:"deviceEtag"`
	Status             Status                        `json:"status"`
	StatusReason       string                        `json:"statusReason"`
	StatusUpdated      Time                          `json:"statusUpdateTime"`
	ConnectionState    ConnectionState               `json:"connectionState"`
	LastActivity       Time                          `json:"lastActivityTime"`
	C2DCount           int                           `json:"cloudToDeviceMessageCount"`
	AuthenticationType AuthenticationType            `json:"authenticationType"`
	X509Thumbprint     Thumbprints                   `json:"x509Thumbprint"`
	ModelID            string                        `json:"modelId"`
	Version            int64                         `json:"version"`
	Tags               json.RawMessage               `json:"tags"`
	Properties         TwinProperties                `json:"properties"`
	Capabilities       Capabilities                  `json:"capabilities"`
	Scope              string                        `json:"deviceScope"`
	ParentScopes       []string                      `json:"parentScopes"`
	Configurations     map[string]ConfigurationState `json:"configurations"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Twin) UnmarshalJSON(b []byte) error {
	var m twinMembers
	if err := json.Unmarshal(b, &m); err != nil || t == nil {
		return err
	}
	*t = Twin{
		Twin: hubwire.Twin{
			Identity: hubwire.Identity{DeviceID: m.DeviceID, ModuleID: m.ModuleID},
			ETag:     m.ETag, Version: m.Version, ModelID: m.ModelID, Tags: present(m.Tags),
		},
		DeviceETag: m.DeviceETag, Status: m.Status, StatusReason: m.StatusReason, StatusUpdated: m.StatusUpdated,
		ConnectionState: m.ConnectionState, LastActivity: m.LastActivity, C2DCount: m.C2DCount,
		AuthenticationType: m.AuthenticationType, X509Thumbprint: m.X509Thumbprint,
		Capabilities: m.Capabilities, Scope: m.Scope, ParentScopes: m.ParentScopes, Configurations: m.Configurations,
	}
	var err error
	if t.Desired, err = parseSection("desired", m.Properties.Desired); err != nil {
		return err
	}
	t.Reported, err = parseSection("reported", m.Properties.Reported)
	return err
}

// MarshalJSON implements [json.Marshaler].
func (t Twin) MarshalJSON() ([]byte, error) { return t.append(nil, true), nil }

// append writes the members in the order of the service's own.
func (t *Twin) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.str("deviceId", t.Identity.DeviceID)
	if t.Identity.IsModule() {
		o.str("moduleId", t.Identity.ModuleID)
	}
	o.str("etag", t.ETag)
	o.str("deviceEtag", t.DeviceETag)
	o.str("status", string(t.Status))
	if t.StatusReason != "" {
		o.str("statusReason", t.StatusReason)
	}
	o.time("statusUpdateTime", t.StatusUpdated)
	o.str("connectionState", string(t.ConnectionState))
	o.time("lastActivityTime", t.LastActivity)
	o.int("cloudToDeviceMessageCount", int64(t.C2DCount))
	o.str("authenticationType", string(t.AuthenticationType))
	o.thumbprints("x509Thumbprint", t.X509Thumbprint)
	o.str("modelId", t.ModelID)
	o.int("version", t.Version)
	o.object("tags", t.Tags)
	o.key("properties")
	in := open(o.b, true)
	in.section("desired", t.Desired)
	in.section("reported", t.Reported)
	o.b = in.close()
	o.capabilities("capabilities", t.Capabilities)
	o.full = false // from here on only what there is
	o.str("deviceScope", t.Scope)
	o.strs("parentScopes", t.ParentScopes)
	if len(t.Configurations) > 0 {
		o.any("configurations", t.Configurations)
	}
	return o.close()
}

// object writes a raw object, which is {} when there is none.
func (o *object) object(name string, v json.RawMessage) {
	if v == nil {
		v = json.RawMessage("{}")
	}
	o.json(name, v)
}

func (o *object) properties(p *TwinProperties) {
	o.key("properties")
	in := open(o.b, true)
	in.json("desired", p.Desired)
	in.json("reported", p.Reported)
	o.b = in.close()
}

// section writes the members of a section, then $metadata and $version.
func (o *object) section(name string, s hubwire.TwinSection) {
	o.key(name)
	members := bytes.TrimSpace(s.JSON)
	members = bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimPrefix(members, []byte("{")), []byte("}")))
	in := open(o.b, true)
	in.b = append(in.b, members...)
	in.comma = len(members) > 0
	if s.Metadata != nil {
		in.raw("$metadata", string(s.Metadata))
	}
	in.int("$version", s.Version)
	o.b = in.close()
}

// SectionJSON returns half of a twin's properties as it stands in the twin: its members,
// then $metadata, if there is any, and $version.
func SectionJSON(s hubwire.TwinSection) json.RawMessage {
	o := open(nil, true)
	o.section("s", s)
	return o.b[len(`{"s":`):]
}

// parseSection takes $metadata and $version out of a section.
func parseSection(name string, v json.RawMessage) (s hubwire.TwinSection, err error) {
	if v = present(v); v == nil {
		return s, nil
	}
	o := open(nil, true)
	err = jsonobject.Each(v, func(member string, value json.RawMessage) error {
		switch member {
		case "$metadata":
			s.Metadata = value
		case "$version":
			if json.Unmarshal(value, &s.Version) != nil {
				return refused(0, hubwire.FormatError, "%s.$version is not a number", name)
			}
		default:
			if o.comma {
				o.b = append(o.b, ',')
			}
			o.comma = true
			o.b = append(append(appendString(o.b, member), ':'), value...)
		}
		return nil
	})
	if err == jsonobject.ErrNotObject {
		err = refused(0, hubwire.FormatError, "%s is not an object", name)
	}
	s.JSON = o.close()
	return s, err
}

// present is nil for null too, so that a member that is null is one that is not there.
func present(v json.RawMessage) json.RawMessage {
	if string(v) == "null" {
		return nil
	}
	return v
}

// TwinUpdate is the body of [PatchTwin] and [PutTwin]: what a service can write of a twin.
// A section that is nil is left as it is by a patch and becomes empty by a put. Whatever else a body
// has is ignored, so that one may send back a twin that one got.
type TwinUpdate struct {
	Tags    json.RawMessage // a JSON object
	Desired json.RawMessage // a JSON object; a $version and a $metadata in it are the hub's to judge

	// ETag is of meaning in a job only, which takes none but "*".
	ETag string
}

type twinUpdateMembers struct {
	ETag       string          `json:"etag"`
	Tags       json.RawMessage `json:"tags"`
	Properties struct {
		Desired json.RawMessage `json:"desired"`
	} `json:"properties"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (u *TwinUpdate) UnmarshalJSON(b []byte) error {
	var m twinUpdateMembers
	if err := json.Unmarshal(b, &m); err != nil || u == nil {
		return err
	}
	*u = TwinUpdate{Tags: present(m.Tags), Desired: present(m.Properties.Desired), ETag: m.ETag}
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (u TwinUpdate) MarshalJSON() ([]byte, error) { return u.append(nil, false), nil }

func (u *TwinUpdate) append(dst []byte, _ bool) []byte {
	o := open(dst, false)
	o.str("etag", u.ETag)
	o.json("tags", u.Tags)
	if u.Desired != nil {
		o.properties(&TwinProperties{Desired: u.Desired})
	}
	return o.close()
}
