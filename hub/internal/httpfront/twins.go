package httpfront

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Twins imitate the REST API's "Devices - Get, Update, Replace Twin" and the same
// of modules. PATCH merges, PUT replaces tags and desired properties; both do so
// under the etag of If-Match, or without one unconditionally. What else a twin
// has is ignored in a body, so that one may send back what one got. Left out:
// configurations, and digital twins.

// twin is a twin as the REST API has it.
type twin struct {
	DeviceID                  string          `json:"deviceId"`
	ModuleID                  string          `json:"moduleId,omitempty"`
	ETag                      string          `json:"etag"`
	DeviceETag                string          `json:"deviceEtag"`
	Status                    string          `json:"status"`
	StatusReason              string          `json:"statusReason,omitempty"`
	StatusUpdateTime          jsonTime        `json:"statusUpdateTime"`
	ConnectionState           string          `json:"connectionState"`
	LastActivityTime          jsonTime        `json:"lastActivityTime"`
	CloudToDeviceMessageCount int             `json:"cloudToDeviceMessageCount"`
	AuthenticationType        string          `json:"authenticationType"`
	X509Thumbprint            thumbprints     `json:"x509Thumbprint"`
	ModelID                   string          `json:"modelId"`
	Version                   int64           `json:"version"`
	Tags                      json.RawMessage `json:"tags"`
	Properties                properties      `json:"properties"`
	Capabilities              capabilities    `json:"capabilities"`
	DeviceScope               string          `json:"deviceScope,omitempty"`
	ParentScopes              []string        `json:"parentScopes,omitempty"`
}

type properties struct {
	Desired  json.RawMessage `json:"desired"`
	Reported json.RawMessage `json:"reported"`
}

// encodeTwin gives the REST form of a twin, of which the registry says d.
func encodeTwin(t *hubwire.Twin, d *core.Device) *twin {
	return &twin{
		DeviceID: d.ID.DeviceID, ModuleID: d.ID.ModuleID,
		ETag: t.ETag, DeviceETag: d.ETag,
		Status: status(d), StatusReason: d.StatusReason, StatusUpdateTime: jsonTime(d.StatusUpdated),
		ConnectionState: connectionState(d), LastActivityTime: jsonTime(d.LastActivity),
		CloudToDeviceMessageCount: d.C2DCount,
		AuthenticationType:        string(d.Auth.Type),
		X509Thumbprint:            thumbprintsOf(d),
		ModelID:                   t.ModelID,
		Version:                   t.Version,
		Tags:                      t.Tags,
		Properties:                properties{section(t.Desired), section(t.Reported)},
		Capabilities:              capabilities{IotEdge: d.Edge},
		DeviceScope:               d.Scope, ParentScopes: d.ParentScopes,
	}
}

// section returns the members of a section, then $metadata and $version.
func section(s hubwire.TwinSection) json.RawMessage {
	b := slices.Clip(bytes.TrimSuffix(s.JSON, []byte("}")))
	if len(b) > 1 {
		b = append(b, ',')
	}
	b = append(append(b, `"$metadata":`...), s.Metadata...)
	return core.WithVersion(append(b, '}'), s.Version)
}

// twinUpdate is what a service can write of a twin.
type twinUpdate struct {
	Tags       json.RawMessage `json:"tags"`
	Properties struct {
		Desired json.RawMessage `json:"desired"`
	} `json:"properties"`
}

func (j *twinUpdate) decode() *core.TwinUpdate {
	return &core.TwinUpdate{Tags: present(j.Tags), Desired: present(j.Properties.Desired)}
}

// present is nil for null too, so that a member that is null is one that is not there.
func present(v json.RawMessage) json.RawMessage {
	if string(v) == "null" {
		return nil
	}
	return v
}

func (s *Server) getTwin(r *request) (response, error) {
	return s.foundTwin(s.core.Twin(r.Context(), r.identity()))
}

func (s *Server) patchTwin(r *request) (response, error) { return s.writeTwin(r, s.core.PatchTwin) }

func (s *Server) replaceTwin(r *request) (response, error) { return s.writeTwin(r, s.core.ReplaceTwin) }

func (s *Server) writeTwin(r *request, write func(context.Context, hubwire.Identity, *core.TwinUpdate, string) (*hubwire.Twin, error)) (response, error) {
	var j twinUpdate
	if err := r.decode(&j); err != nil {
		return response{}, err
	}
	return s.foundTwin(write(r.Context(), r.identity(), j.decode(), r.ifMatch()))
}

func (s *Server) foundTwin(t *hubwire.Twin, err error) (response, error) {
	if err != nil {
		return response{}, err
	}
	d, err := s.core.Device(t.Identity)
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK, etag: t.ETag, body: encodeTwin(t, d)}, nil
}
