package mqtt

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/topics"
)

var (
	device = hubwire.Identity{DeviceID: "dev-0001"}
	module = hubwire.Identity{DeviceID: "dev-0001", ModuleID: "m1"}
)

var ignoreLocks = cmpopts.IgnoreUnexported(hubwire.Received{})

// receive parses topic and payload as the other end does, and overwrites the
// buffers afterwards: a Received owns its bytes.
func receive(t testing.TB, topic string, payload []byte) *hubwire.Received {
	t.Helper()
	buf, body := []byte(topic), append([]byte(nil), payload...)
	if err := checkTopic(TypePublish, partTopic, buf, 0); err != nil {
		t.Fatalf("%.200s is no topic: %v", topic, err)
	}
	parsed, err := topics.Parse(buf)
	if err != nil {
		t.Fatalf("%.200s: %v", topic, err)
	}
	r := new(hubwire.Received)
	if err := ParseMessage(&parsed, body, r); err != nil {
		t.Fatalf("%.200s: %v", topic, err)
	}
	for i := range buf {
		buf[i] = 0xdb
	}
	for i := range body {
		body[i] = 0xdb
	}
	return r
}

// full has every field set.
func full() hubwire.Message {
	return hubwire.Message{
		Body: []byte(`{"t":21.5}`), ID: "m/0001 a+b", CorrelationID: "c=42&x", UserID: "uü", To: "/somewhere/else",
		ContentType: "application/json;charset=utf-8", ContentEncoding: "utf-8",
		CreationTime: time.Date(2026, 11, 24, 1, 2, 3, 4567800, time.UTC),
		Expiry:       time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Output:       "out 1", Component: "thermostat1", InterfaceID: "urn:azureiot:Security:SecurityAgent:1",
		Schema: "schema1", DiagnosticID: "0123", DiagnosticContext: "creationtimeutc=1.5", Ack: hubwire.AckFull,
		Properties: []hubwire.Property{{Name: "a", Value: "b"}},
	}
}

func TestTopicsOfMessages(t *testing.T) {
	all := full()
	tests := []struct {
		name string
		got  []byte
		want string
	}{
		{"telemetry with nothing", AppendTelemetryTopic(nil, device, &hubwire.Message{}),
			"devices/dev-0001/messages/events/"},
		{"telemetry of a module with nothing", AppendTelemetryTopic(nil, module, &hubwire.Message{}),
			"devices/dev-0001/modules/m1/messages/events/"},
		{"telemetry with seven properties", AppendTelemetryTopic(nil, device, &hubwire.Message{
			ID: "m/0001 a+b", CorrelationID: "c=42&x", ContentType: "application/json;charset=utf-8", ContentEncoding: "utf-8",
			Properties: []hubwire.Property{
				{Name: "temperatureAlert", Value: "true"}, {Name: "room name", Value: "Küche #1"}, {Name: "level%", Value: "50/100"},
			},
		}), "devices/dev-0001/messages/events/%24.mid=m%2F0001%20a%2Bb&%24.cid=c%3D42%26x" +
			"&%24.ct=application%2Fjson%3Bcharset%3Dutf-8&%24.ce=utf-8" +
			"&temperatureAlert=true&room%20name=K%C3%BCche%20%231&level%25=50%2F100"},
		{"telemetry with everything", AppendTelemetryTopic(nil, device, &all),
			"devices/dev-0001/messages/events/%24.mid=m%2F0001%20a%2Bb&%24.cid=c%3D42%26x&%24.uid=u%C3%BC" +
				"&%24.to=%2Fsomewhere%2Felse&%24.ct=application%2Fjson%3Bcharset%3Dutf-8&%24.ce=utf-8" +
				"&%24.ctime=2026-11-24T01%3A02%3A03.0045678Z&%24.exp=2027-01-01T00%3A00%3A00.0000000Z" +
				"&%24.on=out%201&%24.sub=thermostat1&%24.ifid=urn%3Aazureiot%3ASecurity%3ASecurityAgent%3A1" +
				"&%24.schema=schema1&%24.diagid=0123&%24.diagctx=creationtimeutc%3D1.5&iothub-ack=full&a=b"},
		{"C2D with nothing", AppendC2DTopic(nil, device, &hubwire.Message{}),
			"devices/dev-0001/messages/devicebound/%24.to=%2Fdevices%2Fdev-0001%2Fmessages%2Fdevicebound"},
		{"C2D to a module with nothing", AppendC2DTopic(nil, module, &hubwire.Message{}),
			"devices/dev-0001/modules/m1/messages/devicebound/" +
				"%24.to=%2Fdevices%2Fdev-0001%2Fmodules%2Fm1%2Fmessages%2Fdevicebound"},
		{"C2D as a capture of the hub has it", AppendC2DTopic(nil, hubwire.Identity{DeviceID: "fake_device"}, &hubwire.Message{
			Expiry: time.Date(3237, 7, 19, 23, 6, 40, 0, time.UTC), CorrelationID: "fake_corid",
			ID: "6b822696-f75a-46f5-8b02-0680db65abf5", To: "/devices/fake_device/messages/devicebound",
			ContentType: "fake_content_type", ContentEncoding: "utf-8", Ack: hubwire.AckPositive,
		}), "devices/fake_device/messages/devicebound/%24.exp=3237-07-19T23%3A06%3A40.0000000Z&%24.cid=fake_corid" +
			"&%24.mid=6b822696-f75a-46f5-8b02-0680db65abf5&%24.to=%2Fdevices%2Ffake_device%2Fmessages%2Fdevicebound" +
			"&%24.ct=fake_content_type&%24.ce=utf-8&iothub-ack=positive"},
		{"C2D with what the C SDK cannot take raw", AppendC2DTopic(nil, device, &hubwire.Message{
			To: "x", Properties: []hubwire.Property{{Name: "~!*'()", Value: "-._"}, {Name: "empty", Value: ""}},
		}), "devices/dev-0001/messages/devicebound/%24.to=x&%7E%21%2A%27%28%29=-._&empty="},
		{"input with nothing", AppendInputTopic(nil, module, &hubwire.Received{Input: "in1"}),
			"devices/dev-0001/modules/m1/inputs/in1/%24.to=%2Fdevices%2Fdev-0001%2Fmodules%2Fm1%2Finputs%2Fin1"},
		{"input from another module", AppendInputTopic(nil, module, &hubwire.Received{
			Input: "in1", Source: hubwire.Identity{DeviceID: "d2", ModuleID: "m2"},
			Message: hubwire.Message{ID: "1", To: "t", Properties: []hubwire.Property{{Name: "a", Value: "b"}}},
		}), "devices/dev-0001/modules/m1/inputs/in1/%24.cdid=d2&%24.cmid=m2&%24.mid=1&%24.to=t&a=b"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, string(tt.got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// awkward is text that a careless encoder or decoder gets wrong.
var awkward = []string{
	"", " ", "a", "%", "%25", "%zz", "%2", "&", "=", "a=b&c=d", "/", "a/", "//", "?", "+", "#", "a+b c", "$", "$.mid",
	"%24.mid", "é", "\U0001F600", "\x00", "\x7f", "\n", "~!*'()", "-._", "true", "Küche #1", "\ufffd",
	strings.Repeat("x", 1000), strings.Repeat("ü&", 100),
}

func awkwardMessages() []hubwire.Message {
	messages := []hubwire.Message{{}, full(), {Properties: []hubwire.Property{
		{Name: "$.new", Value: "kept"}, {Name: "iothub-operation", Value: "x"}, {Name: "$.exp", Value: "0"},
		{Name: "$.ctime", Value: "yesterday"}, {Name: "$.MID", Value: "case counts"}, {Name: "$.", Value: ""},
		{Name: "$", Value: "v"}, {Name: "mqtt-retain", Value: "true"},
	}}}
	for _, s := range awkward {
		m := full()
		m.ID, m.CorrelationID, m.UserID, m.To, m.ContentType, m.ContentEncoding = s, s, s, s, s, s
		m.Output, m.Component, m.InterfaceID, m.Schema, m.DiagnosticID, m.DiagnosticContext = s, s, s, s, s, s
		m.Ack = hubwire.Ack(s)
		m.Properties = []hubwire.Property{{Name: "p" + s, Value: s}, {Name: s + "p", Value: s + s}, {Name: "p" + s, Value: "again"}}
		messages = append(messages, m)
	}
	return messages
}

func TestTelemetryArrivesAsItWasSent(t *testing.T) {
	for i, m := range awkwardMessages() {
		got := receive(t, string(AppendTelemetryTopic(nil, device, &m)), m.Body)
		if diff := cmp.Diff(m, got.Message, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("message %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestC2DArrivesAsItWasSent(t *testing.T) {
	for i, m := range awkwardMessages() {
		got := receive(t, string(AppendC2DTopic(nil, device, &m)), m.Body)
		if m.To == "" {
			m.To = "/devices/dev-0001/messages/devicebound"
		}
		if diff := cmp.Diff(m, got.Message, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("message %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestInputsArriveAsTheyWereSent(t *testing.T) {
	for i, m := range awkwardMessages() {
		for _, input := range []string{"in1", "in put/#+%ü"} {
			r := hubwire.Received{Message: m, Input: input, Source: hubwire.Identity{DeviceID: "d%2", ModuleID: "m=3"}}
			got := receive(t, string(AppendInputTopic(nil, module, &r)), m.Body)
			if r.To == "" {
				r.To = "/devices/dev-0001/modules/m1/inputs/" + input
			}
			if diff := cmp.Diff(&r, got, cmpopts.EquateEmpty(), ignoreLocks); diff != "" {
				t.Errorf("message %d on %q (-want +got):\n%s", i, input, diff)
			}
		}
	}
}

func TestBagsAsOthersWriteThem(t *testing.T) {
	with := func(pairs ...string) (m hubwire.Message) {
		for i := 0; i < len(pairs); i += 2 {
			m.Properties = append(m.Properties, hubwire.Property{Name: pairs[i], Value: pairs[i+1]})
		}
		return m
	}
	tests := []struct {
		name, bag string
		want      hubwire.Message
	}{
		{"nothing", "", hubwire.Message{}},
		{"Java: raw dollar, trailing slash", "$.mid=1&$.to=%2Fx&k=v/", hubwire.Message{ID: "1", To: "/x", Properties: with("k", "v").Properties}},
		{"C: nothing encoded", "k=a b&%24.ct=application/json", hubwire.Message{ContentType: "application/json", Properties: with("k", "a b").Properties}},
		{"a question mark before it", "?food=x", with("food", "x")},
		{"hex in lower case", "%24.mid=%c3%bc", hubwire.Message{ID: "ü"}},
		{"names wholly encoded", "%24%2E%6D%69%64=1", hubwire.Message{ID: "1"}},
		{"an encoded plus", "a=1%2B1", with("a", "1+1")},
		{"no value", "k&e=&%24.cid", with("k", "", "e", "")},
		{"a bad escape", "%zz=%4&x=%", with("%zz", "%4", "x", "%")},
		{"an escape that is not UTF-8", "a=%ff", with("a", "%ff")},
		{"no name", "=v", with("", "v")},
		{"empty pairs", "&&a=b&&", with("a", "b")},
		{"a second equals sign", "a=b=c", with("a", "b=c")},
		{"a system property twice", "%24.mid=1&$.mid=2", hubwire.Message{ID: "2"}},
		{"an application property twice", "a=1&b=2&a=3", with("a", "1", "b", "2", "a", "3")},
		{"an identity that a device claims", "%24.cdid=admin&%24.cmid=root&a=b", with("a", "b")},
		{"a time of Node's", "%24.exp=2017-01-06T23%3A37%3A00.669Z", hubwire.Message{Expiry: time.Date(2017, 1, 6, 23, 37, 0, 669e6, time.UTC)}},
		{"a time of nobody's", "%24.exp=soon", with("$.exp", "soon")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, id := range []string{"devices/d", "devices/d/modules/m"} {
				got := receive(t, id+"/messages/events/"+tt.bag, nil)
				if diff := cmp.Diff(tt.want, got.Message); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if got.Source != (hubwire.Identity{}) || got.Input != "" {
					t.Errorf("telemetry says who sent it (%v) or an input (%q)", got.Source, got.Input)
				}
			}
		})
	}
}

func TestOnlyMessagesAreMessages(t *testing.T) {
	for _, topic := range []string{
		"$iothub/methods/POST/reboot/?$rid=1", "$iothub/methods/res/200/?$rid=1", "$iothub/twin/GET/?$rid=1",
		"$iothub/twin/res/200/?$rid=1", "$iothub/twin/PATCH/properties/desired/?$version=1",
		"$dps/registrations/res/202/?$rid=1&retry-after=3",
	} {
		parsed, err := topics.Parse([]byte(topic))
		if err != nil {
			t.Fatal(err)
		}
		r := hubwire.Received{Input: "kept"}
		if err := ParseMessage(&parsed, nil, &r); !errors.Is(err, ErrNotMessage) || r.Input != "kept" {
			t.Errorf("%s: %v", topic, err)
		}
	}
}

func TestMessageAllocations(t *testing.T) {
	m := full()
	r := hubwire.Received{Message: m, Input: "in1", Source: device}
	buf := make([]byte, 0, 4096)
	testkit.NoAllocs(t, "AppendTelemetryTopic", func() { buf = AppendTelemetryTopic(buf[:0], device, &m) })
	m.To, r.To = "", ""
	testkit.NoAllocs(t, "AppendInputTopic", func() { buf = AppendInputTopic(buf[:0], module, &r) })
	testkit.NoAllocs(t, "AppendC2DTopic", func() { buf = AppendC2DTopic(buf[:0], device, &m) })
	testkit.MaxAllocs(t, "ParseMessage, for the body, the text, the properties", 3, func() {
		parsed, err := topics.Parse(buf)
		if err != nil {
			t.Fatal(err)
		}
		if err := ParseMessage(&parsed, m.Body, &r); err != nil {
			t.Fatal(err)
		}
	})
}
