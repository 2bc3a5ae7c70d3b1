package amqp

import (
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/percent"
)

// Role is which end of a link the client has, as its attach says: a client that sends has
// the address in the target of its attach, one that receives in the source.
type Role = amqp10.Role

// The roles of a client.
const (
	Sender   = amqp10.RoleSender
	Receiver = amqp10.RoleReceiver
)

// Node is what a link leads to. The zero Node is none.
type Node uint8

// The nodes. "Client" is who attaches, whichever end that is of IoT Hub.
const (
	CBS               Node = iota + 1 // where tokens are put; a link each way
	Telemetry                         // of a device or module; the client sends
	C2D                               // to a device or module; the client receives
	Input                             // to the inputs of a module; the client receives
	MethodRequests                    // to a device or module; the client receives
	MethodResponses                   // the client sends
	TwinRequests                      // the client sends
	TwinResponses                     // and notifications; the client receives
	C2DSend                           // of a service; the client sends
	Feedback                          // to a service; the client receives
	FileNotifications                 // to a service; the client receives
	Events                            // the hub's own name of the events, from where it redirects
	Partition                         // of the Event Hubs-compatible endpoint; the client receives
	Management                        // of that endpoint; a link each way
	nodes
)

// String returns what the node is called in messages for people, such as "method requests".
func (n Node) String() string {
	if n == 0 || n >= nodes {
		return "no node"
	}
	return [nodes]string{
		CBS: "$cbs", Telemetry: "telemetry", C2D: "c2d", Input: "input",
		MethodRequests: "method requests", MethodResponses: "method responses",
		TwinRequests: "twin requests", TwinResponses: "twin responses",
		C2DSend: "c2d send", Feedback: "feedback", FileNotifications: "file notifications",
		Events: "events", Partition: "partition", Management: "$management",
	}[n]
}

// Address is what the address of a link says. It is comparable; the zero Address is none.
type Address struct {
	Node     Node             // what the link is for
	Identity hubwire.Identity // of the links of a device or module

	EventHub      string // the Event Hubs-compatible name; of Management it may be empty
	ConsumerGroup string // of a Partition
	Partition     string // its id: "0"

	// Tail, of Events, is what follows "messages/events": empty, "/", "/$management" or
	// "/ConsumerGroups/{group}/Partitions/{id}", as the client wrote it.
	Tail string
}

// form is one form of an address: as it is written, and who may attach to it.
type form struct {
	node     Node
	roles    roles
	text     string
	segments []string // of text
}

type roles uint8

const (
	sends roles = 1 << iota
	receives
	either = sends | receives
)

func (r roles) has(role Role) bool {
	if role == Receiver {
		return r&receives != 0
	}
	return r&sends != 0
}

// forms are the addresses, as most SDKs spell them. What stands in braces is a segment
// of the client's. Of a node that has several, those with more come first.
var forms = func() []form {
	fs := []form{
		{node: CBS, roles: either, text: "$cbs"},
		{node: Telemetry, roles: sends, text: "/devices/{device}/modules/{module}/messages/events"},
		{node: Telemetry, roles: sends, text: "/devices/{device}/messages/events"},
		{node: C2D, roles: receives, text: "/devices/{device}/modules/{module}/messages/devicebound"},
		{node: C2D, roles: receives, text: "/devices/{device}/messages/devicebound"},
		{node: Input, roles: receives, text: "/devices/{device}/modules/{module}/messages/events"},
		{node: MethodRequests, roles: receives, text: "/devices/{device}/modules/{module}/methods/devicebound"},
		{node: MethodRequests, roles: receives, text: "/devices/{device}/methods/devicebound"},
		{node: MethodResponses, roles: sends, text: "/devices/{device}/modules/{module}/methods/devicebound"},
		{node: MethodResponses, roles: sends, text: "/devices/{device}/methods/devicebound"},
		{node: TwinRequests, roles: sends, text: "/devices/{device}/modules/{module}/twin"},
		{node: TwinRequests, roles: sends, text: "/devices/{device}/twin"},
		{node: TwinResponses, roles: receives, text: "/devices/{device}/modules/{module}/twin"},
		{node: TwinResponses, roles: receives, text: "/devices/{device}/twin"},
		{node: C2DSend, roles: sends, text: "/messages/devicebound"},
		{node: Feedback, roles: receives, text: "/messages/serviceBound/feedback"},
		{node: FileNotifications, roles: receives, text: "/messages/serviceBound/filenotifications"},
		{node: FileNotifications, roles: receives, text: "/messages/serviceBound/fileuploadnotifications"}, // only in a guide
		{node: Events, roles: receives, text: "messages/events"},
		{node: Events, roles: receives, text: "messages/events/ConsumerGroups/{group}/Partitions/{partition}"},
		{node: Events, roles: either, text: "messages/events/$management"},
		{node: Partition, roles: receives, text: "{hub}/ConsumerGroups/{group}/Partitions/{partition}"},
		{node: Management, roles: either, text: "{hub}/$management"},
		{node: Management, roles: either, text: "$management"},
	}
	for i := range fs {
		fs[i].segments = strings.Split(strings.TrimPrefix(fs[i].text, "/"), "/")
	}
	return fs
}()

// eventsPath is what the addresses of Events begin with.
const eventsPath = "messages/events"

// ParseAddress returns what the address of a client in this role names.
//
// It takes what the SDKs send: literals in any case, a path with or without slashes in
// front of it and with or without one at its end, or that path behind scheme, host and port
// (amqps://h:5671/...), of which nothing is looked at. Ids, groups and partitions are
// percent-decoded once; where an escape is malformed they stay as they are, for some SDKs
// write ids raw. The identity has passed [hubwire.Identity.Check].
//
// The error is a [*hubwire.Error] with code [hubwire.AMQPAddressNotFound]: there is no such
// address, or not in this role.
//
// Source: spec/amqp.md 3, 4.1, 5 and 6.2.
func ParseAddress(role Role, text string) (Address, error) {
	path := pathOf(text)
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i := range forms {
		f := &forms[i]
		if !f.roles.has(role) {
			continue
		}
		a, ok := f.match(segments)
		if !ok {
			continue
		}
		if a.Node == Events {
			return Address{Node: Events, Tail: path[len(eventsPath):]}, nil
		}
		if a.Identity != (hubwire.Identity{}) && a.Identity.Check() != nil {
			break
		}
		return a, nil
	}
	who := "sender"
	if role == Receiver {
		who = "receiver"
	}
	return Address{}, refused("attach", hubwire.AMQPAddressNotFound, "no %s has the address %.200q", who, text)
}

// pathOf returns an address without scheme and authority, and without slashes in front.
func pathOf(text string) string {
	if scheme, rest, ok := strings.Cut(text, "://"); ok && !strings.Contains(scheme, "/") {
		_, text, _ = strings.Cut(rest, "/")
	}
	return strings.TrimLeft(text, "/")
}

// match returns the address that segments are of this form, if they are.
func (f *form) match(segments []string) (a Address, ok bool) {
	if len(segments) != len(f.segments) {
		return a, false
	}
	a.Node = f.node
	for i, want := range f.segments {
		if field := a.field(want); field != nil {
			*field = unescape(segments[i])
			if *field == "" {
				return a, false
			}
		} else if len(want) != len(segments[i]) || !strings.EqualFold(want, segments[i]) { // no "ſ" for an "s"
			return a, false
		}
	}
	return a, true
}

// field returns the field that a segment in braces is for, or nil for a literal.
func (a *Address) field(segment string) *string {
	switch segment {
	case "{device}":
		return &a.Identity.DeviceID
	case "{module}":
		return &a.Identity.ModuleID
	case "{hub}":
		return &a.EventHub
	case "{group}":
		return &a.ConsumerGroup
	case "{partition}":
		return &a.Partition
	}
	return nil
}

// segmentTable leaves what a segment of a path may hold, but for "+", which a reader of
// forms takes for a blank.
var segmentTable = percent.NewTable("-._~!$'()*,;=:@")

// AppendTo appends the address in the form that most SDKs send: a path, its ids
// percent-encoded where a reader that decodes them would read another.
//
//	/devices/{device}[/modules/{module}]/messages/events
//	{hub}/ConsumerGroups/{group}/Partitions/{partition}
//
// The zero Address, and one that lacks what its node needs, appends nothing.
func (a Address) AppendTo(dst []byte) []byte {
	if a.Node == Events {
		return append(append(dst, eventsPath...), a.Tail...)
	}
	for i := range forms {
		if f := &forms[i]; f.node == a.Node && f.fits(&a) {
			return f.append(dst, &a)
		}
	}
	return dst
}

// fits reports whether a has all that f needs.
func (f *form) fits(a *Address) bool {
	for _, s := range f.segments {
		if field := a.field(s); field != nil && *field == "" {
			return false
		}
	}
	return true
}

func (f *form) append(dst []byte, a *Address) []byte {
	slash := strings.HasPrefix(f.text, "/")
	for _, s := range f.segments {
		if slash {
			dst = append(dst, '/')
		}
		slash = true
		if field := a.field(s); field != nil {
			dst = appendEscaped(dst, *field)
		} else {
			dst = append(dst, s...)
		}
	}
	return dst
}

// String returns what AppendTo appends.
func (a Address) String() string { return string(a.AppendTo(nil)) }

// ParseDestination returns the identity that a service's message is for, which its
// property "to" names by the address of the device's link:
//
//	/devices/{device}[/modules/{module}]/messages/devicebound
//
// It is as lenient as [ParseAddress]. The error is a [*hubwire.Error] with code
// [hubwire.ArgumentInvalid].
func ParseDestination(to string) (hubwire.Identity, error) {
	a, err := ParseAddress(Receiver, to)
	if err != nil || a.Node != C2D {
		return hubwire.Identity{}, refused("send", hubwire.ArgumentInvalid, "%.200q is not the address of a device or module", to)
	}
	return a.Identity, nil
}

func appendEscaped(dst []byte, s string) []byte {
	for i := range len(s) {
		e := segmentTable[s[i]]
		dst = append(dst, byte(e))
		if e>>24 == 3 {
			dst = append(dst, byte(e>>8), byte(e>>16))
		}
	}
	return dst
}

// unescape decodes percent-escapes. What is malformed stays as it is.
func unescape(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c := percent.Unhex(s[i+1], s[i+2]); c >= 0 {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
