package topics

import (
	"encoding/json"
	"strconv"
	"strings"
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
	dst = appendPropertyName(dst, component, name)
	dst = append(append(dst, `{"value":`...), a.Value...)
	dst = strconv.AppendInt(append(dst, `,"ac":`...), int64(a.Status), 10)
	dst = strconv.AppendInt(append(dst, `,"av":`...), a.Version, 10)
	if a.Description != "" {
		dst = appendJSONString(append(dst, `,"ad":`...), a.Description)
	}
	return closeProperty(append(dst, '}'), component)
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
