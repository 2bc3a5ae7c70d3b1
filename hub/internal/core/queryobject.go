package core

import (
	"maps"
	"slices"
	"strconv"

	"github.com/hubwire/hubwire/hub/internal/query"
)

// What is inside a twin, as queries look at it and as they write it.

// Member implements [query.Row].
func (n *node) Member(name string) query.Value {
	if m := n.child(name); m != nil {
		return m.value()
	}
	return query.Value{}
}

// child returns the member of an object, or nil.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, m := range n.Members {
		if m.Key == name {
			return m
		}
	}
	return nil
}

func (n *node) value() query.Value {
	if n.isObject() {
		return query.ObjectOf(n)
	}
	return query.JSON(n.Raw)
}

// propertiesObject is the member "properties" of a twin.
type propertiesObject twin

// Member implements [query.Row].
func (p *propertiesObject) Member(name string) query.Value {
	switch name {
	case "desired":
		return query.ObjectOf((*sectionObject)(&p.Desired))
	case "reported":
		return query.ObjectOf((*sectionObject)(&p.Reported))
	}
	return query.Value{}
}

// AppendJSON implements [query.Object].
func (p *propertiesObject) AppendJSON(dst []byte) []byte {
	dst = (*sectionObject)(&p.Desired).AppendJSON(append(dst, `{"desired":`...))
	dst = (*sectionObject)(&p.Reported).AppendJSON(append(dst, `,"reported":`...))
	return append(dst, '}')
}

// sectionObject is a section with its $metadata and $version.
type sectionObject section

// Member implements [query.Row].
func (s *sectionObject) Member(name string) query.Value {
	switch name {
	case "$version":
		return query.Number(float64(s.Version))
	case "$metadata":
		return query.ObjectOf((*metadataObject)(s.Root))
	}
	return s.Root.Member(name)
}

// AppendJSON implements [query.Object].
func (s *sectionObject) AppendJSON(dst []byte) []byte {
	dst = s.Root.AppendJSON(dst)
	dst = dst[:len(dst)-1] // the brace
	if len(s.Root.Members) > 0 {
		dst = append(dst, ',')
	}
	dst = s.Root.appendMetadata(append(dst, `"$metadata":`...))
	dst = append(dst, `,"$version":`...)
	return append(strconv.AppendInt(dst, s.Version, 10), '}')
}

// metadataObject is the $metadata of a part of a section.
type metadataObject node

// Member implements [query.Row].
func (m *metadataObject) Member(name string) query.Value {
	switch name {
	case "$lastUpdated":
		return timeValue(m.At)
	case "$lastUpdatedVersion":
		if m.Version == 0 {
			return query.Value{}
		}
		return query.Number(float64(m.Version))
	}
	if c := (*node)(m).child(name); c != nil {
		return query.ObjectOf((*metadataObject)(c))
	}
	return query.Value{}
}

// AppendJSON implements [query.Object].
func (m *metadataObject) AppendJSON(dst []byte) []byte { return (*node)(m).appendMetadata(dst) }

// configurationsObject is the states of configurations by their ids.
type configurationsObject map[string]string

// Member implements [query.Row].
func (c configurationsObject) Member(id string) query.Value {
	if state := c[id]; state != "" {
		return query.ObjectOf(query.Fields{{Name: "status", Value: query.String(state)}})
	}
	return query.Value{}
}

// AppendJSON implements [query.Object].
func (c configurationsObject) AppendJSON(dst []byte) []byte {
	fs := make(query.Fields, 0, len(c))
	for _, id := range slices.Sorted(maps.Keys(c)) {
		fs = append(fs, query.Field{Name: id, Value: c.Member(id)})
	}
	return fs.AppendJSON(dst)
}
