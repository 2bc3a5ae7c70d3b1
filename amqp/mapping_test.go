package amqp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

var (
	at       = time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	received = cmpopts.IgnoreUnexported(hubwire.Received{})
)

// fullMessage has every field set.
func fullMessage() hubwire.Message {
	return hubwire.Message{
		Body: []byte("body"), ID: "m1", CorrelationID: "c1", UserID: "u1", To: "/devices/d/messages/devicebound",
		ContentType: "application/json", ContentEncoding: "utf-8",
		CreationTime: at.Add(100 * time.Nanosecond), Expiry: at.Truncate(time.Millisecond), Output: "out", Component: "comp", InterfaceID: "if",
		Schema: "s", DiagnosticID: "d", DiagnosticContext: "creationtimeutc=1", Ack: hubwire.AckFull,
		Properties: []hubwire.Property{{Name: "k", Value: "v"}, {Name: "é", Value: ""}, {Name: "k", Value: "again"}, {Name: "$.xyz", Value: "1"}},
	}
}

func parsed(t testing.TB, wire []byte) *Message {
	t.Helper()
	m, err := ParseMessage(wire)
	if err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestEveryFieldComesBack(t *testing.T) {
	full, id := fullMessage(), hubwire.Identity{DeviceID: "d"}
	zero, empty := hubwire.Message{}, hubwire.Message{Body: []byte{}}
	for _, want := range []*hubwire.Message{&full, &zero} {
		var got hubwire.Message
		if err := ParseTelemetry(parsed(t, AppendTelemetry(nil, want)), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("telemetry (-want +got):\n%s", diff)
		}
	}
	var got hubwire.Message
	if to, err := ParseSend(parsed(t, AppendSend(nil, id, &empty)), &got); err != nil || to != id || got.To != "/devices/d/messages/devicebound" {
		t.Errorf("to a device: %v, %v, %q", to, err, got.To)
	}
	r := &hubwire.Received{
		Message: full, SequenceNumber: math.MaxInt64, EnqueuedTime: at.Truncate(time.Millisecond), DeliveryCount: 3,
		LockToken: "0a1b2c3d-4e5f-4061-8293-a4b5c6d7e8f9", Input: "in", Source: hubwire.Identity{DeviceID: "a", ModuleID: "b"},
	}
	var back hubwire.Received
	if err := ParseC2D(parsed(t, AppendC2D(nil, id, r)), nil, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, &back, received); diff != "" {
		t.Errorf("to a device (-want +got):\n%s", diff)
	}
	r.DeliveryCount, r.LockToken, r.Input = 0, "", ""
	e := &Event{
		Received: r, Offset: "1", StoredTime: at.Add(time.Hour).Truncate(time.Millisecond), PartitionKey: "k", AuthMethod: "{}",
		GenerationID: "g", MessageSource: "Telemetry", ModelID: "dtmi:a;1",
		Metric: &PartitionMetric{LastSequence: 9, LastOffset: "8", LastTime: r.EnqueuedTime, Retrieved: r.EnqueuedTime},
	}
	event, err := ParseEvent(parsed(t, AppendEvent(nil, e)))
	if diff := cmp.Diff(e, event, received); err != nil || diff != "" {
		t.Errorf("event: %v (-want +got):\n%s", err, diff)
	}
}

// A message of the batch format holds messages, each of which comes back.
func TestBatches(t *testing.T) {
	big := hubwire.Message{Body: bytes.Repeat([]byte("x"), 70_000), ID: "big"}
	want := []hubwire.Message{fullMessage(), {}, big, {Body: bytes.Repeat([]byte("y"), 252)}}
	var b []byte
	for i := range want {
		b = AppendToBatch(b, &want[i])
	}
	before := []hubwire.Message{{ID: "before"}}
	got, err := AppendBatch(before, parsed(t, b))
	if diff := cmp.Diff(append(before, want...), got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	inner := AppendTelemetry(nil, &hubwire.Message{ID: "inner"})
	for _, c := range []struct {
		name string
		in   []byte
		code hubwire.Code
		say  string
	}{
		{"no message", nil, hubwire.ArgumentInvalid, "none"},
		{"a value", AppendMessage(nil, &Draft{Body: ValueBody, Value: String("x")}), hubwire.ArgumentInvalid, "none"},
		{"one broken inside", AppendData(AppendToBatch(nil, &want[0]), inner[:len(inner)-1]), hubwire.DeserializationError, "message 1 of the batch"},
		{"one that is garbage", AppendData(nil, []byte("hello")), hubwire.DeserializationError, "message 0 of the batch"},
		{"one with a list for a property", AppendData(nil, section(amqp10.DescApplicationProperties, mapOf(String("k"), raw(0x45))...)), hubwire.ArgumentInvalid, "message 0 of the batch"},
		{"very many that are empty", bytes.Repeat(AppendData(nil, nil), MaxBatch+1), hubwire.MessageTooLarge, "more than"},
	} {
		got, err := AppendBatch(before, parsed(t, c.in))
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.say) || len(got) != 1 {
			t.Errorf("%s: %v, %d messages", c.name, err, len(got))
		}
	}
	// A batch within a batch is a message whose body is that batch's first message and the rest, as bytes.
	outer, err := AppendBatch(nil, parsed(t, AppendData(nil, AppendData(AppendData(nil, inner), inner))))
	if err != nil || len(outer) != 1 || !bytes.Equal(outer[0].Body, join(inner, inner)) {
		t.Errorf("a batch in a batch: %+v, %v", outer, err)
	}
}

// Application properties and ids that are not text become text.
func TestTypesThatAPropertyHasNot(t *testing.T) {
	for _, c := range []struct {
		in   Typed
		want string
	}{
		{String("s"), "s"}, {Symbol("y"), "y"}, {Typed{}, ""}, {Bool(true), "true"}, {Bool(false), "false"},
		{Ubyte(7), "7"}, {Uint(1 << 31), "2147483648"}, {Ulong(math.MaxUint64), "18446744073709551615"}, {Int(-5), "-5"}, {Long(math.MinInt64), "-9223372036854775808"},
		{raw(0x51, 0xff), "-1"}, {raw(0x61, 0xff, 0), "-256"}, {raw(0x60, 1, 0), "256"}, {raw(0x56, 1), "true"},
		{raw(0x72, 0x3d, 0xcc, 0xcc, 0xcd), "0.1"}, {raw(amqp10.AppendDouble(nil, 21.5)...), "21.5"}, {raw(amqp10.AppendDouble(nil, math.Inf(1))...), "+Inf"},
		{raw(amqp10.AppendChar(nil, 'é')...), "é"}, {raw(0x74, 0, 0, 0, 1), "0x00000001"},
		{Timestamp(at), "2026-01-02T03:04:05.6780000Z"}, {Timestamp(time.Time{}), "0001-01-01T00:00:00.0000000Z"}, {Timestamp(time.UnixMilli(math.MaxInt64)), "9223372036854775807"},
		{ID(UUID{0: 0xab, 15: 1}), "ab000000-0000-0000-0000-000000000001"}, {Binary([]byte("text")), "text"}, {Binary([]byte{0xff, 0}), "/wA="}, {Binary(nil), ""},
	} {
		d := Draft{ApplicationProperties: []Pair{{"k", c.in}}, Body: DataBody}
		var r hubwire.Message
		if err := ParseTelemetry(parsed(t, AppendMessage(nil, &d)), &r); err != nil {
			t.Errorf("%+v: %v", c.in, err)
			continue
		}
		if diff := cmp.Diff([]hubwire.Property{{Name: "k", Value: c.want}}, r.Properties); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.in.Value().Kind(), diff)
		}
	}
	for _, id := range []struct {
		in   Typed
		want string
	}{{ID(UUID{15: 1}), "00000000-0000-0000-0000-000000000001"}, {Ulong(7), "7"}, {Binary([]byte{0xff}), "/w=="}, {String(""), ""}} {
		d := Draft{Properties: Properties{MessageID: id.in, CorrelationID: id.in}}
		var r hubwire.Message
		if err := ParseTelemetry(parsed(t, AppendMessage(nil, &d)), &r); err != nil || r.ID != id.want || r.CorrelationID != id.want {
			t.Errorf("%q, %q, %v, want %q", r.ID, r.CorrelationID, err, id.want)
		}
	}
}

func TestSystemPropertiesThatAreOdd(t *testing.T) {
	expiry := func(ms int64) Draft { return Draft{Properties: Properties{Expiry: time.UnixMilli(ms)}} }
	for _, c := range []struct {
		name string
		in   Draft
		want hubwire.Message
	}{
		{"an expiry of the year 1, as a Go client sends it", expiry(minTimestamp), hubwire.Message{}},
		{"an expiry of 1970", expiry(0), hubwire.Message{}},
		{"an expiry that no message can have", expiry(maxTimestamp + 1), hubwire.Message{Properties: []hubwire.Property{{Name: "$.exp", Value: "253402300800000"}}}},
		{"the last expiry", expiry(maxTimestamp), hubwire.Message{Expiry: time.UnixMilli(maxTimestamp).UTC()}},
		{"a creation time that is none", Draft{ApplicationProperties: []Pair{{NameCreationTime, String("soon")}}},
			hubwire.Message{Properties: []hubwire.Property{{Name: "$.ctime", Value: "soon"}}}},
		{"a creation time that is empty", Draft{ApplicationProperties: []Pair{{NameCreationTime, String("")}}}, hubwire.Message{}},
		{"a creation time that is a timestamp", Draft{ApplicationProperties: []Pair{{NameCreationTime, Timestamp(at)}}},
			hubwire.Message{CreationTime: at.Truncate(time.Millisecond)}},
		{"one that comes twice", Draft{ApplicationProperties: []Pair{{NameSchema, String("a")}, {NameSchema, String("b")}}}, hubwire.Message{Schema: "b"}},
		{"who a device says that it is", Draft{Annotations: []Pair{{KeyDeviceID, String("other")}, {KeyAuthMethod, String("{}")}, {"x", Int(1)}}}, hubwire.Message{}},
		{"names in another case", Draft{ApplicationProperties: []Pair{{"Iothub-Ack", String("full")}}},
			hubwire.Message{Properties: []hubwire.Property{{Name: "Iothub-Ack", Value: "full"}}}},
		{"a body that is text", Draft{Body: ValueBody, Value: String("hi")}, hubwire.Message{Body: []byte("hi")}},
		{"a body that is binary", Draft{Body: ValueBody, Value: Binary([]byte("hi"))}, hubwire.Message{Body: []byte("hi")}},
		{"a body that is null", Draft{Body: ValueBody}, hubwire.Message{}},
	} {
		var r hubwire.Message
		err := ParseTelemetry(parsed(t, AppendMessage(nil, &c.in)), &r)
		if diff := cmp.Diff(c.want, r, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
	for name, body := range map[string][]byte{
		"a number": section(amqp10.DescValue, 0x54, 1), "a map": section(amqp10.DescValue, mapOf()...), "a sequence": section(amqp10.DescSequence, 0x45),
	} {
		var r hubwire.Message
		if err := ParseTelemetry(parsed(t, body), &r); !errors.Is(err, hubwire.FormatError) {
			t.Errorf("a body that is %s: %v", name, err)
		}
	}
}

func TestWhatIsNotWhatItsLinkCarries(t *testing.T) {
	text := func(s string) Draft { return Draft{Body: ValueBody, Value: String(s)} }
	with := func(d Draft, f func(*Draft)) []byte { f(&d); return AppendMessage(nil, &d) }
	for _, c := range []struct {
		name string
		err  error
		code hubwire.Code
	}{
		{"a send to nobody", second(ParseSend(parsed(t, AppendTelemetry(nil, nil)), new(hubwire.Message))), hubwire.ArgumentInvalid},
		{"a send to a service", second(ParseSend(parsed(t, AppendTelemetry(nil, &hubwire.Message{To: "/messages/devicebound"})), new(hubwire.Message))), hubwire.ArgumentInvalid},
		{"a call without an id", third(ParseMethodRequest(parsed(t, with(text("x"), func(*Draft) {})))), hubwire.FormatError},
		{"a call whose id is text", third(ParseMethodRequest(parsed(t, with(text("x"), func(d *Draft) { d.Properties.CorrelationID = String("x") })))), hubwire.FormatError},
		{"a call without a name", third(ParseMethodRequest(parsed(t, with(text("x"), func(d *Draft) { d.Properties.CorrelationID = ID(UUID{}) })))), hubwire.FormatError},
		{"an answer without a status", third(ParseMethodResponse(parsed(t, with(text("x"), func(d *Draft) { d.Properties.CorrelationID = ID(UUID{}) })))), hubwire.FormatError},
		{"an answer with a status of text", third(ParseMethodResponse(parsed(t, with(text("x"), func(d *Draft) {
			d.Properties.CorrelationID, d.ApplicationProperties = ID(UUID{}), []Pair{{NameMethodStatus, String("200")}}
		})))), hubwire.FormatError},
		{"a twin request without an id", second(ParseTwinRequest(parsed(t, AppendTwinRequest(nil, &TwinRequest{Operation: TwinGet})))), hubwire.FormatError},
		{"a twin request that there is not", second(ParseTwinRequest(parsed(t, with(text("x"), func(d *Draft) {
			d.Properties.CorrelationID, d.Annotations = String("1"), []Pair{{KeyTwinOperation, String("PUT")}, {KeyTwinResource, String(reportedResource)}}
		})))), hubwire.InvalidOperation},
		{"a token of another operation", second(ParsePutToken(parsed(t, with(text("t"), func(d *Draft) { d.ApplicationProperties = []Pair{{nameOperation, String("READ")}} })))), hubwire.ArgumentInvalid},
		{"a token for nobody", second(ParsePutToken(parsed(t, AppendPutToken(nil, &PutToken{Token: sas.NewSecret("t")})))), hubwire.ArgumentInvalid},
		{"no token", second(ParsePutToken(parsed(t, AppendPutToken(nil, &PutToken{Name: "n"})))), hubwire.ArgumentInvalid},
		{"a read of another type", second(ParseReadRequest(parsed(t, with(text(""), func(d *Draft) {
			d.ApplicationProperties = []Pair{{nameOperation, String(readOperation)}, {nameType, String("x")}}
		})))), hubwire.ArgumentInvalid},
		{"a read of no partition", second(ParseReadRequest(parsed(t, with(text(""), func(d *Draft) {
			d.ApplicationProperties = []Pair{{nameOperation, String(readOperation)}, {nameType, String(partitionType)}}
		})))), hubwire.ArgumentInvalid},
		{"an answer of $management without a status", second(ParseResponse(parsed(t, with(text(""), func(*Draft) {})))), hubwire.FormatError},
		{"an answer of $management without a map", second(ParsePartitionInfo(parsed(t, with(text(""), func(*Draft) {})))), hubwire.FormatError},
		{"a notification of another type", second(ParseNotification(parsed(t, AppendNotification(nil, &Notification{ContentType: "text/plain"})))), hubwire.FormatError},
		{"nothing to parse into", ParseTelemetry(new(Message), nil), hubwire.ArgumentInvalid},
	} {
		if !errors.Is(c.err, c.code) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.code)
		}
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

// The answer to a request that is refused goes to who asked.
func TestRefusedRequestsCanBeAnswered(t *testing.T) {
	m := parsed(t, AppendMessage(nil, &Draft{Properties: Properties{MessageID: String("1"), CorrelationID: String("1"), ReplyTo: "r"}}))
	token, _ := ParsePutToken(m)
	read, _ := ParseReadRequest(m)
	twin, _ := ParseTwinRequest(m)
	for _, id := range []Value{token.ID, read.ID, twin.ID} {
		if got := dumpValue(id); got != "string:1" {
			t.Error(got)
		}
	}
	if read.ReplyTo != "r" {
		t.Error(read.ReplyTo)
	}
}

func TestCallIDs(t *testing.T) {
	want, _ := ParseUUID("0A1B2C3D-4E5F-4061-8293-A4B5C6D7E8F9")
	for _, id := range []Typed{ID(want), String(want.String()), Symbol(strings.ToUpper(want.String())), Binary(want[:])} {
		d := Draft{Properties: Properties{CorrelationID: id}, ApplicationProperties: []Pair{{NameMethodStatus, Long(404)}}}
		if got, r, err := ParseMethodResponse(parsed(t, AppendMessage(nil, &d))); err != nil || got != want || r.Status != 404 {
			t.Errorf("%v is %v, %v, %v", id.Value().Kind(), got, r, err)
		}
	}
	for _, s := range []string{"", "x", strings.Repeat("0", 36), "0a1b2c3d-4e5f-4061-8293-a4b5c6d7e8fg", "{0a1b2c3d-4e5f-4061-8293-a4b5c6d7e8f9}"} {
		if u, ok := ParseUUID(s); ok {
			t.Errorf("%s is taken for %v", s, u)
		}
	}
}

func TestMappingDoesNotAllocate(t *testing.T) {
	full, id := fullMessage(), hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod-1"}
	bare := hubwire.Message{Body: full.Body}
	r := &hubwire.Received{Message: bare, EnqueuedTime: at, LockToken: "t", SequenceNumber: 1}
	e := &Event{Received: &hubwire.Received{Message: full, Source: id, EnqueuedTime: at}, Offset: "1", Metric: &PartitionMetric{}}
	id1 := String("1").Value()
	dst := make([]byte, 0, 4096)
	for name, f := range map[string]func(){
		"telemetry":         func() { dst = AppendTelemetry(dst[:0], &full) },
		"a batch":           func() { dst = AppendToBatch(dst[:0], &full) },
		"a service's send":  func() { dst = AppendSend(dst[:0], id, &bare) },
		"c2d":               func() { dst = AppendC2D(dst[:0], id, r) },
		"an event":          func() { dst = AppendEvent(dst[:0], e) },
		"a method request":  func() { dst = AppendMethodRequest(dst[:0], UUID{1}, &hubwire.MethodRequest{Name: "n"}) },
		"a method response": func() { dst = AppendMethodResponse(dst[:0], UUID{1}, &hubwire.MethodResponse{Status: 200}) },
		"a twin request":    func() { dst = AppendTwinRequest(dst[:0], &TwinRequest{ID: id1, Operation: TwinGet}) },
		"a twin response":   func() { dst = AppendTwinResponse(dst[:0], &TwinResponse{ID: id1, Status: 200, Version: 1}) },
		"a notification":    func() { dst = AppendNotification(dst[:0], &Notification{ContentType: FeedbackType, EnqueuedTime: at}) },
		"a tag": func() {
			u, ok := ParseTag(UUID{1}.AppendTag(dst[:0]))
			if !ok || u != (UUID{1}) {
				t.Fatal(u)
			}
		},
	} {
		testkit.NoAllocs(t, name, f)
	}
}

// Nothing that prints a request shows its token.
func TestTokensAreNotShown(t *testing.T) {
	p := PutToken{Name: "n", Token: sas.NewSecret("SharedAccessSignature sig=hush")}
	m := parsed(t, AppendPutToken(nil, &p))
	got, err := ParsePutToken(m)
	if err != nil || got.Token.Reveal() != p.Token.Reveal() {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if s := fmt.Sprintf(verb, got); strings.Contains(s, "hush") {
			t.Errorf("%s shows it: %s", verb, s)
		}
	}
}
