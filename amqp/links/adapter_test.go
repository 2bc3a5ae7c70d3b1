package links

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// wireMessages are the messages of the golden file, by name.
func wireMessages(t testing.TB) map[string][]byte {
	t.Helper()
	var file struct{ Messages []struct{ Name, Hex string } }
	if err := json.Unmarshal(testkit.Vectors(t, "amqp.json"), &file); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, m := range file.Messages {
		b, err := hex.DecodeString(m.Hex)
		if err != nil {
			t.Fatal(err)
		}
		all[m.Name] = b
	}
	if len(all) == 0 {
		t.Fatal("there are no messages")
	}
	return all
}

// says is what a message says: section, key, type and value. A symbol counts as a string.
func says(m *amqp.Message) (map[string]string, error) {
	d := map[string]string{}
	for section, entries := range map[string]amqp.Map{
		"delivery-annotations": m.DeliveryAnnotations(), "annotations": m.Annotations(), "application": m.ApplicationProperties(),
	} {
		for key, v := range entries.All() {
			d[section+" "+string(key)] = sayValue(v)
		}
	}
	d["message-id"], d["correlation-id"] = sayValue(m.MessageID()), sayValue(m.CorrelationID())
	d["texts"] = fmt.Sprintf("%q", [][]byte{m.UserID(), m.To(), m.ReplyTo(), m.ContentType(), m.ContentEncoding()})
	d["expiry"] = m.Expiry().String()
	for s := range m.Sections() {
		d["data"] += fmt.Sprintf("%q", s)
	}
	if v := m.Value(); !v.IsNull() {
		d["value"] = sayValue(v)
	}
	return d, nil
}

func sayValue(v amqp.Value) string {
	if v.Kind() != amqp10.KindMap && v.Kind() != amqp10.KindArray && v.Kind() != amqp10.KindList {
		kind := v.Kind()
		if kind == amqp10.KindSymbol {
			kind = amqp10.KindString
		}
		n, _ := v.Int()
		u, _ := v.Uint()
		f, _ := v.Float()
		b, _ := v.Bool()
		at, _ := v.Timestamp()
		id, _ := v.UUID()
		text, _ := v.Text()
		data, _ := v.Binary()
		return fmt.Sprint(kind, n, u, f, b, at, id, string(text), data)
	}
	var parts []string
	for key, value := range v.Entries() {
		parts = append(parts, sayValue(key)+"="+sayValue(value))
	}
	slices.Sort(parts)
	for r := v.Items(); v.Kind() != amqp10.KindMap && r.More(); {
		parts = append(parts, sayValue(r.Value()))
	}
	return v.Kind().String() + "{" + strings.Join(parts, ", ") + "}"
}

func TestWhatGoamqpReceivesSaysWhatTheWireSaid(t *testing.T) {
	for name, wire := range wireMessages(t) {
		t.Run(name, func(t *testing.T) {
			direct, err := amqp.ParseMessage(wire)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := says(&direct)
			var received goamqp.Message
			if err := received.UnmarshalBinary(wire); err != nil {
				t.Fatal(err)
			}
			got, err := decode(&received, says)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatGoamqpSendsSaysWhatWasAppended(t *testing.T) {
	for name, wire := range wireMessages(t) {
		t.Run(name, func(t *testing.T) {
			direct, err := amqp.ParseMessage(wire)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := says(&direct)
			m, err := encode(wire)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			again, err := amqp.ParseMessage(sent)
			if err != nil {
				t.Fatalf("%v\n%x", err, sent)
			}
			got, _ := says(&again)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAValueKeepsItsType(t *testing.T) {
	id := goamqp.UUID{1, 2, 3, 15: 4}
	at := time.UnixMilli(1700000000123)
	for name, v := range map[string]any{
		"null": nil, "bool": true, "ubyte": uint8(1), "ushort": uint16(2), "uint": uint32(3), "ulong": uint64(4),
		"byte": int8(-1), "short": int16(-2), "int": int32(-3), "long": int64(-4), "float": float32(1.5), "double": 2.5,
		"timestamp": at, "uuid": id, "binary": []byte{0, 255}, "empty binary": []byte{}, "string": "ä", "empty string": "",
		"list": []any{"a", int32(1)}, "map": map[string]any{"k": uint64(1)}, "array": []int64{1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := &goamqp.Message{
				Annotations: goamqp.Annotations{"a": v}, DeliveryAnnotations: goamqp.Annotations{"d": v},
				ApplicationProperties: map[string]any{"p": v},
			}
			wire, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			direct, err := amqp.ParseMessage(wire)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := says(&direct)
			got, err := decode(m, says)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPropertiesComeInTheOrderOfTheirNames(t *testing.T) {
	m := &goamqp.Message{ApplicationProperties: map[string]any{"c": "3", "a": "1", "b": "2"}, Data: [][]byte{[]byte("x")}}
	got, err := decode(m, parseTelemetry)
	if err != nil {
		t.Fatal(err)
	}
	want := []hubwire.Property{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "c", Value: "3"}}
	if diff := cmp.Diff(want, got.Properties); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func parseTelemetry(m *amqp.Message) (*hubwire.Message, error) {
	r := new(hubwire.Message)
	err := amqp.ParseTelemetry(m, r)
	r.Body = slices.Clone(r.Body)
	return r, err
}

func TestADecodedMessageIsNoViewOfALaterOne(t *testing.T) {
	first, err := decode(&goamqp.Message{Data: [][]byte{[]byte("first")}, ApplicationProperties: map[string]any{"n": "1"}}, parseTelemetry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(&goamqp.Message{Data: [][]byte{[]byte("later")}}, parseTelemetry); err != nil {
		t.Fatal(err)
	}
	want := &hubwire.Message{Body: []byte("first"), Properties: []hubwire.Property{{Name: "n", Value: "1"}}}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOddMessages(t *testing.T) {
	for name, c := range map[string]struct {
		m    *goamqp.Message
		want string // of the body
		code hubwire.Code
	}{
		"no sections at all":               {&goamqp.Message{}, "", 0},
		"several data sections":            {&goamqp.Message{Data: [][]byte{[]byte("a"), nil, []byte("b")}}, "ab", 0},
		"a body of text":                   {&goamqp.Message{Value: "text"}, "text", 0},
		"a body of null":                   {&goamqp.Message{Value: goamqp.Null{}}, "", 0},
		"annotations with numbers as keys": {&goamqp.Message{Annotations: goamqp.Annotations{int64(1): "x", uint64(2): "y"}}, "", 0},
		"a body that is a list":            {&goamqp.Message{Sequence: [][]any{{"a"}}}, "", hubwire.FormatError},
		"two kinds of bodies":              {&goamqp.Message{Data: [][]byte{{1}}, Value: "x"}, "", hubwire.DeserializationError},
		"a property that is no value": {
			&goamqp.Message{ApplicationProperties: map[string]any{"x": struct{}{}}}, "", hubwire.DeserializationError,
		},
		"text that is no UTF-8, in a list": {
			&goamqp.Message{Annotations: goamqp.Annotations{"x": []any{"\xff"}}}, "", hubwire.DeserializationError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode(c.m, parseTelemetry)
			if c.code != 0 {
				if !errors.Is(err, c.code) {
					t.Fatalf("%v, want %v", err, c.code)
				}
				return
			}
			if err != nil || string(got.Body) != c.want {
				t.Errorf("%q, %v, want %q", got.Body, err, c.want)
			}
		})
	}
}

func TestWhatCannotBeEncodedIsRefused(t *testing.T) {
	var e *hubwire.Error
	if _, err := encode([]byte{0, 0x53, 0x99, 0x45}); !errors.As(err, &e) || e.Outcome != hubwire.NotSent {
		t.Errorf("%v", err)
	}
}

// A message is put together again in room that is kept, so what is allocated is what the parse keeps,
// and the text of a user-id, which events of devices seldom have.
func TestDecodingAllocatesForTheResultOnly(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("sync.Pool drops things at random under the race detector")
	}
	for name, wire := range wireMessages(t) {
		if !strings.HasPrefix(name, "eventhub_d2c_event") && !strings.HasPrefix(name, "method_request") {
			continue
		}
		var m goamqp.Message
		if err := m.UnmarshalBinary(wire); err != nil {
			t.Fatal(err)
		}
		testkit.NoAllocs(t, name, func() { _, _ = decode(&m, discard) })
	}
}

func discard(*amqp.Message) (struct{}, error) { return struct{}{}, nil }

// TestAnEventIsWhatItsMessageSays holds the short way to an event against the long one.
func TestAnEventIsWhatItsMessageSays(t *testing.T) {
	for name, wire := range wireMessages(t) {
		var m goamqp.Message
		if err := m.UnmarshalBinary(wire); err != nil {
			continue // a test of its own has those
		}
		want, wantErr := decode(&m, amqp.ParseEvent)
		got, err := eventOf(&m)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s: %v, want %v", name, err, wantErr)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(hubwire.Received{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
