package topics_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

func clientIDVector(t *testing.T, v *vector) {
	same(t, "client id", string(topics.AppendClientID(nil, v.Input.identity())), v.ClientID)
	id, err := topics.ParseClientID(v.ClientID)
	if err != nil || id != v.Input.identity() {
		t.Errorf("ParseClientID is %v, %v", id, err)
	}
}

// userNameVector reads what an SDK sends, and writes the same: in the bytes of
// those SDKs whose order and escapes are ours.
func userNameVector(t *testing.T, v *vector) {
	in := &v.Input
	want := topics.UserName{
		Host: in.Hostname, Identity: in.identity(), APIVersion: in.APIVersion, ModelID: in.ModelID,
		ClientType: unescape(in.EncodedAgent) + in.Agent + in.ProductInfo,
	}
	if in.AuthChain != "" {
		want.AuthChain = strings.Split(in.AuthChain, ";")
	}
	ours := string(topics.AppendUserName(nil, &want))
	for _, s := range []string{v.Username, ours} {
		got, err := topics.ParseUserName(s, nil)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		sameDiff(t, s, got, want)
	}
	switch in.Order {
	case "", "python", "dotnet":
		if escape(unescape(in.EncodedAgent)) == in.EncodedAgent { // the Embedded C SDK's is the caller's business
			same(t, "user name", ours, v.Username)
		}
	}
}

func userNameParseVector(t *testing.T, v *vector) {
	u, err := topics.ParseUserName(v.Input.Username, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.Expect.want(t, "host", u.Host)
	v.Expect.want(t, "hostname", u.Host)
	v.Expect.want(t, "device_id", u.Identity.DeviceID)
	v.Expect.want(t, "module_id", u.Identity.ModuleID)
	v.Expect.want(t, "api_version", u.APIVersion)
	v.Expect.want(t, "device_client_type", u.ClientType)
	v.Expect.want(t, "model_id", u.ModelID)
	v.Expect.want(t, "auth_chain", u.AuthChain)
	again, err := topics.ParseUserName(string(topics.AppendUserName(nil, &u)), nil)
	if diff := cmp.Diff(u, again); diff != "" || err != nil {
		t.Errorf("our own user name says (-first +second), %v:\n%s", err, diff)
	}
}

func userNameRejectVector(t *testing.T, v *vector) {
	u, err := topics.ParseUserName(v.Input.Username, nil)
	checkSyntaxError(t, v.Input.Username, err)
	if diff := cmp.Diff(topics.UserName{}, u); diff != "" {
		t.Errorf("it gave something beside the error:\n%s", diff)
	}
	delete(v.Expect, "error")
}

// methodParseVector: the Python SDK decodes what it reads. This package does not,
// because a request id must be echoed byte for byte.
func methodParseVector(t *testing.T, v *vector) {
	parsed, err := topics.Parse([]byte(v.Input.Topic))
	refused := v.Expect.refused(t, parsed.Kind, topics.MethodRequest, err)
	delete(v.Expect, "error")
	if refused {
		return
	}
	view := func(b []byte) string { return string(b) }
	if v.Input.SDK == "python" {
		view = func(b []byte) string { return unescape(string(b)) }
	}
	same(t, "method", view(parsed.Name()), v.Method)
	same(t, "request id", view(parsed.RequestID()), v.RID)
	again := parseTopic(t, string(topics.AppendMethodRequest(nil, v.Method, parsed.RequestID())))
	same(t, "method, built", unescape(string(again.Name())), v.Method)
	same(t, "request id, built", string(again.RequestID()), string(parsed.RequestID()))
	for name, want := range v.Extra {
		p, ok := parsed.Bag().Find(name)
		if !ok || string(p.Value) != want {
			t.Errorf("%s is %q, %v, want %q", name, p.Value, ok, want)
		}
	}
}

func methodRequestVector(t *testing.T, v *vector) {
	same(t, "the topic", string(topics.AppendMethodRequest(nil, v.Input.Method, v.Input.RID)), v.Topic)
	parsed := parseTopic(t, v.Topic)
	same(t, "method", unescape(string(parsed.Name())), v.Input.Method)
	same(t, "request id", string(parsed.RequestID()), v.Input.RID)
}

func methodResponseVector(t *testing.T, v *vector) {
	rid := v.Input.RID
	if v.Input.SDK == "python" {
		rid = escape(rid) // it was decoded when it came
	}
	status, isNumber := v.Input.Status.(float64)
	if !isNumber {
		// Only Python's string builder gets such a status, never its wire.
		_, err := topics.Parse([]byte(v.Topic))
		checkSyntaxError(t, v.Topic, err)
		same(t, "the topic", "$iothub/methods/res/"+escape(fmt.Sprint(v.Input.Status))+"/?$rid="+rid, v.Topic)
		return
	}
	same(t, "the topic", string(topics.AppendMethodResponse(nil, int(status), rid)), v.Topic)
	parsed := parseTopic(t, v.Topic)
	if parsed.Kind != topics.MethodResponse || parsed.Status() != int(status) || string(parsed.RequestID()) != rid {
		t.Errorf("it is a %v with %d and %q", parsed.Kind, parsed.Status(), parsed.RequestID())
	}
}

func commandVector(t *testing.T, v *vector) {
	parsed := parseTopic(t, v.Input.Topic)
	component, command := topics.SplitCommand(string(parsed.Name()))
	same(t, "component", component, v.Component)
	same(t, "command", command, v.Command)
	same(t, "request id", string(parsed.RequestID()), v.RID)
	method := topics.AppendCommand(nil, v.Component, v.Command)
	same(t, "the topic", string(topics.AppendMethodRequest(nil, method, v.RID)), v.Input.Topic)
}

func twinGetVector(t *testing.T, v *vector) {
	rid := v.Input.RID
	if v.Input.SDK == "python" {
		rid = escape(rid)
	}
	same(t, "the topic", string(topics.AppendTwinGet(nil, rid)), v.Topic)
	parsed := parseTopic(t, v.Topic)
	if parsed.Kind != topics.TwinGet || string(parsed.RequestID()) != rid {
		t.Errorf("it is a %v with %q", parsed.Kind, parsed.RequestID())
	}
}

func twinPatchVector(t *testing.T, v *vector) {
	rid := v.Input.RID
	if v.Input.SDK == "python" {
		rid = escape(rid)
	}
	same(t, "the topic", string(topics.AppendTwinReported(nil, rid, v.Input.Version)), v.Topic)
	parsed := parseTopic(t, v.Topic)
	version, _ := parsed.Version()
	if parsed.Kind != topics.TwinReported || string(parsed.RequestID()) != rid || version != v.Input.Version {
		t.Errorf("it is a %v with %q and %d", parsed.Kind, parsed.RequestID(), version)
	}
}

// twinParseVector: the types are those of the Embedded C SDK, which also gives a
// status to desired updates.
func twinParseVector(t *testing.T, v *vector) {
	parsed, err := topics.Parse([]byte(v.Input.Topic))
	kind := topics.TwinResponse
	if v.Expect["type"] == "desired" {
		kind = topics.TwinDesired
		v.Expect.want(t, "status", 200)
	}
	refused := v.Expect.refused(t, parsed.Kind, kind, err)
	delete(v.Expect, "error")
	if refused {
		return
	}
	v.Expect.want(t, "status", parsed.Status())
	v.Expect.want(t, "rid", parsed.RequestID())
	v.Expect.want(t, "version", parsed.VersionText())
	name := "desired"
	switch {
	case kind == topics.TwinDesired:
	case parsed.Status() >= 400:
		name = "error"
	case parsed.Status() == 204:
		name = "reported"
	default:
		name = "get"
	}
	v.Expect.want(t, "type", name)
	if n, ok := parsed.Version(); kind == topics.TwinResponse && (ok || len(parsed.VersionText()) == 0) {
		same(t, "built", string(topics.AppendTwinResponse(nil, parsed.Status(), parsed.RequestID(), n)), v.Input.Topic)
	}
}

// serverParseVector is of Edge Hub's parser, which decodes nothing.
func serverParseVector(t *testing.T, v *vector) {
	operations := map[any]topics.Kind{
		"twin-get": topics.TwinGet, "twin-patch": topics.TwinReported, "method-response": topics.MethodResponse,
	}
	parsed, err := topics.Parse([]byte(v.Input.Topic))
	refused := v.Expect.refused(t, parsed.Kind, operations[v.Expect["operation"]], err)
	delete(v.Expect, "error")
	delete(v.Expect, "operation")
	if refused {
		return
	}
	resource := ""
	if parsed.Kind == topics.MethodResponse {
		resource = strconv.Itoa(parsed.Status())
	}
	v.Expect.want(t, "resource", resource)
	got := map[string]any{}
	for p := range parsed.Bag().Pairs() {
		got[string(p.Name)] = string(p.Value)
	}
	sameDiff(t, "properties", any(got), v.Expect["properties"])
	rid, _ := got["$rid"].(string)
	same(t, "request id", string(parsed.RequestID()), rid)
	version, _ := got["$version"].(string)
	same(t, "version", string(parsed.VersionText()), version)
	delete(v.Expect, "properties")
}

// filterVector reads a filter and writes it again.
func filterVector(t *testing.T, v *vector) {
	f, err := topics.ParseFilter([]byte(v.Topic))
	if err != nil {
		t.Fatal(err)
	}
	id := hubwire.Identity{DeviceID: string(f.DeviceID), ModuleID: string(f.ModuleID)}
	written := map[topics.Kind][]string{
		topics.MethodRequest: {topics.MethodFilter},
		topics.TwinResponse:  {topics.TwinResponseFilter},
		topics.TwinDesired:   {topics.TwinDesiredFilter},
		topics.DPSResponse:   {topics.DPSResponseFilter},
		topics.C2D:           {string(topics.AppendC2DFilter(nil, id))},
		topics.Input:         {string(topics.AppendInputFilter(nil, id)), string(topics.AppendModuleFilter(nil, id))},
	}
	for _, s := range written[f.Kind] {
		if s == v.Topic {
			return
		}
	}
	t.Errorf("it is for %v of %v, which we write %q", f.Kind, id, written[f.Kind])
}
