package core

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// TwinDocument is what the twin document of a device or module is made of.
type TwinDocument struct {
	Device *Device
	Twin   *hubwire.Twin

	// Configurations are the states, Targeted or Applied, of the configurations
	// that are for it, by their ids. It must not be changed.
	Configurations map[string]string
}

// TwinDocument returns a document as of one moment. Its codes are those of [Core.Twin].
func (c *Core) TwinDocument(_ context.Context, id hubwire.Identity) (*TwinDocument, error) {
	const op = "get twin"
	e, err := c.lock(op, id)
	if err != nil {
		return nil, err
	}
	defer e.unlock()
	if err := c.throttle.twinReads.admit(op, 1); err != nil {
		return nil, err
	}
	return e.document(e.currentTwin()), nil
}

// document returns the document of e, whose twin is t. The caller holds the lock.
func (e *entity) document(t *twin) *TwinDocument {
	return &TwinDocument{e.snapshot(), t.view(e.id, true), e.configurations}
}

// twinRow is a twin document as a query looks at it: nothing of it is made before
// it is asked for. It is used for one entity after the other, and is good as long
// as the entity's lock is held.
type twinRow struct {
	e *entity
	t *twin

	fresh twin // of an entity that has none yet: looking at it must not make it one
	root  node
}

// point makes the row that of e. The caller holds the lock.
func (r *twinRow) point(e *entity) {
	r.e, r.t = e, e.twin
	if r.t == nil {
		r.root = node{At: e.created}
		r.fresh = freshTwin(&r.root)
		r.t = &r.fresh
	}
}

// Member implements [query.Row].
func (r *twinRow) Member(name string) query.Value {
	switch name {
	case "deviceId":
		return query.String(r.e.id.DeviceID)
	case "moduleId":
		return optionalString(r.e.id.ModuleID)
	case "tags":
		return query.ObjectOf(r.t.Tags.Root)
	case "properties":
		return query.ObjectOf((*propertiesObject)(r.t))
	case "version":
		return query.Number(float64(r.t.Version))
	case "etag":
		return query.String(r.t.etag())
	case "modelId":
		return query.String(r.t.ModelID)
	case "configurations":
		if len(r.e.configurations) > 0 {
			return query.ObjectOf(configurationsObject(r.e.configurations))
		}
		return query.Value{}
	}
	return r.e.queryMember(name)
}

var (
	edgeCapable    = query.ObjectOf(query.Fields{{Name: "iotEdge", Value: query.True}})
	notEdgeCapable = query.ObjectOf(query.Fields{{Name: "iotEdge", Value: query.False}})
)

// queryMember is a member that the registry or the connection sets.
func (e *entity) queryMember(name string) query.Value {
	switch name {
	case "deviceEtag":
		return query.String(e.dev.ETag)
	case "status":
		return either(e.dev.Disabled, "disabled", "enabled")
	case "statusReason":
		return optionalString(e.dev.StatusReason)
	case "statusUpdateTime":
		return timeValue(e.dev.StatusUpdated)
	case "connectionState":
		return either(e.session != nil, "Connected", "Disconnected")
	case "lastActivityTime":
		return timeValue(e.lastActive())
	case "cloudToDeviceMessageCount":
		e.sweep()
		return query.Number(float64(len(e.queue.items)))
	case "authenticationType":
		return query.String(string(e.dev.Auth.Type))
	case "x509Thumbprint":
		return query.ObjectOf(query.Fields{
			{Name: "primaryThumbprint", Value: stringOrNull(e.dev.Auth.PrimaryThumbprint)},
			{Name: "secondaryThumbprint", Value: stringOrNull(e.dev.Auth.SecondaryThumbprint)},
		})
	case "capabilities":
		if e.dev.Edge {
			return edgeCapable
		}
		return notEdgeCapable
	case "deviceScope":
		return optionalString(e.dev.Scope)
	case "parentScopes":
		if len(e.dev.ParentScopes) > 0 {
			b, _ := json.Marshal(e.dev.ParentScopes) // strings: cannot fail
			return query.JSON(string(b))
		}
	}
	return query.Value{}
}

func either(yes bool, a, b string) query.Value {
	if yes {
		return query.String(a)
	}
	return query.String(b)
}

// optionalString is undefined for an empty string.
func optionalString(s string) query.Value {
	if s == "" {
		return query.Value{}
	}
	return query.String(s)
}

func stringOrNull(s string) query.Value {
	if s == "" {
		return query.Null
	}
	return query.String(s)
}

// timeValue is a time as documents have it: strings whose order is that of the times.
func timeValue(t time.Time) query.Value {
	if t.IsZero() {
		return query.String("0001-01-01T00:00:00Z")
	}
	return query.String(string(systemtime.Append(nil, t)))
}
