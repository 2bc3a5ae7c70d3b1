package topics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/topics"
)

// vector is one golden vector. What it gives beside input is what must come
// out: an entry that is not here fails the test, so that none goes unseen.
type vector struct {
	Name, Kind, Source, Origin, Note string

	Input  vectorInput
	Expect expectation

	Topic, Username, Encoded, Payload string
	ClientID                          string `json:"client_id"`
	DeviceID                          string `json:"device_id"`
	ModuleID                          string `json:"module_id"`
	InputName                         string `json:"input_name"`
	Method, RID, Component, Command   string
	Value                             *string
	PropertiesRaw                     []pair `json:"properties_raw"`
	System                            map[string]string
	Custom                            map[string]*string
	Extra                             map[string]string
	Password                          string
	StringToSign                      string `json:"string_to_sign"`
}

// vectorInput holds what vectors have in common use; who builds from a field
// that is not here gets other bytes than the vector's.
type vectorInput struct {
	SDK, Topic, Username, Payload, Raw, Name, Value string
	Hostname, Order                                 string
	DeviceID                                        string  `json:"device_id"`
	ModuleID                                        string  `json:"module_id"`
	Agent                                           string  `json:"user_agent"`
	EncodedAgent                                    string  `json:"user_agent_already_encoded"`
	ProductInfo                                     string  `json:"product_info"`
	ModelID                                         string  `json:"model_id"`
	APIVersion                                      string  `json:"api_version"`
	AuthChain                                       string  `json:"auth_chain"`
	PropertiesRaw                                   *string `json:"properties_raw"`
	System                                          map[string]string
	Custom                                          map[string]*string
	SystemOrdered                                   []pair `json:"system_ordered"`
	CustomOrdered                                   []pair `json:"custom_ordered"`
	Pairs, Ordered                                  []pair
	AutoEncode                                      bool `json:"auto_url_encode"`
	Security                                        bool
	Output, Input, Method, Component, Command, RID  string
	Status                                          any
	Version                                         int64
	IDScope                                         string `json:"id_scope"`
	RegistrationID                                  string `json:"registration_id"`
	ClientVersion                                   string `json:"client_version"`
	OperationID                                     string `json:"operation_id"`
	CustomJSON                                      string `json:"custom_json"`
}

func (in *vectorInput) identity() hubwire.Identity {
	return hubwire.Identity{DeviceID: in.DeviceID, ModuleID: in.ModuleID}
}

// pair is a property: ["name", "value"] or ["name", null].
type pair struct {
	Name  string
	Value *string
}

func (p *pair) UnmarshalJSON(b []byte) error {
	var two [2]*string
	if err := json.Unmarshal(b, &two); err != nil || two[0] == nil {
		return fmt.Errorf("not a pair: %s", b)
	}
	p.Name, p.Value = *two[0], two[1]
	return nil
}

func (p pair) String() string {
	if p.Value == nil {
		return p.Name
	}
	return p.Name + "=" + *p.Value
}

// expectation is the outcome of a parser. Entries that nobody takes are a failure.
type expectation map[string]any

// want takes an entry and compares it.
func (e expectation) want(t *testing.T, name string, got any) {
	t.Helper()
	want, ok := e[name]
	delete(e, name)
	if !ok || want == nil {
		return
	}
	if s, isText := got.([]byte); isText {
		got = string(s)
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("%s is %v, want %v", name, got, want)
	}
}

func (e expectation) rest(t *testing.T) {
	t.Helper()
	if len(e) > 0 {
		t.Errorf("nobody looked at %v", slices.Collect(maps.Keys(e)))
	}
}

// refused reports whether the vector is of something to be refused, and checks
// that it was: as not of that kind, or with a SyntaxError.
func (e expectation) refused(t *testing.T, got, want topics.Kind, err error) bool {
	t.Helper()
	reason, ok := e["error"]
	if !ok {
		if err != nil || want != 0 && got != want {
			t.Fatalf("it is a %v, %v, want a %v", got, err, want)
		}
		return false
	}
	var se *topics.SyntaxError
	switch {
	case errors.As(err, &se):
		if reason == "unexpected-end" && !errors.Is(err, topics.ErrTruncated) && !errors.Is(err, topics.ErrMissing) {
			t.Errorf("the error is %v, want one that it ends too early", err)
		}
	case err != nil:
		t.Errorf("the error is %v, want a SyntaxError", err)
	case reason != "topic-no-match" || got == want:
		t.Errorf("it was taken, want %v", reason)
	}
	return true
}

// kinds has a test of each kind of vector.
var kinds = map[string]func(*testing.T, *vector){
	"hub.client_id":         clientIDVector,
	"hub.username":          userNameVector,
	"hub.username.parse":    userNameParseVector,
	"hub.username.reject":   userNameRejectVector,
	"dps.client_id":         dpsClientIDVector,
	"dps.username":          dpsUserNameVector,
	"telemetry.topic":       telemetryVector,
	"telemetry.parse":       messageParseVector,
	"c2d.parse":             c2dParseVector,
	"c2d.parse.decoded":     messageParseVector,
	"input.topic":           inputVector,
	"input.parse":           messageParseVector,
	"encode.value":          encodeVector,
	"propertybag.encode":    bagVector,
	"propertybag.append":    bagVector,
	"propertybag.find":      findVector,
	"method.parse":          methodParseVector,
	"method.request.topic":  methodRequestVector,
	"method.response.topic": methodResponseVector,
	"command.parse":         commandVector,
	"twin.get.topic":        twinGetVector,
	"twin.patch.topic":      twinPatchVector,
	"twin.parse":            twinParseVector,
	"server.request.parse":  serverParseVector,
	"subscribe.filter":      filterVector,
	"dps.register.topic":    dpsRegisterVector,
	"dps.register.payload":  dpsRegistrationVector,
	"dps.query.topic":       dpsQueryVector,
	"dps.response.parse":    dpsResponseVector,
	"dps.payload.parse":     dpsPayloadVector,

	// Package sas has the tests of these.
	"sas.password":       nil,
	"sas.string_to_sign": nil,
}

func TestVectors(t *testing.T) {
	var file struct{ Vectors []json.RawMessage }
	if err := json.Unmarshal(testkit.Vectors(t, "mqtt-topics.json"), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("the file has no vectors")
	}
	for _, raw := range file.Vectors {
		var name struct{ Kind, Name string }
		if err := json.Unmarshal(raw, &name); err != nil {
			t.Fatal(err)
		}
		t.Run(name.Kind+"/"+name.Name, func(t *testing.T) {
			run, ok := kinds[name.Kind]
			if !ok {
				t.Fatal("there is no test for this kind")
			}
			if run == nil {
				t.Skip("package sas has the test")
			}
			v := strict(t, raw)
			run(t, v)
			v.Expect.rest(t)
		})
	}
}

// strict decodes a vector. Its input may hold more than vectorInput has, the rest may not.
func strict(t *testing.T, raw []byte) *vector {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	v := new(vector)
	if err := json.Unmarshal(members["input"], &v.Input); err != nil {
		t.Fatal(err)
	}
	delete(members, "input")
	outcome, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(outcome))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
	return v
}

func parseTopic(t *testing.T, topic string) topics.Topic {
	t.Helper()
	parsed, err := topics.Parse([]byte(topic))
	if err != nil {
		t.Fatalf("%q: %v", topic, err)
	}
	return parsed
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is\n%q, want\n%q", what, got, want)
	}
}

func sameDiff(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func escape(s string) string   { return string(topics.AppendEscape(nil, s)) }
func unescape(s string) string { return string(topics.AppendUnescape(nil, s)) }

// decoded returns the pairs of a bag, decoded.
func decoded(b topics.Bag) []pair {
	var all []pair
	ps, _ := b.AppendDecoded(nil, nil)
	for _, p := range ps {
		all = append(all, pairOf(p))
	}
	return all
}

func pairOf(p topics.Pair) pair {
	if p.Null {
		return pair{Name: string(p.Name)}
	}
	value := string(p.Value)
	return pair{string(p.Name), &value}
}

// raw returns the pairs of a bag as they stand there.
func raw(b topics.Bag) []pair {
	var all []pair
	for p := range b.Pairs() {
		all = append(all, pairOf(p))
	}
	return all
}

// appendPairs writes pairs as this package does.
func appendPairs(dst []byte, ps []pair) []byte {
	for _, p := range ps {
		s := topics.LookupSystem(p.Name)
		switch {
		case p.Value == nil:
			dst = topics.AppendNull(dst, p.Name)
		case s != 0:
			dst = topics.AppendSystem(dst, s, *p.Value)
		default:
			dst = topics.AppendProperty(dst, p.Name, *p.Value)
		}
	}
	return dst
}

func text(s string) *string { return &s }

// sorted is ps by name, for SDKs whose order is their own business.
func sorted(ps []pair) []string {
	var all []string
	for _, p := range ps {
		all = append(all, p.String())
	}
	slices.Sort(all)
	return all
}

// latin1 is what the C SDK makes of UTF-8: each byte is taken for a character.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}
