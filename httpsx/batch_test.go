package httpsx

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

func collectBatch(body []byte) (ms []*hubwire.Message, err error) {
	for m, err := range ParseBatch(body) {
		if err != nil {
			return ms, err
		}
		ms = append(ms, m)
	}
	return ms, nil
}

func TestABatchComesThrough(t *testing.T) {
	ms := []*hubwire.Message{full(), {}, {Body: []byte{0, 255}}, {Properties: []hubwire.Property{{Name: "k", Value: "1"}, {Name: "k", Value: "2"}}}, {ID: `"\`}}
	var b Batch
	for range 2 {
		b.Reset()
		for i, m := range ms {
			if !b.Add(m) {
				t.Fatalf("message %d does not fit", i)
			}
		}
		if b.Len() != len(ms) || !json.Valid(b.Body()) {
			t.Fatalf("%d messages: %s", b.Len(), b.Body())
		}
		got, err := collectBatch(b.Body())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ms, got, sameMessage); diff != "" {
			t.Errorf("(-sent +got):\n%s", diff)
		}
	}
}

func TestWhatABatchLooksLike(t *testing.T) {
	var b Batch
	if got := string(b.Body()); got != "[]" {
		t.Errorf("an empty batch is %s", got)
	}
	b.Add(&hubwire.Message{Body: []byte("one"), ID: "1", Properties: []hubwire.Property{{Name: "k", Value: "v"}}})
	b.Add(nil)
	b.Add(&hubwire.Message{Body: []byte("two"), Expiry: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)})
	want := `[{"body":"b25l","base64Encoded":true,"properties":{"iothub-messageid":"1","iothub-app-k":"v"}},` +
		`{"body":"","base64Encoded":true},` +
		`{"body":"dHdv","base64Encoded":true,"properties":{"iothub-expiry":"2027-01-02T03:04:05.0000000Z"}}]`
	if diff := cmp.Diff(want, string(b.Body())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABatchIsBoundedExactly(t *testing.T) {
	m := &hubwire.Message{Body: []byte("0123456789"), Properties: []hubwire.Property{{Name: "k", Value: "v"}}}
	var whole Batch
	whole.Add(m)
	whole.Add(m)
	size := len(whole.Body())
	for _, tt := range []struct{ limit, want int }{{size, 2}, {size - 1, 1}, {size/2 + 1, 1}, {10, 0}} {
		b := Batch{MaxSize: tt.limit}
		for b.Add(m) {
		}
		if b.Len() != tt.want || b.Len() > 0 && len(b.Body()) > tt.limit {
			t.Errorf("limit %d: %d messages, want %d: %s", tt.limit, b.Len(), tt.want, b.Body())
		}
	}
	var b Batch
	for b.Add(&hubwire.Message{Body: make([]byte, 1000)}) {
	}
	if n := len(b.Body()); n > MaxBatchSize || n < MaxBatchSize-2000 {
		t.Errorf("without a limit there are %d bytes", n)
	}
	if b := new(Batch); b.Add(&hubwire.Message{Body: make([]byte, 200<<10)}) {
		t.Error("a message fits that does not")
	}
}

func TestHowBatchesAreRead(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       []*hubwire.Message
	}{
		{"none", " [ ] ", nil},
		{"C, bytes", `[{"body":"b25l","properties":{"iothub-app-k":"v"}},{"body":"dHdv"}]`,
			[]*hubwire.Message{{Body: []byte("one"), Properties: []hubwire.Property{{Name: "k", Value: "v"}}}, {Body: []byte("two")}}},
		{"C, text", `[{"body":"say \"hi\" \u00e9\ud83d\ude00\/\b\f\n\r\t\\","base64Encoded":false}]`,
			[]*hubwire.Message{{Body: []byte("say \"hi\" \u00e9\U0001F600/\b\f\n\r\t\\")}}},
		{"text that looks like Base64", `[{"base64Encoded":false,"body":"b25l"}]`, []*hubwire.Message{{Body: []byte("b25l")}}},
		{"Node, with its blanks", "[{\"body\": \"b25l\", \"properties\":{\"iothub-app-k\":\"v\"}},\r\n{\"body\": \"dHdv\"}]",
			[]*hubwire.Message{{Body: []byte("one"), Properties: []hubwire.Property{{Name: "k", Value: "v"}}}, {Body: []byte("two")}}},
		{"Node, control characters as they are", "[{\"body\": \"\", \"properties\":{\"iothub-app-k\":\"a\tb\nc\x01\"}}]",
			[]*hubwire.Message{{Properties: []hubwire.Property{{Name: "k", Value: "a\tb\nc\x01"}}}}},
		{"Java, with system properties", `[{"body":"b25l","base64Encoded":true,"properties":{"iothub-contenttype":"application/json","iothub-creation-time-utc":"2026-01-02T03:04:05Z","iothub-app-K":"v"}}]`,
			[]*hubwire.Message{{Body: []byte("one"), ContentType: "application/json", CreationTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Properties: []hubwire.Property{{Name: "k", Value: "v"}}}}},
		{".NET, without properties", `[{"body":"dHdv","properties":{}}]`, []*hubwire.Message{{Body: []byte("two")}}},
		{"a property that is null", `[{"body":"","properties":{"iothub-app-k":null,"iothub-messageid":null}}]`, []*hubwire.Message{{Properties: []hubwire.Property{{Name: "k"}}}}},
		{"members that nobody knows", `[{"x":{"y":[1,-2.5e+3,true,false,null,"s",{}]},"body":"b25l","z":[],"w":[[1],[2]]}]`, []*hubwire.Message{{Body: []byte("one")}}},
		{"properties keep their order", `[{"body":"","properties":{"iothub-app-b":"1","other":"x","iothub-app-a":"2","iothub-app-b":"3"}}]`,
			[]*hubwire.Message{{Properties: []hubwire.Property{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}}}}},
	} {
		got, err := collectBatch([]byte(tt.body))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, sameMessage); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestBatchesThatAreAtFault(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, tt := range []struct {
		name, body    string
		index, offset int
		want          error
	}{
		{"nothing", "", 0, 0, ErrNotJSON},
		{"no array", `{"body":""}`, 0, 0, ErrMember},
		{"no object", `["b25l"]`, 0, 1, ErrMember},
		{"no body", `[{"body":""},{"properties":{}}]`, 1, 13, ErrNoBody},
		{"a body that is null", `[{"body":null}]`, 0, 9, ErrMember},
		{"a body that is a number", `[{"body":1}]`, 0, 9, ErrMember},
		{"a body that is no Base64", `[{"body":"b25l"},{"body": "%%%"}]`, 1, 26, ErrBase64},
		{"base64Encoded that is text", `[{"body":"","base64Encoded":"false"}]`, 0, 28, ErrMember},
		{"properties in an array", `[{"body":"","properties":[]}]`, 0, 25, ErrMember},
		{"a property that is a number", `[{"body":"","properties":{"iothub-app-k":1}}]`, 0, 41, ErrMember},
		{"a property without a name", `[{"body":"","properties":{"iothub-app-":"v"}}]`, 0, 40, ErrNoName},
		{"a quote that Node did not escape", `[{"body": "", "properties":{"iothub-app-k":"say "hi""}}]`, 0, 49, ErrNotJSON},
		{"a comma too many", `[{"body":""},]`, 1, 13, ErrNotJSON},
		{"no comma", `[{"body":""}{"body":""}]`, 1, 12, ErrNotJSON},
		{"something behind it", `[{"body":""}] x`, 1, 14, ErrNotJSON},
		{"no UTF-8", "[{\"body\":\"\xff\"}]", 0, 10, ErrNotJSON},
		{"half an escape", `[{"body":"\u12"}]`, 0, 12, ErrNotJSON},
		{"half a pair of surrogates", `[{"body":"\ud83d"}]`, 0, 16, ErrNotJSON},
		{"an escape that is none", `[{"body":"\x"}]`, 0, 11, ErrNotJSON},
		{"a word that is none", `[{"body":"","x":trux}]`, 0, 16, ErrNotJSON},
		{"a number that is none", `[{"body":"","x":01}]`, 0, 16, ErrNotJSON},
		{"too deep", `[{"body":"","x":` + deep + `}]`, 0, 48, ErrTooDeep},
		{"too big", strings.Repeat(" ", hubwire.MaxTelemetrySize) + "[]", 0, hubwire.MaxTelemetrySize, ErrBatchTooBig},
	} {
		_, err := collectBatch([]byte(tt.body))
		var e *BatchError
		if !errors.As(err, &e) || !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			continue
		}
		if e.Index != tt.index || e.Offset != tt.offset {
			t.Errorf("%s: message %d, byte %d, want %d, %d: %v", tt.name, e.Index, e.Offset, tt.index, tt.offset, err)
		}
	}
}

func TestEveryPrefixOfABatchFails(t *testing.T) {
	whole := []byte(`[{"body": "b25l","x":[{"a":-1e5},"\ud83d\ude00"],"base64Encoded":true,"properties":{"iothub-app-k":null}},{"body":"\n","base64Encoded":false}]`)
	if _, err := collectBatch(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if _, err := collectBatch(bytes.Clone(whole[:i])); err == nil {
			t.Errorf("%s is taken", whole[:i])
		}
	}
}

func TestABatchCanBeLeft(t *testing.T) {
	for m, err := range ParseBatch([]byte(`[{"body":"b25l"},{"body":"dHdv"}, nonsense`)) {
		if err != nil || string(m.Body) != "one" {
			t.Fatal(m, err)
		}
		break
	}
}

func TestWhichRequestsAreBatches(t *testing.T) {
	for contentType, want := range map[string]bool{
		BatchContentType: true, "Application/Vnd.Microsoft.IoTHub.JSON; charset=utf-8": true,
		"application/json": false, "application/octet-stream": false, "": false, "application/": false, ";": false,
	} {
		if got := IsBatch(http.Header{"Content-Type": {contentType}}); got != want {
			t.Errorf("%q: %v, want %v", contentType, got, want)
		}
	}
}
