package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// Section 3, property bags: what comes in, and what goes out.

func bagRules() []rule {
	const grammar, system, times, inbound = "3.1 bag grammar", "3.2 system properties", "3.4 times", "3.6 inbound"
	reads := func(section, says, bag string, want hubwire.Message) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			got := connect(t, h, dev, nil).telemeter(h, telemetryTopic+bag, "hi").Message
			want.Body = []byte("hi")
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		}}
	}
	properties := func(nameValue ...string) (m hubwire.Message) {
		for i := 0; i < len(nameValue); i += 2 {
			m.Properties = append(m.Properties, hubwire.Property{Name: nameValue[i], Value: nameValue[i+1]})
		}
		return m
	}
	expires := func(says, value string, nanoseconds int) rule {
		return reads(times, "a time is read "+says, "%24.exp="+value,
			hubwire.Message{Expiry: time.Date(2017, 1, 6, 23, 37, 0, nanoseconds, time.UTC)})
	}
	return []rule{
		reads(grammar, "a name without a value is null, which is kept as empty, and name= is empty", "prop1&prop2=&prop3=a%20string",
			properties("prop1", "", "prop2", "", "prop3", "a string")),
		reads(grammar, "names and values are percent-encoded UTF-8, in either case of the hex digits", "K%C3%BCche%20%231=%c3%a4%26%3d%2F", properties("Küche #1", "ä&=/")),
		reads(grammar, "a question mark before the bag is dropped, one in it is not", "?a=b?", properties("a", "b?")),
		reads(grammar, "slashes behind the bag are dropped, as .NET and Java send them", "a=b//", properties("a", "b")),
		reads(grammar, "slashes in it stay, as the C SDK sends them", "%24.ct=application/json&a=/b/c", hubwire.Message{
			ContentType: "application/json", Properties: []hubwire.Property{{Name: "a", Value: "/b/c"}}}),
		reads(system, "a system property may be written $. or %24., but in its own letters alone", "%24.mid=1&$.cid=2&$.MID=3", hubwire.Message{
			ID: "1", CorrelationID: "2", Properties: []hubwire.Property{{Name: "$.MID", Value: "3"}}}),
		reads(system, "every system property has its place", "$.mid=1&$.cid=2&$.uid=3&$.to=%2F4&$.ct=5&$.ce=6&$.ctime=2020-01-02T03:04:05.678Z&$.exp=2020-01-02T03%3A04%3A05.6789012Z"+
			"&$.on=7&$.sub=8&$.ifid=9&$.schema=10&$.diagid=11&$.diagctx=creationtimeutc%3D12",
			hubwire.Message{ID: "1", CorrelationID: "2", UserID: "3", To: "/4", ContentType: "5", ContentEncoding: "6",
				CreationTime: time.Date(2020, 1, 2, 3, 4, 5, 678e6, time.UTC), Expiry: time.Date(2020, 1, 2, 3, 4, 5, 678901200, time.UTC),
				Output: "7", Component: "8", InterfaceID: "9", Schema: "10", DiagnosticID: "11", DiagnosticContext: "creationtimeutc=12"}),
		reads(system, "one that the hub does not know stays under its name on the wire", "%24.xyz=1", properties("$.xyz", "1")),
		reads(system, "iothub-operation and Edge Hub's ack, which begin otherwise, are application properties", "iothub-operation=1&ack=2", properties("iothub-operation", "1", "ack", "2")),
		reads(system, "a device cannot say whose connection it is", "%24.cdid=liar&$.cmid=liar", hubwire.Message{}),
		{system, "the hub stamps whose connection it was, when, and how it logged in", nil, func(t *testing.T, h *hub.Hub) {
			ev := connect(t, h, mod, nil).telemeter(h, moduleTopic, "hi")
			d, err := h.Device(mod)
			if err != nil {
				t.Fatal(err)
			}
			if ev.Source != mod || ev.GenerationID != d.GenerationID || !ev.EnqueuedTime.Equal(time.Now()) ||
				ev.AuthMethod != `{"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}` {
				t.Errorf("stamps: %+v", ev)
			}
		}},
		expires("as Node writes it, in milliseconds", "2017-01-06T23%3A37%3A00.669Z", 669e6),
		expires("as Python writes it, without a zone", "2017-01-06T23%3A37%3A00", 0),
		expires("as .NET writes it, in ticks of 100 ns", "2017-01-06T23%3A37%3A00.1234567Z", 123456700),
		expires("with an offset", "2017-01-07T01%3A37%3A00.0000000%2B02%3A00", 0),
		reads(times, "what is no time stays a property under its name on the wire", "%24.exp=tomorrow", properties("$.exp", "tomorrow")),
		reads(inbound, "empty parts are skipped, and a pair is split at its first equals sign", "&a=b=c&&d&", properties("a", "b=c", "d", "")),
		reads(inbound, "a malformed escape stands for itself", "a=%zz&b=%2&%=100%&c=%ff", properties("a", "%zz", "b", "%2", "%", "100%", "c", "%ff")),
		reads(inbound, "an escaped plus is a plus, and never a blank", "p=1%2b1", properties("p", "1+1")),
		closesRule(inbound, "a raw plus is a wildcard, which no PUBLISH may have: it closes the connection", "a=1+1"),
		closesRule(inbound, "a property without a name closes the connection", "=v"),
		reads(inbound, "of a system property that comes twice the last counts; others keep their order, letters and duplicates", "b=1&%24.mid=1&B=2&b=3&%24.mid=2",
			hubwire.Message{ID: "2", Properties: []hubwire.Property{{Name: "b", Value: "1"}, {Name: "B", Value: "2"}, {Name: "b", Value: "3"}}}),
		{inbound, "a raw slash cannot make a device's message another's", nil, func(t *testing.T, h *hub.Hub) {
			ev := connect(t, h, dev, nil).telemeter(h, telemetryTopic+"a=/modules/mod/messages/events/", "hi")
			if ev.Source != dev {
				t.Errorf("source %v", ev.Source)
			}
		}},
	}
}

func closesRule(section, says, bag string) rule {
	return rule{section, says, nil, closes("", &mqtt.Publish{Topic: []byte(telemetryTopic + bag), QoS: 1, ID: 1}).check}
}

// arrives returns the bag that a message reaches the device dev with.
func arrives(t *testing.T, h *hub.Hub, m *hubwire.Message) string {
	t.Helper()
	p := connect(t, h, dev, nil)
	p.subscribe(c2dFilter)
	if err := h.SendC2D(t.Context(), dev, m); err != nil {
		t.Fatal(err)
	}
	bag, ok := strings.CutPrefix(string(p.publish().Topic), "devices/dev-1/messages/devicebound/")
	if !ok {
		t.Fatal("the topic is another")
	}
	return bag
}

const toDev = "%24.to=%2Fdevices%2Fdev-1%2Fmessages%2Fdevicebound"

func writes(says string, m hubwire.Message, want string) rule {
	return rule{"3.6 outbound", says, nil, func(t *testing.T, h *hub.Hub) {
		if diff := cmp.Diff(want, arrives(t, h, &m)); diff != "" {
			t.Errorf("bag (-want +got)\n%s", diff)
		}
	}}
}

var outboundRules = []rule{
	writes("the bag is never empty: the address is always there", hubwire.Message{}, toDev),
	writes("an address that the sender gave stays, in its letters", hubwire.Message{To: "/devices/dev-1/messages/deviceBound"},
		"%24.to=%2Fdevices%2Fdev-1%2Fmessages%2FdeviceBound"),
	writes("system properties come first, as %24. and in the hub's order, then iothub-ack, then the others in theirs", hubwire.Message{
		ID: "mid", CorrelationID: "cid", UserID: "uid", ContentType: "ct", ContentEncoding: "ce", Ack: hubwire.AckFull,
		Expiry:     time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC),
		Properties: []hubwire.Property{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}},
	}, "%24.exp=2000-01-01T01%3A00%3A00.0000000Z&%24.cid=cid&%24.mid=mid&"+toDev+"&%24.ct=ct&%24.ce=ce&%24.uid=uid&iothub-ack=full&b=2&a=1"),
	writes("all is escaped but letters, digits and -._, in capitals and UTF-8", hubwire.Message{
		Properties: []hubwire.Property{{Name: "~!*'()", Value: "azAZ09-._ é/=&+%:"}},
	}, toDev+"&%7E%21%2A%27%28%29=azAZ09-._%20%C3%A9%2F%3D%26%2B%25%3A"),
	writes("an empty value is written name=, as it is meant", hubwire.Message{Properties: []hubwire.Property{{Name: "a"}}}, toDev+"&a="),
	writes("a time has seven digits of a second and Z, which .NET insists on", hubwire.Message{
		CreationTime: time.Date(2020, 1, 2, 3, 4, 5, 678e6, time.FixedZone("", 3600)),
	}, toDev+"&%24.ctime=2020-01-02T02%3A04%3A05.6780000Z"),
	{"3.6 outbound", "what only the hub knows of a message is not sent: no sequence number, delivery count or lock token", nil, func(t *testing.T, h *hub.Hub) {
		for _, pair := range strings.Split(arrives(t, h, &hubwire.Message{ID: "1"}), "&") {
			if name, _, _ := strings.Cut(pair, "="); name != "%24.mid" && name != "%24.to" {
				t.Errorf("the bag has %s", pair)
			}
		}
	}},
}
