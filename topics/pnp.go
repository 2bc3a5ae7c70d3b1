package topics

import (
	"encoding/json"
	"errors"
	"iter"
	"strconv"
	"strings"

	"github.com/hubwire/hubwire/internal/jsonobject"
)

// SplitCommand parts a direct method's name into a Plug and Play component and
// its command: "{component}*{command}", at the first '*'. A command of the
// root has no component.
func SplitCommand(method string) (component, command string) {
	if i := strings.IndexByte(method, '*'); i > 0 {
		return method[:i], method[i+1:]
	}
	return "", method
}

// AppendCommand appends the direct method's name of a Plug and Play command; an
// empty component stands for the root.
func AppendCommand(dst []byte, component, command string) []byte {
	if component != "" {
		dst = append(append(dst, component...), '*')
	}
	return append(dst, command...)
}

// AppendReported appends the reported patch that sets one Plug and Play property
// to value, which must be JSON:
//
//	{"{name}":{value}}
//	{"{component}":{"__t":"c","{name}":{value}}}
//
// An empty component stands for the root.
func AppendReported(dst []byte, component, name string, value json.RawMessage) []byte {
	dst = appendPropertyName(dst, component, name)
	dst = append(dst, value...)
	return closeProperty(dst, component)
}

// Acknowledgement is a device's answer to a desired Plug and Play property.
type Acknowledgement struct {
	Value       json.RawMessage // the value now in force
	Status      int             // ac: by custom like HTTP's
	Version     int64           // av: the desired $version that it answers
	Description string          // ad: for people; may be empty
}

// AppendAcknowledged appends the reported patch with which a device answers a
// desired property; in a component it is wrapped as [AppendReported] does:
//
//	{"{name}":{"value":{value},"ac":{status},"av":{version}[,"ad":"{description}"]}}
func AppendAcknowledged(dst []byte, component, name string, a *Acknowledgement) []byte {
	if a == nil {
		a = new(Acknowledgement)
	}
	dst = appendPropertyName(dst, component, name)
	dst = append(append(dst, `{"value":`...), a.Value...)
	dst = strconv.AppendInt(append(dst, `,"ac":`...), int64(a.Status), 10)
	dst = strconv.AppendInt(append(dst, `,"av":`...), a.Version, 10)
	if a.Description != "" {
		dst = appendJSONString(append(dst, `,"ad":`...), a.Description)
	}
	return closeProperty(append(dst, '}'), component)
}

// ParseAcknowledgement reads an answer as [AppendAcknowledged] writes it, from
// the value of a reported property. ok is false when that is another value: one
// without "ac" and "av".
func ParseAcknowledgement(value json.RawMessage) (a Acknowledgement, ok bool) {
	var v struct {
		Value       json.RawMessage `json:"value"`
		Status      *int            `json:"ac"`
		Version     *int64          `json:"av"`
		Description string          `json:"ad"`
	}
	if json.Unmarshal(value, &v) != nil || v.Status == nil || v.Version == nil {
		return Acknowledgement{}, false
	}
	return Acknowledgement{v.Value, *v.Status, *v.Version, v.Description}, true
}

// TwinProperty is one Plug and Play property of a twin.
type TwinProperty struct {
	Component string          // empty for the root
	Name      string          // empty for a component that is deleted as a whole
	Value     json.RawMessage // null when the property is deleted
}

// TwinProperties ranges over the Plug and Play properties in a section of a twin
// or in a patch of one, desired or reported, in their order:
//
//	{"{name}":{value},"{component}":{"__t":"c","{name}":{value}},"$version":3}
//
// The model says which members are components: isComponent. The mark "__t" says
// so too, but a patch need not have it; without a model isComponent is nil. What
// begins with '$' is left out. An error is a [*SyntaxError] with [ErrJSON], and
// the last that comes. Values are copies.
func TwinProperties(section []byte, isComponent func(name string) bool) iter.Seq2[TwinProperty, error] {
	return func(yield func(TwinProperty, error) bool) {
		err := eachMember(section, func(name string, value json.RawMessage) error {
			if isMarked(value) || isComponent != nil && isComponent(name) {
				return eachProperty(name, value, yield)
			}
			return yieldProperty(TwinProperty{"", name, value}, yield)
		})
		if err != nil && err != errStop {
			yield(TwinProperty{}, badJSON("twin section", section, err))
		}
	}
}

// errStop ends a walk that nobody wants to go on.
var errStop = errors.New("stop")

func yieldProperty(p TwinProperty, yield func(TwinProperty, error) bool) error {
	if !yield(p, nil) {
		return errStop
	}
	return nil
}

// eachProperty yields the properties of a component.
func eachProperty(component string, value json.RawMessage, yield func(TwinProperty, error) bool) error {
	if string(value) == "null" {
		return yieldProperty(TwinProperty{component, "", value}, yield)
	}
	return eachMember(value, func(name string, value json.RawMessage) error {
		if name == "__t" {
			return nil
		}
		return yieldProperty(TwinProperty{component, name, value}, yield)
	})
}

// isMarked reports whether value is an object that says it is a component.
func isMarked(value json.RawMessage) (marked bool) {
	if value[0] != '{' {
		return false
	}
	eachMember(value, func(name string, value json.RawMessage) error { // well-formed, or it were no value
		marked = marked || name == "__t" && string(value) == `"c"`
		return nil
	})
	return marked
}

// eachMember calls f for the members of a JSON object, but for those that begin
// with '$', until it returns an error.
func eachMember(object []byte, f func(name string, value json.RawMessage) error) error {
	return jsonobject.Each(object, func(name string, value json.RawMessage) error {
		if strings.HasPrefix(name, "$") {
			return nil
		}
		return f(name, value)
	})
}

func appendPropertyName(dst []byte, component, name string) []byte {
	dst = append(dst, '{')
	if component != "" {
		dst = append(appendJSONString(dst, component), `:{"__t":"c",`...)
	}
	return append(appendJSONString(dst, name), ':')
}

func closeProperty(dst []byte, component string) []byte {
	if component != "" {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendJSONString appends s as a JSON string. What is not UTF-8 in s becomes U+FFFD.
func appendJSONString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // of a string, which cannot fail
	return append(dst, b...)
}
