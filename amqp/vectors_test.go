package amqp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

// vectorFile is the golden file; each table is run by the test that [vectorTests] names.
type vectorFile map[string]json.RawMessage

func readVectors(t testing.TB) vectorFile {
	t.Helper()
	var f vectorFile
	if err := json.Unmarshal(testkit.Vectors(t, "amqp.json"), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// table decodes one table. A member that v has no place for fails the test.
func (f vectorFile) table(t testing.TB, name string, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(f[name])))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// addressVector is an address of a client, or several.
type addressVector struct {
	ID         string
	ClientRole string   `json:"client_role"`
	Address    oneOrAll `json:"address"`
	MessageTo  []string `json:"message_to"`
}

// oneOrAll is a string or an array of them.
type oneOrAll []string

func (o *oneOrAll) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*o = oneOrAll{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// nodesOfVectors are the nodes that the vectors' ids name, for each role.
var nodesOfVectors = map[string][2]Node{ // sender, receiver
	"device telemetry": {Telemetry, 0}, "device c2d": {0, C2D},
	"device methods-responses": {MethodResponses, 0}, "device methods-requests": {0, MethodRequests},
	"device twin-requests": {TwinRequests, 0}, "device twin-responses": {0, TwinResponses},
	"module telemetry": {Telemetry, 0}, "module inputs (Edge)": {0, Input}, "module c2m": {0, C2D},
	"module methods": {MethodResponses, MethodRequests}, "module twin": {TwinRequests, TwinResponses},
	"service c2d send": {C2DSend, 0}, "service feedback": {0, Feedback}, "service file notifications": {0, FileNotifications},
	"service events redirect": {0, Events},
	"eventhub partition":      {0, Partition}, "eventhub management": {Management, Management},
}

func TestAddressVectors(t *testing.T) {
	var v struct {
		Device, Module, Service, EventHub []addressVector
		MatchRules                        string   `json:"match_rules"`
		AcceptExamples                    [][3]any `json:"accept_examples"`
		RejectExamples                    []string `json:"reject_examples"`
	}
	readVectors(t).table(t, "addresses", &v)
	for group, addresses := range map[string][]addressVector{
		"device": v.Device, "module": v.Module, "service": v.Service, "eventhub": v.EventHub,
	} {
		for _, a := range addresses {
			wanted, ok := nodesOfVectors[group+" "+a.ID]
			if !ok {
				t.Errorf("no test knows the address %s %s", group, a.ID)
				continue
			}
			for _, text := range a.Address {
				checkAddress(t, fill(text), a.ClientRole, wanted)
			}
			for _, to := range a.MessageTo {
				if id, err := ParseDestination(fill(to)); err != nil || id.DeviceID != "dev-1" {
					t.Errorf("%s: %v, %v", to, id, err)
				}
			}
		}
	}
	for _, example := range v.AcceptExamples {
		checkExample(t, example)
	}
	for _, text := range v.RejectExamples {
		for _, role := range []Role{Sender, Receiver} {
			if a, err := ParseAddress(role, text); err == nil {
				t.Errorf("%s is taken for %v", text, a.Node)
			}
		}
	}
}

// fill puts names into the places of a template.
func fill(template string) string {
	return strings.NewReplacer("{deviceId}", "dev-1", "{id}", "dev-1", "{moduleId}", "mod-1", "{mid}", "mod-1",
		"{eventhub}", "hub-1", "{group}", "$Default", "{n}", "3", "HOST", "h.example").Replace(template)
}

// checkAddress reads an address in the roles that it is for, and the other, and writes it again.
func checkAddress(t *testing.T, text, roles string, wanted [2]Node) {
	t.Helper()
	for i, role := range []Role{Sender, Receiver} {
		name := [...]string{"sender", "receiver"}[i]
		a, err := ParseAddress(role, text)
		switch {
		case !strings.Contains(roles, name) || wanted[i] == 0:
			if err == nil && a.Node == wanted[1-i] && a.Node != Management && a.Node != Events {
				t.Errorf("%s is taken from a %s", text, name)
			}
			continue
		case err != nil || a.Node != wanted[i]:
			t.Errorf("%s of a %s: %v, %v, want %v", text, name, a.Node, err, wanted[i])
			continue
		}
		again, err := ParseAddress(role, a.String())
		if err != nil || again != a {
			t.Errorf("%s -> %v -> %v, %v", text, a, again, err)
		}
		if !strings.Contains(text, "://") && !strings.EqualFold(strings.Trim(a.String(), "/"), strings.Trim(text, "/")) {
			t.Errorf("%s is written %s", text, a)
		}
	}
}

func checkExample(t *testing.T, example [3]any) {
	t.Helper()
	text, node := example[0].(string), example[1].(string)
	role := Sender
	want, ok := nodesOfVectors["device "+node]
	if node == "twin" {
		want, ok = [2]Node{TwinRequests, TwinResponses}, true
	}
	if want[0] == 0 {
		role, want[0] = Receiver, want[1]
	}
	if !ok {
		t.Errorf("no test knows %s", node)
	}
	ids := map[string]any{}
	a, err := ParseAddress(role, text)
	if a.Identity.DeviceID != "" {
		ids["deviceId"] = a.Identity.DeviceID
	}
	if a.Identity.ModuleID != "" {
		ids["moduleId"] = a.Identity.ModuleID
	}
	if diff := cmp.Diff(example[2], any(ids)); err != nil || a.Node != want[0] || diff != "" {
		t.Errorf("%s: %v, %v, want %v (-want +got):\n%s", text, a.Node, err, want[0], diff)
	}
}

func TestConditionVectors(t *testing.T) {
	var vs []struct {
		ErrorCode *hubwire.Code
		Name      string
		Condition Condition
	}
	readVectors(t).table(t, "error_conditions", &vs)
	for _, v := range vs {
		if v.ErrorCode == nil {
			if code := v.Condition.Code(); code == 0 || ConditionOf(code) != v.Condition {
				t.Errorf("%s is %v, and that %s", v.Condition, code, ConditionOf(code))
			}
			continue
		}
		if got := v.ErrorCode.Name(); got != v.Name {
			t.Errorf("%d is %s, want %s", *v.ErrorCode, got, v.Name)
		}
		if got := ConditionOf(*v.ErrorCode); got != v.Condition {
			t.Errorf("%s is %s, want %s", v.Name, got, v.Condition)
		}
		if code := v.Condition.Code(); ConditionOf(code) != v.Condition {
			t.Errorf("%s is %v, and that %s", v.Condition, code, ConditionOf(code))
		}
	}
}

func TestRedirectVectors(t *testing.T) {
	var v struct {
		Condition Condition
		Info      map[string]string
		Shapes    []struct {
			AttachedTo  string `json:"attached_to"`
			Address     string
			ClientRegex string `json:"client_regex"`
			ClientRule  string `json:"client_rule"`
		} `json:"address_shapes"`
	}
	readVectors(t).table(t, "link_redirect", &v)
	for _, shape := range v.Shapes {
		a, err := ParseAddress(Receiver, shape.AttachedTo)
		if err != nil || a.Node != Events {
			t.Errorf("%s: %v, %v", shape.AttachedTo, a.Node, err)
			continue
		}
		e := FromWire(NewRedirect(a, "NS.servicebus.windows.net", 5671, "HUBNAME").Wire())
		if e.Condition != v.Condition || e.Redirect.Address != shape.Address || e.Redirect.Port != 5671 {
			t.Errorf("%s leads to %+v, want %s", shape.AttachedTo, e, shape.Address)
		}
		types := map[string]string{}
		for key, value := range NewRedirect(a, "h", 5671, "n").Wire().Info.Entries() {
			name, _ := key.Text()
			types[string(name)] = value.Kind().String()
		}
		if diff := cmp.Diff(v.Info, types); diff != "" {
			t.Errorf("info (-want +got):\n%s", diff)
		}
	}
}
