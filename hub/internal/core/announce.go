package core

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// Events that are no telemetry imitate the article "IoT Hub non-telemetry event schemas",
// with the bodies of its examples. IoT Hub sends them where a route leads; by default none does, and so
// it is here. Left out: digital twin change and job lifecycle events, whose forms are not documented, and that
// the service puts connection state events less than a minute apart together.

// EventSource says what an event tells of: iothub-message-source.
type EventSource string

// The sources.
const (
	SourceTelemetry        EventSource = "Telemetry" // always there
	SourceTwinChanges      EventSource = "twinChangeEvents"
	SourceLifecycles       EventSource = "deviceLifecycleEvents"
	SourceConnectionStates EventSource = "deviceConnectionStateEvents"
)

// EventSources are the sources besides [SourceTelemetry].
var EventSources = []EventSource{SourceTwinChanges, SourceLifecycles, SourceConnectionStates}

// schemas are the values of iothub-message-schema.
var schemas = map[EventSource]string{
	SourceTwinChanges:      "twinChangeNotification",
	SourceLifecycles:       "deviceLifecycleNotification",
	SourceConnectionStates: "deviceConnectionStateNotification",
}

// announces reports whether there are events of a source.
func (c *Core) announces(s EventSource) bool { return slices.Contains(c.cfg.EventSources, s) }

// announce appends an event about e. What it tells of has happened: a store that fails
// costs the event only, and is logged. The caller holds the lock.
func (e *entity) announce(source EventSource, opType string, body []byte) {
	c := e.core
	now := time.Now().UTC()
	hub, _, _ := strings.Cut(c.cfg.HostName, ".")
	m := &hubwire.Message{
		Body: body, ContentType: "application/json", ContentEncoding: "utf-8",
		CorrelationID: NewGUID(), UserID: hub, Schema: schemas[source],
		Properties: []hubwire.Property{
			{Name: "hubName", Value: hub},
			{Name: "deviceId", Value: e.id.DeviceID},
			{Name: "opType", Value: opType},
			{Name: "operationTimestamp", Value: string(systemtime.Append(nil, now))},
		},
	}
	if e.id.IsModule() {
		m.Properties = append(m.Properties, hubwire.Property{Name: "moduleId", Value: e.id.ModuleID})
	}
	stamp := c.stampFrom(source, e.id, "", "", "")
	if err := c.appendEvent(context.Background(), "announce", &stamp, now, m); err != nil {
		e.post(func() { c.cfg.Log.Error("an event was not stored", "device", e.id, "source", source, "error", err) })
	}
}

// announceState tells that a session began or ended. The number in it grows, as text too.
func (e *entity) announceState(connected bool) {
	c := e.core
	if !c.announces(SourceConnectionStates) {
		return
	}
	opType := "deviceDisconnected"
	if connected {
		opType = "deviceConnected"
	}
	e.announce(SourceConnectionStates, opType, fmt.Appendf(nil, `{"sequenceNumber":"%032X%032X"}`, time.Now().UnixNano(), c.states.Add(1)))
}

// announceLife tells that an identity was created or deleted, with the twin t or a fresh one.
func (e *entity) announceLife(opType string, t *twin) {
	if !e.core.announces(SourceLifecycles) {
		return
	}
	if t == nil {
		fresh := freshTwin(&node{At: e.created})
		t = &fresh
	}
	e.announce(SourceLifecycles, opType, t.appendWhole(nil, e.id))
}

// announceChange tells of a twin that was changed by w to now.
func (e *entity) announceChange(w twinWrite, now *twin) {
	switch {
	case !e.core.announces(SourceTwinChanges):
	case w.replace:
		e.announce(SourceTwinChanges, "replaceTwin", now.appendWhole(nil, e.id))
	default:
		e.announce(SourceTwinChanges, "updateTwin", now.appendChange(w.tags, w.desired, nil))
	}
}

// announceReport tells of reported properties that the device has changed.
func (e *entity) announceReport(patch *node, now *twin) {
	if e.core.announces(SourceTwinChanges) {
		e.announce(SourceTwinChanges, "updateTwin", now.appendChange(nil, nil, patch))
	}
}

// appendWhole appends a twin as such events have it. Ids and etags hold nothing that
// needs an escape and a key does not.
func (t *twin) appendWhole(b []byte, id hubwire.Identity) []byte {
	b = appendKey(append(b, `{"deviceId":`...), id.DeviceID)
	if id.IsModule() {
		b = appendKey(append(b, `,"moduleId":`...), id.ModuleID)
	}
	b = appendKey(append(b, `,"etag":`...), t.etag())
	b = strconv.AppendInt(append(b, `,"version":`...), t.Version, 10)
	if len(t.Tags.Root.Members) > 0 {
		b = t.Tags.Root.AppendJSON(append(b, `,"tags":`...))
	}
	b = t.Desired.appendChanged(append(b, `,"properties":{"desired":`...), t.Desired.Root)
	b = t.Reported.appendChanged(append(b, `,"reported":`...), t.Reported.Root)
	return append(b, "}}"...)
}

// appendChange appends what patches, of which any may be nil, have made of a twin.
func (t *twin) appendChange(tags, desired, reported *node) []byte {
	b := strconv.AppendInt([]byte(`{"version":`), t.Version, 10)
	if tags != nil {
		b = tags.AppendJSON(append(b, `,"tags":`...))
	}
	if desired != nil || reported != nil {
		b = append(b, `,"properties":{`...)
		if desired != nil {
			b = t.Desired.appendChanged(append(b, `"desired":`...), desired)
		}
		if reported != nil {
			b = t.Reported.appendChanged(append(comma(b), `"reported":`...), reported)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendChanged appends what was changed of a section, with its metadata and version.
func (s section) appendChanged(b []byte, changed *node) []byte {
	b = changed.AppendJSON(b)
	b = append(comma(b[:len(b)-1]), `"$metadata":`...)
	b = s.Root.only(changed).appendMetadata(b)
	b = strconv.AppendInt(append(b, `,"$version":`...), s.Version, 10)
	return append(b, '}')
}

// only returns n without what is not in patch.
func (n *node) only(patch *node) *node {
	if !patch.isObject() || n == patch {
		return n
	}
	part := &node{Key: n.Key, Raw: n.Raw, At: n.At, Version: n.Version}
	olds := indexOf(n.Members)
	for _, p := range patch.Members {
		if i, ok := olds.find(n.Members, p.Key); ok {
			part.Members = append(part.Members, n.Members[i].only(p))
		}
	}
	return part
}
