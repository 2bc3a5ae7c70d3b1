package hub_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// askAs asks for an operation with a credential that it takes.
func (m *matrix) askAs(op httpsx.Operation, t httpsx.Target, body, ifMatch string) (*http.Response, string) {
	m.Helper()
	r := &rest{m.TB, m.h, m.client, ""}
	authorization := m.policyToken("iothubowner", "localhost", time.Hour)
	path := string(op.AppendPath(nil, t))
	res, got := r.do(op.Method(), path+version, body, "Authorization", authorization, "If-Match", ifMatch)
	return res, got
}

// takesJSON are the operations whose body is a document.
var takesJSON = []httpsx.Operation{
	httpsx.InitUpload, httpsx.NotifyUpload, httpsx.PutDevice, httpsx.BulkDevices, httpsx.PutModule, httpsx.RegenerateKeys,
	httpsx.PatchTwin, httpsx.PutTwin, httpsx.Query, httpsx.InvokeMethod, httpsx.PutJob, httpsx.CreateImportExport,
	httpsx.PutConfiguration, httpsx.TestConfigurationQueries, httpsx.ApplyConfiguration, httpsx.PatchDigitalTwin, httpsx.InvokeCommand,
	httpsx.ListTargetScope, httpsx.GetOnBehalfOf, httpsx.PutModuleOnBehalfOf, httpsx.GetModuleOnBehalfOf, httpsx.ListModulesOnBehalfOf, httpsx.DeleteModuleOnBehalfOf,
}

// TestBodiesThatNoOperationTakes has each operation refuse what is no document of its own,
// and do nothing.
func TestBodiesThatNoOperationTakes(t *testing.T) {
	m := newMatrix(t)
	before := m.state()
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for _, op := range takesJSON {
		for _, target := range targets(op) {
			for name, tt := range map[string]struct {
				body   string
				status int
				code   string
			}{
				"half of it":         {`{"deviceId":`, 400, "IotHubFormatError"},
				"two":                {`{} {}`, 400, "IotHubFormatError"},
				"XML":                {`<device/>`, 400, "IotHubFormatError"},
				"not UTF-8":          {"{\"a\":\"\xff\"}", 400, "IotHubFormatError"},
				"nested too deeply":  {deep, 400, "IotHubFormatError"},
				"a byte too many":    {`{"a":"` + strings.Repeat("x", int(op.MaxBody())-7) + `"}`, 413, "MessageTooLarge"},
				"of another type":    {`"text"`, 400, "IotHubFormatError"},
				"null":               {`null`, 400, ""},
				"an empty document":  {`{}`, 400, ""},
				"members that are 7": {`{"blobName":7,"correlationId":7,"deviceId":7,"moduleId":7,"status":7,"tags":7,"properties":7,"query":7,"methodName":7,"type":7,"id":7,"targetCondition":7,"deviceContent":7,"authChain":7,"policyKey":7,"devices":7}`, 400, ""},
			} {
				switch {
				case op == httpsx.InvokeCommand && tt.code == "" || op == httpsx.InvokeCommand && name == "of another type":
					continue // its payload is any JSON
				case tt.code == "" && (op == httpsx.PutDevice || op == httpsx.PutModule || op == httpsx.PatchTwin || op == httpsx.PutTwin || op == httpsx.TestConfigurationQueries || op == httpsx.PutConfiguration) && name != "members that are 7":
					continue // which asks for nothing, and so is taken
				case op == httpsx.NotifyUpload && name == "an empty document", op == httpsx.PatchDigitalTwin && name == "of another type":
					tt.code = ""
				}
				res, body := m.askAs(op, target, tt.body, "*")
				code := res.Header.Get("iothub-errorcode")
				if res.StatusCode != tt.status || tt.code != "" && code != tt.code {
					t.Errorf("%v of %v with %s: %s %s", op, target.Identity, name, res.Status, body)
				}
			}
		}
	}
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("something happened (-before +after)\n%s", diff)
	}
}

// TestIdsThatNoOperationTakes has ids with a character that no id has, and with one too many.
func TestIdsThatNoOperationTakes(t *testing.T) {
	m := newMatrix(t)
	before := m.state()
	for op := range allOperations {
		for _, target := range targets(op) {
			if target.Identity.DeviceID == "" {
				continue
			}
			for _, bad := range []string{strings.Repeat("x", 129), "a b", "a/b", "ä", "a\x00", "a\"b", "a<b"} {
				broken := target
				broken.Identity.DeviceID = bad
				if target.Identity.IsModule() {
					broken.Identity = hubwire.Identity{DeviceID: dev.DeviceID, ModuleID: bad}
				}
				res, body := m.askAs(op, broken, "{}", "*")
				if res.StatusCode != 400 || res.Header.Get("iothub-errorcode") != "ArgumentInvalid" {
					t.Errorf("%v of %q: %s %s", op, broken.Identity, res.Status, body)
				}
			}
		}
	}
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("something happened (-before +after)\n%s", diff)
	}
}

// TestStaleETags has each operation that has a condition refuse an etag that was.
func TestStaleETags(t *testing.T) {
	m := newMatrix(t)
	const content = `{"content":{"deviceContent":{"properties.desired.a":1}},"targetCondition":"deviceId = 'nobody'","priority":1}`
	if res, body := m.askAs(httpsx.PutConfiguration, httpsx.Target{Name: "none"}, content, ""); res.StatusCode != 200 {
		t.Fatalf("%s %s", res.Status, body)
	}
	bodies := map[httpsx.Operation]string{
		httpsx.PutDevice: "{}", httpsx.DeleteDevice: "", httpsx.PutModule: "{}", httpsx.DeleteModule: "",
		httpsx.PatchTwin: `{"tags":{"a":1}}`, httpsx.PutTwin: `{"tags":{"a":1}}`,
		httpsx.PutConfiguration: content, httpsx.DeleteConfiguration: "",
		httpsx.PatchDigitalTwin: `[{"op":"add","path":"/a","value":1}]`,
	}
	before := m.state()
	for op, body := range bodies {
		for _, target := range targets(op) {
			for _, etag := range []string{`"MA=="`, "MA==", `W/"MA=="`, `"`, "**"} {
				res, got := m.askAs(op, target, body, etag)
				if res.StatusCode != 412 || res.Header.Get("iothub-errorcode") != "PreconditionFailed" {
					t.Errorf("%v of %v with %s: %s %s", op, target.Identity, etag, res.Status, got)
				}
			}
		}
	}
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("something happened (-before +after)\n%s", diff)
	}
}
