package topics_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

// reading is all that a Topic says.
type reading struct {
	Kind                 topics.Kind
	Device, Module, Name string
	Status               int
	RID, Version         string
	Operation            string
	Wait                 time.Duration
	Bag                  string
}

func readingOf(t topics.Topic) reading {
	wait, _ := t.RetryAfter()
	return reading{
		t.Kind, string(t.DeviceID()), string(t.ModuleID()), string(t.Name()), t.Status(),
		string(t.RequestID()), string(t.VersionText()), string(t.OperationID()), wait, string(t.Bag()),
	}
}

// valid topics. Those with a build are in our own form, which build gives.
var valid = []struct {
	name, topic string
	want        reading
	build       func() []byte
}{
	{"telemetry without a bag", "devices/d1/messages/events/",
		reading{Kind: topics.Telemetry, Device: "d1"},
		func() []byte { return topics.AppendTelemetry(nil, hubwire.Identity{DeviceID: "d1"}) }},
	{"telemetry with a bag", "devices/d1/messages/events/%24.mid=1&a=b",
		reading{Kind: topics.Telemetry, Device: "d1", Bag: "%24.mid=1&a=b"},
		func() []byte {
			b := topics.AppendTelemetry(nil, hubwire.Identity{DeviceID: "d1"})
			return topics.AppendProperty(topics.AppendSystem(b, topics.MessageID, "1"), "a", "b")
		}},
	{"telemetry without the last slash", "devices/d1/messages/events",
		reading{Kind: topics.Telemetry, Device: "d1"}, nil},
	{"telemetry with a leading slash, as old devices send it", "/devices/d1/messages/events/a=b",
		reading{Kind: topics.Telemetry, Device: "d1", Bag: "a=b"}, nil},
	{"telemetry of a module", "devices/d1/modules/m1/messages/events/k=v",
		reading{Kind: topics.Telemetry, Device: "d1", Module: "m1", Bag: "k=v"},
		func() []byte {
			return topics.AppendProperty(topics.AppendTelemetry(nil, hubwire.Identity{DeviceID: "d1", ModuleID: "m1"}), "k", "v")
		}},
	{"telemetry of a module from the Java SDK", "devices/d1/modules/m1/messages/events/k=v/",
		reading{Kind: topics.Telemetry, Device: "d1", Module: "m1", Bag: "k=v"}, nil},
	{"telemetry of a module from the Java SDK, no bag", "devices/d1/modules/m1/messages/events//",
		reading{Kind: topics.Telemetry, Device: "d1", Module: "m1"}, nil},
	{"telemetry with many slashes behind it", "devices/d1/messages/events/a=b////",
		reading{Kind: topics.Telemetry, Device: "d1", Bag: "a=b"}, nil},
	{"telemetry with a question mark before the bag, as some documents have it", "devices/d1/messages/events/?food=x",
		reading{Kind: topics.Telemetry, Device: "d1", Bag: "food=x"}, nil},
	{"telemetry with two question marks keeps one", "devices/d1/messages/events/??a=b",
		reading{Kind: topics.Telemetry, Device: "d1", Bag: "?a=b"}, nil},
	{"telemetry with a question mark and slashes alone", "devices/d1/messages/events/?//",
		reading{Kind: topics.Telemetry, Device: "d1"}, nil},
	{"telemetry from the C SDK, which escapes nothing", "devices/d1/messages/events/k=a/b&%24.ct=application/json&%24.cid=c 1",
		reading{Kind: topics.Telemetry, Device: "d1", Bag: "k=a/b&%24.ct=application/json&%24.cid=c 1"}, nil},
	{"telemetry whose bag looks like a topic", "devices/d1/messages/events/devices/d2/modules/m/messages/devicebound/",
		reading{Kind: topics.Telemetry, Device: "d1", Bag: "devices/d2/modules/m/messages/devicebound"}, nil},
	{"telemetry with a raw plus sign in its bag", "devices/d1/messages/events/a+b=+/+&+",
		reading{Kind: topics.Telemetry, Device: "d1", Bag: "a+b=+/+&+"}, nil},
	{"telemetry of a device with a plus sign in its id", "devices/+d+/messages/events/",
		reading{Kind: topics.Telemetry, Device: "+d+"}, nil},
	{"telemetry of a device called modules", "devices/modules/messages/events/",
		reading{Kind: topics.Telemetry, Device: "modules"}, nil},
	{"telemetry of a device and a module called modules", "devices/modules/modules/modules/messages/events/",
		reading{Kind: topics.Telemetry, Device: "modules", Module: "modules"}, nil},
	{"telemetry of a device called messages", "devices/messages/messages/events/messages/events/",
		reading{Kind: topics.Telemetry, Device: "messages", Bag: "messages/events"}, nil},
	{"telemetry with an id that holds every character an id may hold", "devices/aZ9-:.+%_*?!(),=@;$'/messages/events/",
		reading{Kind: topics.Telemetry, Device: "aZ9-:.+%_*?!(),=@;$'"}, nil},
	{"telemetry beyond ASCII", "devices/Küche/messages/events/raum=Küche&☃=😀",
		reading{Kind: topics.Telemetry, Device: "Küche", Bag: "raum=Küche&☃=😀"}, nil},
	{"telemetry with a blank, a tab and an exclamation mark", "devices/a b!/messages/events/x=\t \"!",
		reading{Kind: topics.Telemetry, Device: "a b!", Bag: "x=\t \"!"}, nil},

	{"C2D without a bag", "devices/d1/messages/devicebound/",
		reading{Kind: topics.C2D, Device: "d1"},
		func() []byte { return topics.AppendC2D(nil, hubwire.Identity{DeviceID: "d1"}) }},
	{"C2D without the last slash", "devices/d1/messages/devicebound", reading{Kind: topics.C2D, Device: "d1"}, nil},
	{"C2D to a module", "devices/d1/modules/m1/messages/devicebound/%24.to=%2Fx",
		reading{Kind: topics.C2D, Device: "d1", Module: "m1", Bag: "%24.to=%2Fx"},
		func() []byte {
			return topics.AppendSystem(topics.AppendC2D(nil, hubwire.Identity{DeviceID: "d1", ModuleID: "m1"}), topics.To, "/x")
		}},
	{"C2D keeps a trailing slash, as the C SDK does", "devices/d1/messages/devicebound/?a=b/",
		reading{Kind: topics.C2D, Device: "d1", Bag: "?a=b/"}, nil},

	{"an input", "devices/d1/modules/m1/inputs/in/%24.cdid=leaf",
		reading{Kind: topics.Input, Device: "d1", Module: "m1", Name: "in", Bag: "%24.cdid=leaf"},
		func() []byte {
			id := hubwire.Identity{DeviceID: "d1", ModuleID: "m1"}
			return topics.AppendSystem(topics.AppendInput(nil, id, "in"), topics.ConnectionDeviceID, "leaf")
		}},
	{"an input without a bag", "devices/d1/modules/m1/inputs/in%20put/",
		reading{Kind: topics.Input, Device: "d1", Module: "m1", Name: "in%20put"},
		func() []byte {
			return topics.AppendInput(nil, hubwire.Identity{DeviceID: "d1", ModuleID: "m1"}, "in put")
		}},

	{"a method request", "$iothub/methods/POST/reboot/?$rid=1a2",
		reading{Kind: topics.MethodRequest, Name: "reboot", RID: "1a2", Bag: "$rid=1a2"},
		func() []byte { return topics.AppendMethodRequest(nil, "reboot", "1a2") }},
	{"a method request with a long name and a long id", "$iothub/methods/POST/getMaxMinReport/?$rid=3226c2f7-3d30-425c-b83b-0c34335f8220",
		reading{Kind: topics.MethodRequest, Name: "getMaxMinReport", RID: "3226c2f7-3d30-425c-b83b-0c34335f8220", Bag: "$rid=3226c2f7-3d30-425c-b83b-0c34335f8220"},
		func() []byte {
			return topics.AppendMethodRequest(nil, "getMaxMinReport", "3226c2f7-3d30-425c-b83b-0c34335f8220")
		}},
	{"a method request with a name of one letter", "$iothub/methods/POST/m/?$rid=1",
		reading{Kind: topics.MethodRequest, Name: "m", RID: "1", Bag: "$rid=1"},
		func() []byte { return topics.AppendMethodRequest(nil, []byte("m"), []byte("1")) }},
	{"a method request of a component", "$iothub/methods/POST/thermostat1*reboot/?$rid=1",
		reading{Kind: topics.MethodRequest, Name: "thermostat1*reboot", RID: "1", Bag: "$rid=1"},
		func() []byte {
			return topics.AppendMethodRequest(nil, topics.AppendCommand(nil, "thermostat1", "reboot"), "1")
		}},
	{"a method request with a name that needs escapes", "$iothub/methods/POST/a%2Fb%3Fc%23d%2B%20%C3%A9/?$rid=1",
		reading{Kind: topics.MethodRequest, Name: "a%2Fb%3Fc%23d%2B%20%C3%A9", RID: "1", Bag: "$rid=1"},
		func() []byte { return topics.AppendMethodRequest(nil, "a/b?c#d+ é", "1") }},
	{"a method request with a name beyond ASCII", "$iothub/methods/POST/größe/?$rid=é1",
		reading{Kind: topics.MethodRequest, Name: "größe", RID: "é1", Bag: "$rid=é1"}, nil},
	{"a method request without the slash, as the Node SDK takes it", "$iothub/methods/POST/Reboot?$rid=1&k1=v1&k2=v2",
		reading{Kind: topics.MethodRequest, Name: "Reboot", RID: "1", Bag: "$rid=1&k1=v1&k2=v2"}, nil},
	{"a method request without the slash and with one in its query", "$iothub/methods/POST/Reboot?$rid=1&k=a/b",
		reading{Kind: topics.MethodRequest, Name: "Reboot", RID: "1", Bag: "$rid=1&k=a/b"}, nil},
	{"a method request with more in its query", "$iothub/methods/POST/m/?$rid=12345678&extra=größer",
		reading{Kind: topics.MethodRequest, Name: "m", RID: "12345678", Bag: "$rid=12345678&extra=größer"}, nil},
	{"a method request with an ampersand at the end", "$iothub/methods/POST/m/?$rid=12345678&",
		reading{Kind: topics.MethodRequest, Name: "m", RID: "12345678", Bag: "$rid=12345678&"}, nil},
	{"a method request whose id has blanks and marks", "$iothub/methods/POST/m/?$rid= a\"!b ",
		reading{Kind: topics.MethodRequest, Name: "m", RID: " a\"!b ", Bag: "$rid= a\"!b "}, nil},
	{"a method request with a blank in its name", "$iothub/methods/POST/my method/?$rid=1",
		reading{Kind: topics.MethodRequest, Name: "my method", RID: "1", Bag: "$rid=1"}, nil},
	{"a method request whose id has escapes, which stay", "$iothub/methods/POST/m/?$rid=a%24b",
		reading{Kind: topics.MethodRequest, Name: "m", RID: "a%24b", Bag: "$rid=a%24b"}, nil},

	{"a method response", "$iothub/methods/res/200/?$rid=1a2",
		reading{Kind: topics.MethodResponse, Status: 200, RID: "1a2", Bag: "$rid=1a2"},
		func() []byte { return topics.AppendMethodResponse(nil, 200, "1a2") }},
	{"a method response with status 0", "$iothub/methods/res/0/?$rid=1",
		reading{Kind: topics.MethodResponse, Status: 0, RID: "1", Bag: "$rid=1"},
		func() []byte { return topics.AppendMethodResponse(nil, 0, "1") }},
	{"a method response with status 65535", "$iothub/methods/res/65535/?$rid=1",
		reading{Kind: topics.MethodResponse, Status: 65535, RID: "1", Bag: "$rid=1"},
		func() []byte { return topics.AppendMethodResponse(nil, 65535, "1") }},
	{"a method response with the largest status", "$iothub/methods/res/2147483647/?$rid=1",
		reading{Kind: topics.MethodResponse, Status: math.MaxInt32, RID: "1", Bag: "$rid=1"},
		func() []byte { return topics.AppendMethodResponse(nil, math.MaxInt32, "1") }},
	{"a method response with the least status", "$iothub/methods/res/-2147483648/?$rid=1",
		reading{Kind: topics.MethodResponse, Status: math.MinInt32, RID: "1", Bag: "$rid=1"},
		func() []byte { return topics.AppendMethodResponse(nil, math.MinInt32, "1") }},
	{"a method response without the slash", "$iothub/methods/res/404?$rid=1",
		reading{Kind: topics.MethodResponse, Status: 404, RID: "1", Bag: "$rid=1"}, nil},
	{"a method response with $rid in the middle", "$iothub/methods/res/200/?$random&$rid=1&=value",
		reading{Kind: topics.MethodResponse, Status: 200, RID: "1", Bag: "$random&$rid=1&=value"}, nil},

	{"a twin request", "$iothub/twin/GET/?$rid=6f2c8",
		reading{Kind: topics.TwinGet, RID: "6f2c8", Bag: "$rid=6f2c8"},
		func() []byte { return topics.AppendTwinGet(nil, "6f2c8") }},
	{"the shortest topic of all", "$iothub/twin/GET?$rid=1", reading{Kind: topics.TwinGet, RID: "1", Bag: "$rid=1"}, nil},
	{"a reported patch", "$iothub/twin/PATCH/properties/reported/?$rid=5de34",
		reading{Kind: topics.TwinReported, RID: "5de34", Bag: "$rid=5de34"},
		func() []byte { return topics.AppendTwinReported(nil, "5de34", 0) }},
	{"a reported patch for a version", "$iothub/twin/PATCH/properties/reported/?$rid=R&$version=12",
		reading{Kind: topics.TwinReported, RID: "R", Version: "12", Bag: "$rid=R&$version=12"},
		func() []byte { return topics.AppendTwinReported(nil, "R", 12) }},
	{"a reported patch for a version that comes first", "$iothub/twin/PATCH/properties/reported/?$version=12&$rid=R",
		reading{Kind: topics.TwinReported, RID: "R", Version: "12", Bag: "$version=12&$rid=R"}, nil},
	{"a reported patch that wants no answer", "$iothub/twin/PATCH/properties/reported/?$version=12",
		reading{Kind: topics.TwinReported, Version: "12", Bag: "$version=12"}, nil},
	{"a reported patch with an empty id", "$iothub/twin/PATCH/properties/reported/?$rid=&$version=12",
		reading{Kind: topics.TwinReported, Version: "12", Bag: "$rid=&$version=12"}, nil},
	{"a reported patch with an empty query", "$iothub/twin/PATCH/properties/reported/?", reading{Kind: topics.TwinReported}, nil},
	{"a reported patch without a query", "$iothub/twin/PATCH/properties/reported/", reading{Kind: topics.TwinReported}, nil},
	{"a reported patch without a slash", "$iothub/twin/PATCH/properties/reported", reading{Kind: topics.TwinReported}, nil},
	{"a reported patch with an id beyond ASCII", "$iothub/twin/PATCH/properties/reported/?$rid=错误&$version=%20a",
		reading{Kind: topics.TwinReported, RID: "错误", Version: "%20a", Bag: "$rid=错误&$version=%20a"}, nil},

	{"a twin response", "$iothub/twin/res/200/?$rid=2f",
		reading{Kind: topics.TwinResponse, Status: 200, RID: "2f", Bag: "$rid=2f"},
		func() []byte { return topics.AppendTwinResponse(nil, 200, "2f", 0) }},
	{"a twin response with a version", "$iothub/twin/res/204/?$rid=2f&$version=17",
		reading{Kind: topics.TwinResponse, Status: 204, RID: "2f", Version: "17", Bag: "$rid=2f&$version=17"},
		func() []byte { return topics.AppendTwinResponse(nil, 204, "2f", 17) }},
	{"a twin response with the largest version", "$iothub/twin/res/204/?$rid=2f&$version=9223372036854775807",
		reading{Kind: topics.TwinResponse, Status: 204, RID: "2f", Version: "9223372036854775807", Bag: "$rid=2f&$version=9223372036854775807"},
		func() []byte { return topics.AppendTwinResponse(nil, 204, "2f", math.MaxInt64) }},
	{"a twin response with a version that comes first", "$iothub/twin/res/204/?$version=17&$rid=2f",
		reading{Kind: topics.TwinResponse, Status: 204, RID: "2f", Version: "17", Bag: "$version=17&$rid=2f"}, nil},
	{"a twin response without the slash", "$iothub/twin/res/204?$rid=2f&$version=17",
		reading{Kind: topics.TwinResponse, Status: 204, RID: "2f", Version: "17", Bag: "$rid=2f&$version=17"}, nil},
	{"a twin response that says all twice: the first counts", "$iothub/twin/res/204/?$version=1&$rid=2f&$version=2&$rid=3",
		reading{Kind: topics.TwinResponse, Status: 204, RID: "2f", Version: "1", Bag: "$version=1&$rid=2f&$version=2&$rid=3"}, nil},
	{"a twin response with more behind the version", "$iothub/twin/res/204/?$rid=2f&$version=17&x=y",
		reading{Kind: topics.TwinResponse, Status: 204, RID: "2f", Version: "17", Bag: "$rid=2f&$version=17&x=y"}, nil},
	{"a desired patch", "$iothub/twin/PATCH/properties/desired/?$version=3",
		reading{Kind: topics.TwinDesired, Version: "3", Bag: "$version=3"},
		func() []byte { return topics.AppendTwinDesired(nil, 3) }},
	{"a desired patch without the slash", "$iothub/twin/PATCH/properties/desired?x=y&$version=3",
		reading{Kind: topics.TwinDesired, Version: "3", Bag: "x=y&$version=3"}, nil},

	{"a registration", "$dps/registrations/PUT/iotdps-register/?$rid=1",
		reading{Kind: topics.DPSRegister, RID: "1", Bag: "$rid=1"},
		func() []byte { return topics.AppendDPSRegister(nil, "1") }},
	{"a question for a registration", "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=4.d0",
		reading{Kind: topics.DPSQuery, RID: "1", Operation: "4.d0", Bag: "$rid=1&operationId=4.d0"},
		func() []byte { return topics.AppendDPSQuery(nil, "1", "4.d0") }},
	{"a question with an operation that needs escapes", "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=a%26b",
		reading{Kind: topics.DPSQuery, RID: "1", Operation: "a%26b", Bag: "$rid=1&operationId=a%26b"},
		func() []byte { return topics.AppendDPSQuery(nil, "1", "a&b") }},
	{"a question whose operation comes first", "$dps/registrations/GET/iotdps-get-operationstatus/?operationId=4.d0&$rid=1",
		reading{Kind: topics.DPSQuery, RID: "1", Operation: "4.d0", Bag: "operationId=4.d0&$rid=1"}, nil},
	{"an answer of DPS", "$dps/registrations/res/200/?$rid=1",
		reading{Kind: topics.DPSResponse, Status: 200, RID: "1", Bag: "$rid=1"},
		func() []byte { return topics.AppendDPSResponse(nil, 200, "1", 0) }},
	{"an answer of DPS that asks to wait", "$dps/registrations/res/202/?$rid=1&retry-after=3",
		reading{Kind: topics.DPSResponse, Status: 202, RID: "1", Wait: 3 * time.Second, Bag: "$rid=1&retry-after=3"},
		func() []byte { return topics.AppendDPSResponse(nil, 202, "1", 2500*time.Millisecond) }},
	{"an answer of DPS that asks to wait first of all", "$dps/registrations/res/202/?retry-after=120&$rid=1",
		reading{Kind: topics.DPSResponse, Status: 202, RID: "1", Wait: 2 * time.Minute, Bag: "retry-after=120&$rid=1"}, nil},
	{"an answer of DPS that asks to wait for ever", "$dps/registrations/res/429/?$rid=1&retry-after=99999999999",
		reading{Kind: topics.DPSResponse, Status: 429, RID: "1", Wait: 24 * time.Hour, Bag: "$rid=1&retry-after=99999999999"}, nil},
	{"an answer of DPS whose wait is a date", "$dps/registrations/res/429/?$rid=1&retry-after=Mon",
		reading{Kind: topics.DPSResponse, Status: 429, RID: "1", Bag: "$rid=1&retry-after=Mon"}, nil},
}

func TestParse(t *testing.T) {
	for _, v := range valid {
		t.Run(v.name, func(t *testing.T) {
			parsed, err := topics.Parse([]byte(v.topic))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(v.want, readingOf(parsed)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", v.topic, diff)
			}
			id := hubwire.Identity{DeviceID: v.want.Device, ModuleID: v.want.Module}
			if parsed.Identity() != id || parsed.Is(id) != (id.DeviceID != "") {
				t.Errorf("Identity is %v and Is %v", parsed.Identity(), parsed.Is(id))
			}
			for _, other := range []hubwire.Identity{{}, {DeviceID: "other"}, {DeviceID: v.want.Device, ModuleID: "other"}} {
				if parsed.Is(other) {
					t.Errorf("it is of %v, it says", other)
				}
			}
			if v.build != nil {
				same(t, "the topic built", string(v.build()), v.topic)
			}
		})
	}
}

// A Topic is a view: what it gives lies in the caller's bytes, and ends where
// its part does, so that to append to one part cannot reach the next.
func TestTopicIsAView(t *testing.T) {
	for _, v := range valid {
		b := []byte(v.topic)
		parsed, err := topics.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] = '!'
		}
		for what, part := range map[string][]byte{
			"device id": parsed.DeviceID(), "module id": parsed.ModuleID(), "name": parsed.Name(),
			"$rid": parsed.RequestID(), "bag": parsed.Bag(),
		} {
			if string(part) != strings.Repeat("!", len(part)) {
				t.Errorf("%q: %s is a copy: %q", v.topic, what, part)
			}
			if cap(part) != len(part) {
				t.Errorf("%q: %s has %d bytes, and %d to append to", v.topic, what, len(part), cap(part))
			}
		}
	}
}

func TestVersionIsANumberOrNot(t *testing.T) {
	for text, want := range map[string]struct {
		n  int64
		ok bool
	}{
		"0": {0, true}, "17": {17, true}, "007": {7, true}, "-3": {-3, true}, "": {}, "-": {}, "+1": {}, "1.0": {}, "%31": {}, "x": {}, "1x": {},
		"9223372036854775807": {math.MaxInt64, true}, "-9223372036854775807": {-math.MaxInt64, true},
		"9223372036854775808": {}, "92233720368547758070": {}, "99999999999999999999": {},
	} {
		for _, topic := range []string{
			"$iothub/twin/res/204/?$rid=1&$version=" + text,
			"$iothub/twin/res/204/?$rid=1&$version=" + text + "&x=y",
			"$iothub/twin/PATCH/properties/reported/?$rid=1&$version=" + text,
		} {
			parsed := parseTopic(t, topic)
			if n, ok := parsed.Version(); n != want.n || ok != want.ok {
				t.Errorf("%q: version is %d, %v, want %d, %v", topic, n, ok, want.n, want.ok)
			}
		}
	}
	request, zero := parseTopic(t, "$iothub/methods/POST/m/?$rid=1&$version=3"), topics.Topic{}
	for _, parsed := range []topics.Topic{request, zero} {
		if n, ok := parsed.Version(); n != 0 || ok {
			t.Errorf("a %v has a version: %d, %v", parsed.Kind, n, ok)
		}
	}
}

func TestTheZeroTopicIsNone(t *testing.T) {
	var zero topics.Topic
	if diff := cmp.Diff(reading{}, readingOf(zero)); diff != "" || zero.Is(hubwire.Identity{}) {
		t.Errorf("it says something:\n%s", diff)
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range topics.DPSResponse + 1 {
		if s := k.String(); s == "" || seen[s] || (s == "invalid") != (k == 0) {
			t.Errorf("kind %d is called %q", k, s)
		}
		seen[k.String()] = true
	}
	if s := topics.Kind(200).String(); s != "invalid" {
		t.Errorf("kind 200 is called %q", s)
	}
}
