package core

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
)

// ConfigurationContent is what a configuration writes: exactly one of its three. Keys of the inner
// maps are "properties.desired", for all desired properties, or a path in them,
// such as "properties.desired.led". It must not be changed once it was given away.
type ConfigurationContent struct {
	Device  map[string]json.RawMessage            `json:"deviceContent,omitzero"`
	Module  map[string]json.RawMessage            `json:"moduleContent,omitzero"`
	Modules map[string]map[string]json.RawMessage `json:"modulesContent,omitzero"` // of an edge device, by module id
}

func (c *ConfigurationContent) isZero() bool {
	return c.Device == nil && c.Module == nil && c.Modules == nil
}

// content is a [ConfigurationContent] that was read: what is written into each twin, the
// outer places first. The key is the module of an edge device, or empty for the twin that is targeted.
type content map[string][]write

// write is a value for a place in desired properties, which are all when the path is empty.
type write struct {
	path  []string
	value *node // never changed
}

// marshal is [json.Marshal] without escapes for HTML, which would change what is raw.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func badContent(op, format string, args ...any) error {
	return refuse(op, hubwire.InvalidConfigurationContent, format, args...)
}

// compile reads the content. What it is for follows from which of the three there is.
func (c *ConfigurationContent) compile(op string) (out content, kind ruleKind, err error) {
	all, kind, n := c.kind()
	if n != 1 {
		return nil, 0, badContent(op, "the content has %d of deviceContent, moduleContent and modulesContent, not one", n)
	}
	if len(c.Modules) > maxModulesOfDeployment {
		return nil, 0, badContent(op, "the content has %d modules, the limit is %d", len(c.Modules), maxModulesOfDeployment)
	}
	out = content{}
	for module, places := range all {
		if kind == forEdge {
			if err := (hubwire.Identity{DeviceID: "edge", ModuleID: module}).Check(); err != nil || module == "" {
				return nil, 0, badContent(op, "%.64q is no module id", module)
			}
		}
		if out[module], err = readWrites(op, places); err != nil {
			return nil, 0, err
		}
	}
	return out, kind, nil
}

// kind returns what there is of the three, by module, and how many there are. One that is
// empty is none beside another: clients send all three.
func (c *ConfigurationContent) kind() (all map[string]map[string]json.RawMessage, kind ruleKind, n int) {
	for _, least := range [...]int{1, 0} {
		if c.Device != nil && len(c.Device) >= least {
			all, kind, n = map[string]map[string]json.RawMessage{"": c.Device}, forDevices, n+1
		}
		if c.Module != nil && len(c.Module) >= least {
			all, kind, n = map[string]map[string]json.RawMessage{"": c.Module}, forModules, n+1
		}
		if c.Modules != nil && len(c.Modules) >= least {
			all, kind, n = c.Modules, forEdge, n+1
		}
		if n > 0 {
			break
		}
	}
	return all, kind, n
}

func readWrites(op string, places map[string]json.RawMessage) (ws []write, err error) {
	if len(places) > maxPlaces {
		return nil, badContent(op, "the content for one twin has %d places, the limit is %d", len(places), maxPlaces)
	}
	size := 0
	for place, value := range places {
		w, err := readWrite(op, place, value)
		if err != nil {
			return nil, err
		}
		if size += w.value.size(); size > hubwire.MaxTwinSectionSize {
			return nil, badContent(op, "the content for one twin is over %d bytes", hubwire.MaxTwinSectionSize)
		}
		ws = append(ws, w)
	}
	slices.SortFunc(ws, func(a, b write) int {
		return cmp.Or(cmp.Compare(len(a.path), len(b.path)), slices.Compare(a.path, b.path))
	})
	return ws, nil
}

func readWrite(op, place string, value json.RawMessage) (write, error) {
	const all = "properties.desired"
	path, inside := strings.CutPrefix(place, all+".")
	if !inside && place != all || !utf8.ValidString(place) {
		return write{}, badContent(op, "%.128q is not a place in %s", place, all)
	}
	var w write
	text := bytes.Clone(value)
	if inside {
		w.path = strings.Split(path, ".")
	}
	if len(w.path) > maxTwinDepth {
		return write{}, badContent(op, "%.128q is too deep", place)
	}
	for _, key := range slices.Backward(w.path) {
		name, _ := marshal(key) // a string: cannot fail
		text = slices.Concat([]byte("{"), name, []byte(":"), text, []byte("}"))
	}
	n, err := parseSection(op, place, text)
	if err != nil {
		return write{}, badContent(op, "%s", asError(op, err).Message)
	}
	for range w.path {
		if len(n.Members) != 1 { // a key that parseSection takes for its own
			return write{}, badContent(op, "%.128q is no path", place)
		}
		n = n.Members[0]
	}
	w.value = n
	return w, nil
}

// to returns desired properties after the write.
func (w write) to(root *node) *node {
	if len(w.path) == 0 {
		return &node{Members: w.value.Members}
	}
	root = merge(root, at(w.path, &node{Key: w.path[len(w.path)-1], Raw: "null"}), stamp{})
	return merge(root, at(w.path, w.value), stamp{})
}

// at returns the object that has a value, whose key is the last of the path, at the path.
func at(path []string, value *node) *node {
	n := value
	for i := len(path) - 1; i >= 0; i-- {
		parent := &node{Members: []*node{n}}
		if i > 0 {
			parent.Key = path[i-1]
		}
		n = parent
	}
	return n
}

// covers reports whether w replaces all that o writes.
func (w write) covers(o write) bool {
	return len(w.path) <= len(o.path) && slices.Equal(w.path, o.path[:len(w.path)])
}

// isBase reports whether a deployment stands alone: it has all of $edgeAgent, where a layered
// one adds to what those below it have.
func (c content) isBase() bool {
	ws := c["$edgeAgent"]
	return len(ws) > 0 && len(ws[0].path) == 0
}

func (c content) equal(o content) bool {
	if len(c) != len(o) {
		return false
	}
	for module, ws := range c {
		os, ok := o[module]
		if !ok || !slices.EqualFunc(ws, os, write.equal) {
			return false
		}
	}
	return true
}

func (w write) equal(o write) bool {
	a, b := &node{Members: []*node{w.value}}, &node{Members: []*node{o.value}}
	return slices.Equal(w.path, o.path) && diff(a, b) == nil
}
