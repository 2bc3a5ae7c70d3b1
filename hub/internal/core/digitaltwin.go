package core

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// Digital twins imitate the REST API's view of a Plug and Play device: the twin, by
// the conventions of the guide "IoT Plug and Play conventions". A property of the
// device, or of a component (an object that has "__t":"c"), has the value that was
// reported, and in $metadata what is desired and how the device acknowledged that.
// Where the guide is silent: a replace of what is not there adds it, a remove of what is not
// desired does nothing, and the etag is that of the twin. Left out: models, which
// this hub does not know, so that no value is checked against one.

const (
	componentMark  = "__t" // a member of every component
	componentValue = `"c"`

	maxPatchSteps = 500 // own: of a JSON Patch, for each goes over the whole twin
)

// DigitalTwin returns the digital twin of a device as a JSON object, and its etag. Its codes are
// those of [Core.Twin].
func (c *Core) DigitalTwin(_ context.Context, deviceID string) (doc json.RawMessage, etag string, err error) {
	const op = "get digital twin"
	e, err := c.lock(op, hubwire.Identity{DeviceID: deviceID})
	if err != nil {
		return nil, "", err
	}
	defer e.unlock()
	if err := c.throttle.twinReads.admit(op, 1); err != nil {
		return nil, "", err
	}
	t := e.currentTwin()
	model, _ := json.Marshal(t.ModelID) // a string: cannot fail
	b := append(appendKey([]byte(`{"$dtId":`), deviceID), `,"$metadata":{"$model":`...)
	b = append(b, model...)
	b = appendPropertyMetadata(b, t.Desired.Root, t.Reported.Root)
	b = appendProperties(append(b, '}'), t.Desired.Root, t.Reported.Root)
	return append(b, '}'), t.etag(), nil
}

// parts yields the members that desired or reported properties have, each of which may be nil.
func parts(desired, reported *node, yield func(key string, desired, reported *node)) {
	if reported != nil {
		for _, r := range reported.Members {
			yield(r.Key, desired.child(r.Key), r)
		}
	}
	if desired != nil {
		for _, d := range desired.Members {
			if reported.child(d.Key) == nil {
				yield(d.Key, d, nil)
			}
		}
	}
}

func (n *node) isComponent() bool {
	mark := n.child(componentMark)
	return mark != nil && mark.Raw == componentValue
}

// appendPropertyMetadata appends the metadata of all that are properties, each behind a comma.
func appendPropertyMetadata(b []byte, desired, reported *node) []byte {
	parts(desired, reported, func(key string, d, r *node) {
		if key == componentMark || d.isComponent() || r.isComponent() {
			return
		}
		b = append(appendKey(append(b, ','), key), ':')
		b = appendMetadataOf(b, d, r)
	})
	return b
}

// appendMetadataOf appends the metadata of one property.
func appendMetadataOf(b []byte, d, r *node) []byte {
	b = append(b, '{')
	if d != nil {
		b = d.AppendJSON(append(b, `"desiredValue":`...))
		b = strconv.AppendInt(append(b, `,"desiredVersion":`...), d.Version, 10)
	}
	if r != nil && r.isAck() {
		for _, m := range [...][2]string{{"ackVersion", "av"}, {"ackCode", "ac"}, {"ackDescription", "ad"}} {
			if ack := r.child(m[1]); ack != nil {
				b = ack.AppendJSON(append(appendKey(comma(b), m[0]), ':'))
			}
		}
	}
	if r != nil {
		b = append(comma(b), `"lastUpdateTime":"`...)
		b = append(systemtime.Append(b, r.At), '"')
	}
	return append(b, '}')
}

// comma appends a comma, unless b has just opened an object.
func comma(b []byte) []byte {
	if b[len(b)-1] == '{' {
		return b
	}
	return append(b, ',')
}

// isAck reports whether a reported property is the answer to a desired one.
func (n *node) isAck() bool {
	return n.child("value") != nil && (n.child("ac") != nil || n.child("av") != nil)
}

// appendProperties appends the components and the values that were reported, each behind a comma.
func appendProperties(b []byte, desired, reported *node) []byte {
	parts(desired, reported, func(key string, d, r *node) {
		switch {
		case key == componentMark:
		case d.isComponent() || r.isComponent():
			b = append(appendKey(append(b, ','), key), `:{"$metadata":{`...)
			start := len(b)
			b = appendPropertyMetadata(b, d, r)
			b = append(append(b[:start], bytes.TrimPrefix(b[start:], []byte(","))...), '}')
			b = append(appendProperties(b, d, r), '}')
		case r == nil:
		case r.isAck():
			b = r.child("value").AppendJSON(append(appendKey(append(b, ','), key), ':'))
		default:
			b = r.AppendJSON(append(appendKey(append(b, ','), key), ':'))
		}
	})
	return b
}

// patchOperation is one of JSON Patch (RFC 6902), as far as digital twins have it.
type patchOperation struct {
	Op    string          `json:"op"`
	Path  *string         `json:"path"`
	Value json.RawMessage `json:"value"`
}

// PatchDigitalTwin changes the desired properties of a device by a JSON Patch, all of it or
// nothing, and returns the new etag. ifMatch is as for [Core.PatchTwin]. Codes:
// InvalidDigitalTwinJSONPatch for what is no JSON Patch, InvalidDigitalTwinPatch for an operation
// other than add, replace and remove or without a value, InvalidDigitalTwinPatchPath
// for a path other than /property, /component and /component/property,
// InvalidDigitalTwinPayload for a value that a twin cannot have, and those of [Core.PatchTwin].
func (c *Core) PatchDigitalTwin(ctx context.Context, deviceID string, patch json.RawMessage, ifMatch string) (etag string, err error) {
	const op = "patch digital twin"
	steps, err := readPatch(op, patch)
	if err != nil {
		return "", err
	}
	e, err := c.lock(op, hubwire.Identity{DeviceID: deviceID})
	if err != nil {
		return "", err
	}
	defer e.unlock()
	if err := c.throttle.twinUpdates.admit(op, 1); err != nil {
		return "", err
	}
	old := e.currentTwin().Desired.Root
	root := old
	for _, s := range steps {
		root = merge(root, s, stamp{})
	}
	w := twinWrite{desired: diff(old, root)}
	now, err := e.rewrite(op, w, ifMatch)
	if err != nil {
		return "", err
	}
	if err := e.commit(ctx, op, w, now); err != nil {
		return "", err
	}
	c.look(e)
	return now.etag(), nil
}

// readPatch returns the merge patches that have the effect of a JSON Patch, one after the other.
func readPatch(op string, patch []byte) (steps []*node, err error) {
	var ops []patchOperation
	if err := json.Unmarshal(patch, &ops); err != nil || ops == nil {
		return nil, refuse(op, hubwire.InvalidDigitalTwinJSONPatch, "not a JSON Patch, an array of operations")
	}
	if len(ops) > maxPatchSteps {
		return nil, refuse(op, hubwire.InvalidDigitalTwinJSONPatch, "%d operations, the limit is %d", len(ops), maxPatchSteps)
	}
	for i, o := range ops {
		if o.Path == nil {
			return nil, refuse(op, hubwire.InvalidDigitalTwinJSONPatch, "operation %d has no path", i)
		}
		keys, err := patchPath(op, *o.Path)
		if err != nil {
			return nil, err
		}
		steps = append(steps, within(keys, &node{Raw: "null"}))
		switch o.Op {
		case "remove":
			continue
		case "add", "replace":
		default:
			return nil, refuse(op, hubwire.InvalidDigitalTwinPatch, "operation %d is %q, not add, replace or remove", i, o.Op)
		}
		if o.Value == nil {
			return nil, refuse(op, hubwire.InvalidDigitalTwinPatch, "operation %d, %s, has no value", i, o.Op)
		}
		value, err := patchValue(op, *o.Path, len(keys), o.Value)
		if err != nil {
			return nil, err
		}
		steps = append(steps, within(keys, value))
	}
	return steps, nil
}

// patchPath returns the one or two keys of a JSON pointer (RFC 6901).
func patchPath(op, path string) ([]string, error) {
	rest, ok := strings.CutPrefix(path, "/")
	keys := strings.Split(rest, "/")
	ok = ok && len(keys) <= 2
	for i, k := range keys {
		keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(k)
		var p sectionParser
		if k != "" && len(k) <= maxTwinKey {
			p.key(keys[i])
		}
		ok = ok && k != "" && len(k) <= maxTwinKey && p.err == nil && keys[i] != componentMark
	}
	if !ok {
		return nil, refuse(op, hubwire.InvalidDigitalTwinPatchPath, "the path %.64q is not /property, /component or /component/property", path)
	}
	return keys, nil
}

// within returns the merge patch that writes a value at a place. What is two keys
// deep is in a component.
func within(keys []string, value *node) *node {
	value.Key = keys[len(keys)-1]
	n := &node{Members: []*node{value}}
	if len(keys) == 1 {
		return n
	}
	n.Key = keys[0]
	if !value.isNull() {
		n.Members = append([]*node{{Key: componentMark, Raw: componentValue}}, n.Members...)
	}
	return &node{Members: []*node{n}}
}

// patchValue reads a value. An object with $metadata at the place of a component is one.
func patchValue(op, path string, depth int, value json.RawMessage) (*node, error) {
	var component struct {
		Metadata *json.RawMessage `json:"$metadata"`
	}
	isComponent := depth == 1 && value[0] == '{' && json.Unmarshal(value, &component) == nil && component.Metadata != nil
	text := []byte(value)
	if isComponent { // the reader drops $metadata at the top
		depth = 0
	}
	for range depth { // so that it is at the depth where it will be
		text = append(append([]byte(`{"v":`), text...), '}')
	}
	n, err := parseSection(op, "value of "+path, text)
	if err != nil {
		return nil, refuse(op, hubwire.InvalidDigitalTwinPayload, "%s", asError(op, err).Message)
	}
	for range depth {
		n = n.Members[0]
	}
	if isComponent {
		n.Members = append([]*node{{Key: componentMark, Raw: componentValue}}, n.Members...)
	}
	return n, nil
}

// InvokeCommand calls a command of a device, or of one of its components: the direct method
// command, or component*command. Else it is [Core.Invoke]; v's own name does not count.
func (c *Core) InvokeCommand(ctx context.Context, deviceID, component, command string, v *Invocation) (*hubwire.MethodResponse, error) {
	own := *v
	own.Name = command
	if component != "" && command != "" {
		own.Name = component + "*" + command
	}
	return c.Invoke(ctx, hubwire.Identity{DeviceID: deviceID}, &own)
}
