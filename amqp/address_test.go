package amqp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

func TestAddressesAsTheyAreWritten(t *testing.T) {
	device := hubwire.Identity{DeviceID: "d"}
	module := hubwire.Identity{DeviceID: "d", ModuleID: "$edgeHub"}
	odd := hubwire.Identity{DeviceID: "a%+#?@;'b"}
	for _, c := range []struct {
		name, in string
		role     Role
		want     Address
	}{
		{"another case", "/DEVICES/d/Messages/EVENTS", Sender, Address{Node: Telemetry, Identity: device}},
		{"many slashes, and one at the end", "///devices/d/messages/events/", Sender, Address{Node: Telemetry, Identity: device}},
		{"a URI", "AMQPS://h.example/devices/d/twin", Receiver, Address{Node: TwinResponses, Identity: device}},
		{"a URI with a port and two slashes", "amqps://h:5671//devices/d/twin", Sender, Address{Node: TwinRequests, Identity: device}},
		{"a module's $ escaped", "/devices/d/modules/%24edgeHub/methods/deviceBound", Receiver, Address{Node: MethodRequests, Identity: module}},
		{"a module's $ raw", "devices/d/modules/$edgeHub/methods/devicebound", Sender, Address{Node: MethodResponses, Identity: module}},
		{"an id with all that is odd, escaped", "/devices/a%25%2B%23%3F%40%3B%27b/messages/devicebound", Receiver, Address{Node: C2D, Identity: odd}},
		{"an id that is raw, with an escape that is none", "/devices/a%+#?@;'b/messages/devicebound", Receiver, Address{Node: C2D, Identity: odd}},
		{"an id escaped twice", "/devices/a%2525/twin", Sender, Address{Node: TwinRequests, Identity: hubwire.Identity{DeviceID: "a%25"}}},
		{"a device called modules", "/devices/modules/twin", Sender, Address{Node: TwinRequests, Identity: hubwire.Identity{DeviceID: "modules"}}},
		{"$cbs", "$cbs", Sender, Address{Node: CBS}},
		{"$cbs with a slash, of the other role", "/$CBS", Receiver, Address{Node: CBS}},
		{"$cbs of a host", "amqps://h.example/$cbs", Receiver, Address{Node: CBS}},
		{"events without anything", "messages/events", Receiver, Address{Node: Events}},
		{"events with a slash", "/messages/events/", Receiver, Address{Node: Events, Tail: "/"}},
		{"events of a partition", "amqps://h/messages/events/consumergroups/g/partitions/1", Receiver, Address{Node: Events, Tail: "/consumergroups/g/partitions/1"}},
		{"the management of events", "messages/events/$management", Sender, Address{Node: Events, Tail: "/$management"}},
		{"a partition", "hub/ConsumerGroups/$default/Partitions/12", Receiver, Address{Node: Partition, EventHub: "hub", ConsumerGroup: "$default", Partition: "12"}},
		{"a partition of an escaped group", "/hub/consumergroups/%24Default/partitions/0", Receiver, Address{Node: Partition, EventHub: "hub", ConsumerGroup: "$Default", Partition: "0"}},
		{"the management of a hub", "hub/$management", Receiver, Address{Node: Management, EventHub: "hub"}},
		{"file notifications as one guide has them", "/messages/servicebound/fileuploadnotifications", Receiver, Address{Node: FileNotifications}},
	} {
		got, err := ParseAddress(c.role, c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
		if again, err := ParseAddress(c.role, got.String()); err != nil || again != got {
			t.Errorf("%s: %s is %+v, %v", c.name, got, again, err)
		}
	}
}

func TestAddressesThatThereAreNot(t *testing.T) {
	for _, in := range []string{
		"", "/", "//", "amqps://h", "amqps://h/", "devices", "/devices/d", "/devices//twin", "/devices/d/modules//twin", "/devices/d/modules/m",
		"/devices/a%2Fb/twin", "/devices/a b/twin", "/devices/é/twin", "/devices/" + strings.Repeat("x", 129) + "/twin", "/devices/d/twin/x", "/x/devices/d/twin",
		"/devices/d/messages/events?x", "/messages/events/x", "/messages/events/ConsumerGroups/g/Partitions", "/messages/events/ConsumerGroups//Partitions/0",
		"/messages/serviceBound/x", "hub/ConsumerGroups/g/Partitions/", "hub/ConsumerGroups/g/Partitions/0/x", "hub", "hub/x", "$management/x/y", "\x00", strings.Repeat("/", 1<<16),
		strings.Repeat("a/", 1<<16), "http:/h/devices/d/twin", "/meſſages/events", "/deviceſ/d/twin",
	} {
		for _, role := range []Role{Sender, Receiver} {
			a, err := ParseAddress(role, in)
			if !errors.Is(err, hubwire.AMQPAddressNotFound) || a != (Address{}) {
				t.Errorf("%.60q is %+v, %v", in, a, err)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		}
	}
	for role, in := range map[Role]string{
		Sender: "/devices/d/messages/devicebound", Receiver: "/devices/d/messages/events", // a device has no inputs
	} {
		if a, err := ParseAddress(role, in); err == nil {
			t.Errorf("%s is %v", in, a.Node)
		}
	}
	if got := (Address{Node: Input, Identity: hubwire.Identity{DeviceID: "d"}}).String(); got != "" {
		t.Errorf("the input of a device is %s", got)
	}
}

func TestAnAddressHasRoomForAnyIdentity(t *testing.T) {
	worst := strings.Repeat("%", hubwire.MaxIDLength)
	id := hubwire.Identity{DeviceID: worst, ModuleID: worst}
	m := parsed(t, AppendSend(nil, id, nil))
	got, err := ParseDestination(string(m.To()))
	if err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSelectors(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Start
	}{
		{"amqp.annotation.x-opt-offset>'-1'", Start{}},
		{"  amqp.annotation.x-opt-offset  >=  -1 ", Start{}},
		{"amqp.annotation.x-opt-offset > '@LATEST'", Start{At: Latest}},
		{"amqp.annotation.x-opt-offset > 'abc:1'", Start{At: AtOffset, Offset: "abc:1"}},
		{"amqp.annotation.x-opt-sequence-number >= '-5'", Start{At: AtSequence, Sequence: -5, Inclusive: true}},
		{"amqp.annotation.x-opt-enqueuedtimeutc >1", Start{At: AtTime, Time: time.UnixMilli(1).UTC()}},
	} {
		if got, err := ParseSelector(c.in); err != nil || got != c.want {
			t.Errorf("%q is %+v, %v", c.in, got, err)
		}
	}
	for _, in := range []string{
		"", ">", "> 1", "amqp.annotation.x-opt-offset", "amqp.annotation.x-opt-offset >", "amqp.annotation.x-opt-offset > ''", "amqp.annotation.x-opt-offset < '1'",
		"amqp.annotation.x-opt-offset = '1'", "amqp.annotation.x-opt-offset > '1' OR 1 = 1", "amqp.annotation.x-opt-sequence-number > 'x'",
		"amqp.annotation.x-opt-sequence-number > 99999999999999999999", "amqp.annotation.x-opt-enqueued-time > '2026-01-01'",
		"amqp.annotation.x-opt-enqueued-time > 9223372036854775807", "amqp.annotation.other > 1", "x-opt-offset > 1", "amqp.annotation.x-opt-offset > '1",
	} {
		if got, err := ParseSelector(in); !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("%q is %+v, %v", in, got, err)
		}
	}
}

func TestFilters(t *testing.T) {
	text := "amqp.annotation.x-opt-sequence-number > '7'"
	want := Start{At: AtSequence, Sequence: 7}
	described := func(descriptor, value Typed) Typed {
		return raw(value.AppendTo(descriptor.AppendTo([]byte{0}))...)
	}
	for _, c := range []struct {
		name string
		in   []byte
		ok   bool
		code hubwire.Code
	}{
		{"none", nil, false, 0},
		{"an empty map", mapOf(), false, 0},
		{"a descriptor that is a symbol, as uAMQP sends it", mapOf(Symbol(SelectorFilter), described(Symbol(SelectorFilter), String(text))), true, 0},
		{"a name of the client's", mapOf(Symbol("f"), described(Ulong(selectorDescriptor), String(text))), true, 0},
		{"no descriptor", mapOf(String(SelectorFilter), String(text)), true, 0},
		{"others too", mapOf(Symbol("a"), described(Ulong(1), Int(1)), Symbol("f"), described(Ulong(selectorDescriptor), String(text))), true, 0},
		{"another alone", mapOf(Symbol("apache.org:no-local-filter:list"), described(Ulong(3), raw(0x45))), false, 0},
		{"a number", mapOf(Symbol(SelectorFilter), described(Ulong(selectorDescriptor), Int(1))), false, hubwire.ArgumentInvalid},
		{"nonsense", mapOf(Symbol(SelectorFilter), described(Ulong(selectorDescriptor), String("x"))), false, hubwire.ArgumentInvalid},
		{"a list", listOf(String(SelectorFilter), String(text)), false, 0},
	} {
		got, ok, err := ParseFilter(amqp10.ValueOf(c.in))
		if ok != c.ok || ok && got != want || c.code != 0 && !errors.Is(err, c.code) || c.code == 0 && err != nil {
			t.Errorf("%s: %+v, %v, %v", c.name, got, ok, err)
		}
	}
}

func TestLinkProperties(t *testing.T) {
	epoch := int64(0)
	for _, c := range []struct {
		name string
		in   []byte
		want LinkProperties
		pair string
	}{
		{"none", nil, LinkProperties{}, ""},
		{".NET's timeout of services", mapOf(Symbol(LinkTimeout), raw(amqp10.AppendDouble(nil, 1500.5)...)), LinkProperties{Timeout: 1500500 * time.Microsecond}, ""},
		{"a timeout that is none", mapOf(Symbol(LinkTimeout), raw(amqp10.AppendDouble(nil, -1)...)), LinkProperties{}, ""},
		{"a timeout beyond all", mapOf(Symbol(LinkTimeout), Ulong(1<<63)), LinkProperties{}, ""},
		{"a channel with a prefix", mapOf(Symbol(LinkChannel), String("twin:a:b")), LinkProperties{Channel: "twin:a:b"}, "a:b"},
		{"the C SDK's channel of methods", mapOf(Symbol(LinkChannel), String("dev/mod")), LinkProperties{Channel: "dev/mod"}, ""},
		{"an epoch of null", mapOf(Symbol(LinkEpoch), Typed{}), LinkProperties{}, ""},
		{"an epoch of another width", mapOf(String(LinkEpoch), Uint(0)), LinkProperties{Epoch: &epoch}, ""},
		{"what belongs elsewhere", mapOf(Symbol("x"), Int(1), Symbol(LinkModelID), Int(1)), LinkProperties{}, ""},
	} {
		got, err := ParseLinkProperties(amqp10.ValueOf(c.in))
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" || got.Pair() != c.pair {
			t.Errorf("%s: %v, %q (-want +got):\n%s", c.name, err, got.Pair(), diff)
		}
	}
	if _, err := ParseLinkProperties(amqp10.ValueOf(mapOf(Symbol(LinkEpoch), String("1")))); !errors.Is(err, hubwire.ArgumentInvalid) {
		t.Error(err)
	}
}
