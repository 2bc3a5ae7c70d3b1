package amqp

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
)

// eventDrafts are messages as events have them, and as they should not.
var eventDrafts = map[string]*Draft{
	"nothing": {},
	"all that an event has": {
		DeliveryAnnotations: []Pair{
			{"last_enqueued_sequence_number", Long(7)}, {"last_enqueued_offset", String("70")},
			{"last_enqueued_time_utc", Timestamp(time.UnixMilli(1700000000001))}, {"runtime_info_retrieval_time_utc", Timestamp(time.UnixMilli(1700000000002))},
		},
		Annotations: []Pair{
			{KeyDeviceID, String("d")}, {KeyModuleID, String("m")}, {KeyAuthMethod, String("{}")}, {KeyGenerationID, String("g")},
			{KeyEnqueuedTime, Timestamp(time.UnixMilli(1700000000003))}, {KeyMessageSource, Symbol("Telemetry")}, {KeyModelID, String("dtmi:a;1")},
			{KeySequenceNumber, Long(3)}, {KeyOffset, String("30")}, {KeyStoredTime, Timestamp(time.UnixMilli(1700000000004))}, {KeyPartitionKey, String("k")},
			{KeyComponent, String("c")}, {KeyInterfaceID, String("i")}, {"x-opt-other", Int(1)},
		},
		Properties: Properties{
			MessageID: String("id"), UserID: "user", To: "to", Subject: "s", CorrelationID: String("c"), ContentType: "application/json",
			ContentEncoding: "utf-8", Expiry: time.UnixMilli(1700000000005), Creation: time.UnixMilli(1700000000006),
		},
		ApplicationProperties: []Pair{{"a", String("1")}, {"iothub-creation-time-utc", String("2024-01-01T00:00:00Z")}, {"iothub-message-schema", String("s")}},
		Text:                  []hubwire.Property{{Name: "b", Value: "2"}},
		Body:                  DataBody, Data: []byte("body"),
	},
	"ids that are not text": {Properties: Properties{MessageID: ID(UUID{1, 2, 3}), CorrelationID: Ulong(7), UserID: "\xff\xfe"}},
	"ids of bytes":          {Properties: Properties{MessageID: Binary([]byte("text")), CorrelationID: Binary([]byte{0xff})}},
	"properties of other types": {ApplicationProperties: []Pair{
		{"bool", Bool(true)}, {"int", Int(-1)}, {"ulong", Ulong(math.MaxUint64)}, {"time", Timestamp(time.UnixMilli(1))}, {"null", Typed{}}, {"bytes", Binary([]byte{0xff})},
	}},
	"annotations of other types": {Annotations: []Pair{
		{KeyDeviceID, Int(1)}, {KeySequenceNumber, Int(5)}, {KeyOffset, Long(5)}, {KeyEnqueuedTime, Long(5)}, {KeyStoredTime, String("x")}, {KeyComponent, Int(7)},
	}},
	"a number that is text":           {Annotations: []Pair{{KeySequenceNumber, String("5")}}, DeliveryAnnotations: []Pair{{"last_enqueued_sequence_number", String("5")}}},
	"an expiry that no one can":       {Properties: Properties{Expiry: time.UnixMilli(253402300800000)}},
	"an expiry before 1970":           {Properties: Properties{Expiry: time.UnixMilli(-5)}},
	"a time of creation that is none": {ApplicationProperties: []Pair{{"iothub-creation-time-utc", String("yesterday")}}},
	"a body of text":                  {Body: ValueBody, Value: String("text")},
	"a body of bytes":                 {Body: ValueBody, Value: Binary([]byte("bytes"))},
	"a body of null":                  {Body: ValueBody},
	"a body of a number":              {Body: ValueBody, Value: Int(1)},
	"a property that is a list":       {ApplicationProperties: []Pair{{"a", Echo(amqp10.ValueOf([]byte{amqp10.CodeList0}))}}},
}

// TestAnEventOfADraftIsThatOfItsBytes holds both ways to an event against each other.
func TestAnEventOfADraftIsThatOfItsBytes(t *testing.T) {
	for name, d := range eventDrafts {
		m, err := ParseMessage(AppendMessage(nil, d))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want, wantErr := ParseEvent(&m)
		got, err := EventOf(d)
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Errorf("%s: %v, want %v", name, err, wantErr)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(hubwire.Received{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		var e *hubwire.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%s: %T", name, err)
		}
	}
}

// TestAnEventTakesTwoAllocations: itself, and its properties.
func TestAnEventTakesTwoAllocations(t *testing.T) {
	d := *eventDrafts["all that an event has"]
	d.DeliveryAnnotations, d.Properties.UserID, d.Properties.Expiry = nil, "", time.Time{}
	if testkit.RaceEnabled {
		return
	}
	n := testing.AllocsPerRun(100, func() {
		if _, err := EventOf(&d); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations", n)
	}
}
