package amqp

import (
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// vectorTests says which test runs each table of the file, and which other package has that of
// those that are not for this one.
var vectorTests = map[string]string{
	"addresses":              "TestAddressVectors",
	"error_conditions":       "TestConditionVectors",
	"link_redirect":          "TestRedirectVectors",
	"messages":               "TestMessageVectors",
	"link_properties_keys":   "TestLinkPropertyVectors",
	"links_by_sdk":           "TestLinkVectors",
	"annotations":            "TestAnnotationVectors",
	"application_properties": "TestApplicationPropertyVectors",
	"twin_operations":        "TestTwinOperationVectors",
	"batch_message_format":   "TestConstantVectors",
	"feedback":               "TestConstantVectors",
	"file_notification":      "TestConstantVectors",
	"selector_filter":        "TestFilterVectors",
	"eventhub_filters":       "TestFilterVectors",
	"guid_delivery_tag":      "TestLockTokenVectors",
	"cbs":                    "TestCBSVectors",

	"_about":                       "a text",
	"ports":                        "hub",
	"sasl":                         "hub/internal/amqpfront",
	"audiences":                    "sas, hub/internal/amqpfront",
	"edge_hub_server_settle_modes": "of another server",
	"twin_status_to_node_error":    "of a client",
	"delivery_outcomes":            "internal/amqp10",
	"primitives":                   "internal/amqp10",
	"frames":                       "internal/amqp10",
	"session_capture":              "internal/amqp10",
}

func TestEachTableHasItsTest(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(readVectors(t))) {
		if vectorTests[name] == "" {
			t.Errorf("no test runs the table %s", name)
		}
	}
	if os.Getenv(testkit.VectorsEnv) == "" && len(messageVectors(t)) != 32 {
		t.Errorf("there are %d messages", len(messageVectors(t)))
	}
}

func TestConstantVectors(t *testing.T) {
	f := readVectors(t)
	var batch struct {
		Decimal uint32
		Hex     string
	}
	f.table(t, "batch_message_format", &batch)
	if batch.Decimal != BatchFormat || batch.Hex != fmt.Sprintf("%#x", BatchFormat) {
		t.Errorf("%+v, want %#x", batch, BatchFormat)
	}
	var feedback struct {
		ContentType string   `json:"content_type"`
		StatusCodes []string `json:"status_codes"`
		RecordKeys  []string `json:"record_keys"`
	}
	f.table(t, "feedback", &feedback)
	if feedback.ContentType != FeedbackType {
		t.Error(feedback.ContentType)
	}
	var file struct {
		ContentType string `json:"content_type"`
		Keys        []string
	}
	f.table(t, "file_notification", &file)
	if file.ContentType != FileNotificationType {
		t.Error(file.ContentType)
	}
}

func TestLinkPropertyVectors(t *testing.T) {
	var want map[string]string
	readVectors(t).table(t, "link_properties_keys", &want)
	epoch := int64(3)
	p := LinkProperties{
		ClientVersion: "v", APIVersion: "2021-04-12", Channel: "twin:1", ModelID: "dtmi:a;1", AuthChain: "a;b",
		ReceiverName: "r", Timeout: time.Minute, Epoch: &epoch,
	}
	v := amqp10.ValueOf(p.AppendTo(nil))
	got := map[string]string{}
	for key, value := range v.Entries() {
		name, _ := key.Text()
		got[string(name)] = value.Kind().String()
		if kind := key.Kind().String(); kind != want["_key_type"] {
			t.Errorf("the key %s is a %s", name, kind)
		}
	}
	for key, kind := range want {
		if strings.HasPrefix(key, "_") || strings.HasPrefix(kind, "seen in") {
			continue // a note
		}
		if kind, _, _ = strings.Cut(kind, " "); got[key] != kind {
			t.Errorf("%s is a %q, want %s", key, got[key], kind)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("there are more: %v", got)
	}
	again, err := ParseLinkProperties(v)
	if diff := cmp.Diff(p, again); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestLinkVectors reads the addresses that each SDK attaches to, in its spelling.
func TestLinkVectors(t *testing.T) {
	var vs []map[string]any
	readVectors(t).table(t, "links_by_sdk", &vs)
	for _, v := range vs {
		link := fmt.Sprint(v["link"])
		found := false
		for _, member := range []string{"target", "source", "address"} {
			text, _ := v[member].(string)
			if !strings.Contains(text, "/devices/") {
				continue
			}
			found = true
			for _, role := range []Role{Sender, Receiver} {
				name := map[Role]string{Sender: "sender", Receiver: "receiver"}[role]
				if !strings.Contains(link, name) || !strings.Contains(link, "/") && (member == "source") != (role == Receiver) {
					continue
				}
				a, err := ParseAddress(role, text)
				if err != nil || a.Identity.DeviceID == "" || !nodeFits(a.Node, link) {
					t.Errorf("%v %s: %s is %v, %v", v["sdk"], link, text, a.Node, err)
				}
			}
		}
		if !found {
			t.Errorf("%v %s has no address", v["sdk"], link)
		}
	}
}

func nodeFits(n Node, link string) bool {
	for word, nodes := range map[string][]Node{
		"telemetry": {Telemetry}, "c2d": {C2D}, "module events": {Input},
		"methods": {MethodRequests, MethodResponses}, "twin": {TwinRequests, TwinResponses},
	} {
		if strings.HasPrefix(link, word) {
			return slices.Contains(nodes, n)
		}
	}
	return false
}

// TestAnnotationVectors has every annotation written that there is, and compares keys and types.
func TestAnnotationVectors(t *testing.T) {
	var want struct {
		TelemetryFromDevice map[string]string `json:"telemetry_from_device"`
		C2DToDevice         map[string]string `json:"c2d_to_device"`
		TwinRequest         map[string]string `json:"twin_request"`
		TwinResponse        map[string]string `json:"twin_response"`
		Event               map[string]string `json:"eventhub_d2c"`
		Sources             []string          `json:"iothub-message-source_values"`
		KeyType             string            `json:"_key_type"`
	}
	readVectors(t).table(t, "annotations", &want)
	now, id := time.Now(), hubwire.Identity{DeviceID: "d", ModuleID: "m"}
	device := hubwire.Message{InterfaceID: "i", Component: "c", DiagnosticID: "d", DiagnosticContext: "x"}
	r := hubwire.Received{Input: "in", EnqueuedTime: now, LockToken: "t", SequenceNumber: 1, Source: id}
	received := hubwire.Received{Message: device, EnqueuedTime: now, SequenceNumber: 1, Source: id}
	stringID := String("1").Value()
	for name, part := range map[string]struct {
		want map[string]string
		wire [][]byte
	}{
		"telemetry":    {want.TelemetryFromDevice, [][]byte{AppendTelemetry(nil, &device)}},
		"c2d":          {want.C2DToDevice, [][]byte{AppendC2D(nil, id, &r)}},
		"twin request": {want.TwinRequest, [][]byte{AppendTwinRequest(nil, &TwinRequest{ID: stringID, Operation: TwinReport, Body: []byte("{}")})}},
		"twin response": {want.TwinResponse, [][]byte{
			AppendTwinResponse(nil, &TwinResponse{ID: stringID, Status: 200, Version: 2}), AppendTwinResponse(nil, &TwinResponse{Version: 2}),
		}},
		"event": {want.Event, [][]byte{AppendEvent(nil, &Event{
			Received: &received, Offset: "1", PartitionKey: "k", AuthMethod: "{}", GenerationID: "g", MessageSource: "Telemetry", ModelID: "dtmi:a;1",
		})}},
	} {
		got := map[string]string{}
		for _, wire := range part.wire {
			m, err := ParseMessage(wire)
			if err != nil {
				t.Fatal(name, err)
			}
			for key, v := range m.Annotations().All() {
				got[string(key)] = v.Kind().String()
			}
			keyKinds(t, wire, want.KeyType)
		}
		for key, kind := range part.want {
			kind = strings.TrimRight(strings.FieldsFunc(kind, func(r rune) bool { return r == ' ' || r == '|' || r == ';' })[0], ";")
			if kind != got[key] && !(key == KeyTwinVersion && name == "twin request") { // which only .NET and Java send
				t.Errorf("%s: %s is a %q, want %s", name, key, got[key], kind)
			}
			delete(got, key)
		}
		if name == "event" { // the two that the list leaves to telemetry
			delete(got, KeyDiagnosticID)
			delete(got, KeyDiagnosticContext)
		}
		if len(got) > 0 {
			t.Errorf("%s has more: %v", name, got)
		}
	}
}

// keyKinds holds that all keys of the annotations are of one type.
func keyKinds(t *testing.T, wire []byte, want string) {
	t.Helper()
	for r := amqp10.NewReader(wire); r.More(); {
		descriptor, v, _ := r.Value().Described()
		if code, _ := descriptor.Uint(); code != uint64(amqp10.DescMessageAnnotations) {
			continue
		}
		for key := range v.Entries() {
			if key.Kind().String() != want {
				t.Errorf("a key is a %v", key.Kind())
			}
		}
	}
}

func TestApplicationPropertyVectors(t *testing.T) {
	var want map[string]map[string]string
	readVectors(t).table(t, "application_properties", &want)
	m := hubwire.Message{
		CreationTime: time.Now(), Schema: "s", Output: "o", Ack: hubwire.AckFull,
		Properties: []hubwire.Property{{Name: "iothub-operation", Value: "x"}}, // an ordinary property
	}
	got := map[string]string{}
	for _, wire := range [][]byte{
		AppendTelemetry(nil, &m), AppendMethodRequest(nil, UUID{}, &hubwire.MethodRequest{Name: "n"}),
		AppendMethodResponse(nil, UUID{}, &hubwire.MethodResponse{Status: 200}),
	} {
		parsed, err := ParseMessage(wire)
		if err != nil {
			t.Fatal(err)
		}
		for key, v := range parsed.ApplicationProperties().All() {
			got[string(key)] = v.Kind().String()
		}
	}
	for group, names := range want {
		for name, kind := range names {
			if kind, _, _ = strings.Cut(kind, " "); got[name] != kind {
				t.Errorf("%s: %s is a %q, want %s", group, name, got[name], kind)
			}
		}
	}
	for _, ack := range strings.Split(strings.TrimPrefix(want["c2d_send"][NameAck], "string "), "|") {
		if err := (&hubwire.Message{Ack: hubwire.Ack(ack)}).CheckC2D(); err != nil {
			t.Error(err)
		}
	}
}

func TestTwinOperationVectors(t *testing.T) {
	var vs []struct {
		Op           string
		Resource     *string
		Body         string
		OkStatus     any               `json:"ok_status"`
		ResponseBody string            `json:"response_body"`
		Annotations  map[string]string `json:"response_annotations"`
	}
	readVectors(t).table(t, "twin_operations", &vs)
	seen := map[TwinOperation]bool{}
	for _, v := range vs {
		annotations := []Pair{{KeyTwinOperation, String(v.Op)}}
		if v.Resource != nil {
			annotations = append(annotations, Pair{KeyTwinResource, String(*v.Resource)})
		}
		for _, body := range []Draft{{Body: DataBody}, {Body: DataBody, Data: []byte(" ")}, {}} { // empty, a blank, or none
			body.Annotations, body.Properties.CorrelationID = annotations, String("1")
			m, err := ParseMessage(AppendMessage(nil, &body))
			if err != nil {
				t.Fatal(err)
			}
			r, err := ParseTwinRequest(&m)
			if err != nil || r.Operation.String() != v.Op {
				t.Errorf("%s: %v, %v", v.Op, r.Operation, err)
			}
			seen[r.Operation] = true
		}
	}
	if len(seen) != len(twinOperations)-1 && os.Getenv(testkit.VectorsEnv) == "" {
		t.Errorf("only %v", seen)
	}
}

func TestFilterVectors(t *testing.T) {
	f := readVectors(t)
	var filter struct {
		Name    string
		Hex     string `json:"descriptor_ulong_hex"`
		Decimal uint64 `json:"descriptor_ulong_decimal"`
	}
	f.table(t, "selector_filter", &filter)
	if filter.Name != SelectorFilter || filter.Decimal != selectorDescriptor || filter.Hex != fmt.Sprintf("%016x", selectorDescriptor) {
		t.Errorf("%+v", filter)
	}
	var vs []struct{ Position, Expr string }
	f.table(t, "eventhub_filters", &vs)
	for _, v := range vs {
		s, err := ParseSelector(v.Expr)
		if err != nil {
			t.Errorf("%s: %v", v.Position, err)
			continue
		}
		kinds := map[string]StartAt{"earliest": Earliest, "latest": Latest, "offset": AtOffset, "sequence": AtSequence, "enqueued": AtTime, "legacy": AtTime}
		want, known := kinds[strings.Fields(v.Position)[0]]
		if !known || s.At != want || s.Inclusive != strings.Contains(v.Position, "inclusive") {
			t.Errorf("%s: %+v", v.Position, s)
		}
		if got := s.String(); got != v.Expr && !strings.Contains(v.Position, "unquoted") && !strings.Contains(v.Position, "legacy") {
			t.Errorf("%s is written %s", v.Expr, got)
		}
		again, ok, err := ParseFilter(amqp10.ValueOf(s.AppendFilter(nil)))
		if err != nil || !ok || again != s {
			t.Errorf("%s: %+v came back as %+v, %v, %v", v.Position, s, again, ok, err)
		}
	}
}

func TestLockTokenVectors(t *testing.T) {
	var v struct {
		UUID, DotNet, GUID, Note string
	}
	var raw map[string]string
	readVectors(t).table(t, "guid_delivery_tag", &raw)
	v.UUID, v.DotNet, v.GUID = raw["amqp_uuid_bytes_hex"], raw["dotnet_bytes_hex"], raw["guid"]
	u, ok := ParseUUID(v.GUID)
	if !ok || hex.EncodeToString(u[:]) != v.UUID || u.String() != v.GUID {
		t.Errorf("%s is %x, %v", v.GUID, u, ok)
	}
	tag := u.AppendTag(nil)
	if got := hex.EncodeToString(tag); got != v.DotNet {
		t.Errorf("the tag is %s, want %s", got, v.DotNet)
	}
	if again, ok := ParseTag(tag); !ok || again != u {
		t.Errorf("%v came back as %v, %v", u, again, ok)
	}
}

func TestCBSVectors(t *testing.T) {
	var v struct {
		Address, Operation string
		TokenTypes         map[string]string `json:"token_types"`
		AADBodyPrefix      string            `json:"aad_body_prefix"`
		ResponseProperties map[string]string `json:"response_properties"`
		SuccessCodes       []int             `json:"success_codes"`
		BySDK              []map[string]any  `json:"put_token_by_sdk"`
	}
	readVectors(t).table(t, "cbs", &v)
	if got := (Address{Node: CBS}).String(); got != v.Address || v.Operation != PutTokenOperation {
		t.Errorf("%s, %s", got, v.Operation)
	}
	ids := map[string]Typed{
		"string uuid": String(UUID{1}.String()), "ulong 0,1,2,...": Ulong(0), "ulong": Ulong(300), "AMQP uuid": ID(UUID{1}),
		"string 'request<N>'": String("request1"),
	}
	for _, sdk := range v.BySDK {
		id, ok := ids[fmt.Sprint(sdk["message_id"])]
		if !ok {
			t.Errorf("no test knows the id of %v", sdk["sdk"])
		}
		for who, kind := range v.TokenTypes {
			p := PutToken{ID: id.Value(), Type: kind, Name: "h/devices/d", Token: sas.NewSecret(v.AADBodyPrefix + "x")}
			checkPutToken(t, fmt.Sprint(sdk["sdk"], ", ", who), &p, v.ResponseProperties)
		}
	}
	for _, status := range v.SuccessCodes {
		if err := (&Response{Status: status}).Err("put-token"); err != nil {
			t.Error(err)
		}
	}
}

// checkPutToken sends a token one way and the answer the other.
func checkPutToken(t *testing.T, name string, p *PutToken, properties map[string]string) {
	t.Helper()
	m, err := ParseMessage(AppendPutToken(nil, p))
	if err != nil {
		t.Fatal(name, err)
	}
	got, err := ParsePutToken(&m)
	if err != nil || got.Type != p.Type || got.Name != p.Name || !got.Token.Equal(p.Token) || dumpValue(got.ID) != dumpValue(p.ID) {
		t.Errorf("%s: %+v, %v", name, got, err)
	}
	answer := NewResponse(got.ID, nil)
	if m, err = ParseMessage(AppendResponse(nil, &answer)); err != nil {
		t.Fatal(name, err)
	}
	for key, kind := range properties {
		if v, _ := m.ApplicationProperties().Lookup(key); v.Kind().String() != kind {
			t.Errorf("%s: %s is a %v", name, key, v.Kind())
		}
	}
	r, err := ParseResponse(&m)
	if err != nil || dumpValue(r.ID) != dumpValue(p.ID) || r.Err("put-token") != nil {
		t.Errorf("%s: %+v, %v", name, r, err)
	}
}
