package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

func TestTheTableShowsEachStatus(t *testing.T) {
	tab := &table{hub: "localhost", protocols: protocols[:2], rows: []row{
		{"first", []cell{{status: statusOK, took: 1500 * time.Microsecond}, {status: statusImpossible}}},
		{"second", []cell{{status: statusFailed, reason: "why"}, {status: statusSkipped, reason: "because"}}},
		{"third", []cell{{status: statusSkipped, reason: "because"}, {status: statusOK, reason: "in part"}}},
	}}
	var b strings.Builder
	tab.printHead(&b)
	for _, r := range tab.rows {
		tab.printRow(&b, r)
	}
	tab.printFoot(&b)
	want := `feature                                         mqtt      mqtt-ws
first                                           ok        –
second                                          failed    skipped
    mqtt: why
third                                           skipped   ok*
2 skipped: because
1 ok*: in part
2 passed, 1 failed
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	got, err := json.Marshal(tab.json())
	if err != nil {
		t.Fatal(err)
	}
	const wantJSON = `{"hub":"localhost","protocols":["mqtt","mqtt-ws"],"rows":[` +
		`{"feature":"first","cells":[{"protocol":"mqtt","status":"ok","ms":1.5},{"protocol":"mqtt-ws","status":"impossible","ms":0}]},` +
		`{"feature":"second","cells":[{"protocol":"mqtt","status":"failed","reason":"why","ms":0},{"protocol":"mqtt-ws","status":"skipped","reason":"because","ms":0}]},` +
		`{"feature":"third","cells":[{"protocol":"mqtt","status":"skipped","reason":"because","ms":0},{"protocol":"mqtt-ws","status":"ok","reason":"in part","ms":0}]}],` +
		`"passed":2,"failed":1,"skipped":2}`
	if diff := cmp.Diff(wantJSON, string(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestEachFeatureHasItsPlaceInTheTable(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range features {
		if len(x.name) >= featureWidth {
			t.Errorf("%q is too long for its column", x.name)
		}
		if seen[x.name] {
			t.Errorf("%q is there twice", x.name)
		}
		seen[x.name] = true
	}
}

func TestSameMessageSeesEachField(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	base := hubwire.Message{Body: []byte("x"), CreationTime: at, Properties: []hubwire.Property{{Name: "a", Value: "1"}}}
	if err := sameMessage(base, base); err != nil {
		t.Errorf("a message is not itself: %v", err)
	}
	if err := sameMessage(hubwire.Message{Body: []byte{}, CreationTime: at.In(time.FixedZone("", 3600))}, hubwire.Message{CreationTime: at}); err != nil {
		t.Errorf("what is the same on the wire is not: %v", err)
	}
	for name, change := range map[string]func(*hubwire.Message){
		"Body":         func(m *hubwire.Message) { m.Body = []byte("y") },
		"ID":           func(m *hubwire.Message) { m.ID = "other" },
		"CreationTime": func(m *hubwire.Message) { m.CreationTime = at.Add(1) },
		"Expiry":       func(m *hubwire.Message) { m.Expiry = at },
		"Ack":          func(m *hubwire.Message) { m.Ack = hubwire.AckFull },
		"Properties":   func(m *hubwire.Message) { m.Properties = []hubwire.Property{{Name: "a", Value: "2"}} },
	} {
		m := base
		change(&m)
		if err := sameMessage(m, base); err == nil || !strings.HasPrefix(err.Error(), name+" is ") {
			t.Errorf("%s differs: %v", name, err)
		}
	}
}
