package httpsx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func TestBodiesThatAreRefused(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, tt := range []struct {
		name, body string
		doc        any
		says       string
	}{
		{"nothing", "", new(httpsx.Device), "there is no body"},
		{"blanks", " \n", new(httpsx.Device), "there is no body"},
		{"a word", "hello", new(httpsx.Device), "offset 1"},
		{"half an object", `{"deviceId":"d"`, new(httpsx.Device), "offset 15"},
		{"two values", `{} {}`, new(httpsx.Device), "offset 4"},
		{"garbage behind a value", `{}x`, new(httpsx.Device), "offset 3"},
		{"a comma too many", `{"deviceId":"d",}`, new(httpsx.Device), "offset 17"},
		{"bytes that are not UTF-8", "{\"deviceId\":\"\xff\"}", new(httpsx.Device), "not UTF-8"},
		{"an array for an object", `[]`, new(httpsx.Device), "the body is of the wrong type: array"},
		{"an object for an array", `{}`, new(httpsx.ImportDevices), "the body is of the wrong type: object"},
		{"a number for a text", `{"deviceId":5}`, new(httpsx.Device), "deviceId is of the wrong type: number"},
		{"a text for an object", `{"authentication":"sas"}`, new(httpsx.Device), "authentication is of the wrong type: string"},
		{"a number for a key", `{"authentication":{"symmetricKey":{"primaryKey":5}}}`, new(httpsx.Device), "authentication.symmetricKey.primaryKey is of the wrong type: number"},
		{"a text for a bool", `{"capabilities":{"iotEdge":"yes"}}`, new(httpsx.Device), "capabilities.iotEdge is of the wrong type: string"},
		{"a fraction for a count", `{"priority":1.5}`, new(httpsx.Configuration), "priority is of the wrong type: number 1.5"},
		{"a number that is too large", `{"priority":1e30}`, new(httpsx.Configuration), "priority is of the wrong type: number 1e30"},
		{"a text for properties", `{"properties":"x"}`, new(httpsx.TwinUpdate), "properties is of the wrong type: string"},
		{"an array for desired", `{"properties":{"desired":[]}}`, new(httpsx.Twin), "desired is not an object"},
		{"a version that is none", `{"properties":{"desired":{"$version":"x"}}}`, new(httpsx.Twin), "desired.$version is not a number"},
		{"a text for a timeout", `{"cloudToDeviceMethod":{"responseTimeoutInSeconds":"x"}}`, new(httpsx.Job), "cloudToDeviceMethod.responseTimeoutInSeconds is of the wrong type: string"},
		{"an element of the wrong type", `[{"id":"a"},7]`, new(httpsx.ImportDevices), "is of the wrong type: number"},
		{"nesting without end", deep(httpsx.MaxDepth + 1), new(json.RawMessage), "nested more than 64 deep at offset 320"},
		{"arrays without end", strings.Repeat("[", 1<<16), new(json.RawMessage), "nested more than 64 deep at offset 64"},
		{"nesting where nobody looks", `{"x":` + deep(httpsx.MaxDepth) + `}`, new(httpsx.Device), "nested more than 64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := httpsx.Decode(httpsx.PutTwin, []byte(tt.body), tt.doc)
			var e *hubwire.Error
			if !errors.As(err, &e) || e.Code != hubwire.FormatError || e.Outcome != hubwire.Refused || e.Op != "twin put" || !strings.Contains(e.Message, tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
	for name, body := range map[string]string{
		"the deepest":                  deep(httpsx.MaxDepth),
		"brackets in a text":           `"` + strings.Repeat("[{", 100) + `"`,
		"quotes and brackets in a key": `{"\"` + strings.Repeat("[", 100) + `\\":1}`,
		"many side by side":            "[" + strings.Repeat("{},", 1000) + "{}]",
	} {
		if err := httpsx.Decode(httpsx.PutTwin, []byte(body), new(json.RawMessage)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMembersThatNobodyKnowsAreIgnored(t *testing.T) {
	for _, doc := range []any{
		new(httpsx.Device), new(httpsx.Module), new(httpsx.ImportDevice), new(httpsx.KeyRegeneration), new(httpsx.TwinUpdate), new(httpsx.QueryText),
		new(httpsx.MethodCall), new(httpsx.Job), new(httpsx.ImportExportJob), new(httpsx.Configuration), new(httpsx.ConfigurationQueries), new(httpsx.OnBehalfOf),
	} {
		body := `{"isManaged":true,"serviceProperties":{"etag":[1,{"a":null}]},"":""}`
		if err := httpsx.Decode(httpsx.PutDevice, []byte(body), doc); err != nil {
			t.Errorf("%T: %v", doc, err)
		}
		if b, err := httpsx.Marshal(doc); err != nil || strings.Contains(string(b), "isManaged") {
			t.Errorf("%T: %s, %v", doc, b, err)
		}
	}
}

const aKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

func TestKeysGetOutOnlyThroughMarshal(t *testing.T) {
	keys := httpsx.SymmetricKey{Primary: sas.NewSecret(aKey), Secondary: sas.NewSecret(aKey)}
	auth := httpsx.Authentication{SymmetricKey: keys}
	testkit.Hides(t, "SymmetricKey", aKey, keys)
	testkit.Hides(t, "Device", aKey, httpsx.Device{Authentication: auth})
	testkit.Hides(t, "ImportExportJob", aKey, httpsx.ImportExportJob{InputContainer: sas.NewSecret("https://x?sig=" + aKey)})
	testkit.Hides(t, "Request", aKey, httpsx.Request{Body: &httpsx.Device{Authentication: auth}})

	d, m, i := httpsx.Device{Authentication: auth}, httpsx.Module{Authentication: auth}, httpsx.ImportDevice{Authentication: auth}
	j := httpsx.ImportExportJob{InputContainer: sas.NewSecret("https://x?sig=" + aKey)}
	for _, doc := range []any{
		d, &d, []httpsx.Device{d}, httpsx.Devices{d}, &httpsx.Devices{d},
		m, &m, []httpsx.Module{m}, httpsx.Modules{m},
		i, &i, []httpsx.ImportDevice{i}, httpsx.ImportDevices{i},
		j, &j, []httpsx.ImportExportJob{j}, httpsx.ImportExportJobs{j},
		httpsx.RegeneratedKeys{Rotated: []httpsx.RotatedKey{{SymmetricKey: keys}}},
		httpsx.ScopeResult{Devices: []httpsx.Device{d}}, httpsx.ScopeResult{Modules: []httpsx.Module{m}},
		httpsx.OnBehalfOf{Module: &m},
	} {
		b, err := httpsx.Marshal(doc)
		if err != nil || !strings.Contains(string(b), aKey) || strings.Contains(string(b), "(secret)") {
			t.Errorf("%T: %s, %v", doc, b, err)
		}
	}
}

func TestRawValuesThatAreNotJSONAreNotWritten(t *testing.T) {
	bad := json.RawMessage(`{"a":`)
	for _, doc := range []any{
		&httpsx.Twin{Twin: hubwire.Twin{Tags: bad}}, &httpsx.Twin{Twin: hubwire.Twin{Desired: hubwire.TwinSection{JSON: json.RawMessage(`null`)}}},
		httpsx.TwinUpdate{Desired: bad}, &httpsx.MethodCall{Payload: bad}, &httpsx.MethodResult{Payload: bad}, bad, []json.RawMessage{bad},
		&httpsx.Configuration{Content: httpsx.ConfigurationContent{Device: map[string]json.RawMessage{"x": bad}}},
		httpsx.JSONPatch{{Value: bad}}, &httpsx.ImportDevice{Tags: bad},
	} {
		if b, err := httpsx.Marshal(doc); err == nil {
			t.Errorf("%T is written as %s", doc, b)
		}
	}
}

// TestRawValuesThatWouldBeMoreMembersAreNotWritten has values with which the whole would be JSON.
func TestRawValuesThatWouldBeMoreMembersAreNotWritten(t *testing.T) {
	more := json.RawMessage(`{}, "more":{}`)
	for _, doc := range []any{
		&httpsx.Twin{Twin: hubwire.Twin{Tags: more}}, &httpsx.TwinUpdate{Tags: more}, &httpsx.TwinUpdate{Desired: more},
		&httpsx.MethodCall{Payload: more}, &httpsx.MethodResult{Payload: more}, &httpsx.ImportDevice{Tags: more},
		&httpsx.ImportDevice{Properties: httpsx.TwinProperties{Desired: more}}, &httpsx.Job{UpdateTwin: &httpsx.TwinUpdate{Tags: more}},
	} {
		if b, err := httpsx.Marshal(doc); err == nil {
			t.Errorf("%T is written as %s", doc, b)
		}
	}
}

func TestTextsComeThrough(t *testing.T) {
	for _, s := range []string{"", "plain", `a "quoted" \ one`, "lines\r\n\ttabs", "ä €  𝄞", "<a href='x'>&amp;</a>", "\x00\x1f\x7f"} {
		b, err := httpsx.Marshal(&httpsx.Device{StatusReason: s})
		if err != nil {
			t.Fatal(err)
		}
		var d httpsx.Device
		if err := httpsx.Decode(httpsx.PutDevice, b, &d); err != nil || d.StatusReason != s {
			t.Errorf("%q comes back as %q, %v", s, d.StatusReason, err)
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]string{
		`"2026-01-02T03:04:05.6789012Z"`:      `"2026-01-02T03:04:05.6789012Z"`,
		`"2026-01-02T03:04:05Z"`:              `"2026-01-02T03:04:05Z"`,
		`"2026-01-02T03:04:05.678"`:           `"2026-01-02T03:04:05.678Z"`,
		`"2026-01-02T03:04:05+02:00"`:         `"2026-01-02T01:04:05Z"`,
		`"0001-01-01T00:00:00"`:               `"0001-01-01T00:00:00Z"`,
		`"0001-01-01T00:00:00.0000000+00:00"`: `"0001-01-01T00:00:00Z"`,
		`null`:                                `"0001-01-01T00:00:00Z"`,
		`""`:                                  `"0001-01-01T00:00:00Z"`,
		`"never"`:                             `"0001-01-01T00:00:00Z"`,
		`7`:                                   `"0001-01-01T00:00:00Z"`,
	} {
		var d httpsx.FeedbackRecord
		if err := json.Unmarshal([]byte(`{"enqueuedTimeUtc":`+text+`}`), &d); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if b, err := json.Marshal(d.Enqueued); err != nil || string(b) != want {
			t.Errorf("%s comes back as %s, %v", text, b, err)
		}
	}
	if got := fmt.Sprint(httpsx.Time{}.In(nil)); !strings.HasPrefix(got, "0001-01-01") {
		t.Error(got)
	}
}

func TestCodesOfBulkResults(t *testing.T) {
	var r httpsx.BulkResult
	body := `{"errors":[{"errorCode":409001},{"errorCode":"DeviceNotFound"},{"errorCode":"404010"},{"errorCode":"Novelty"},{"errorCode":null}]}`
	if err := httpsx.Decode(httpsx.BulkDevices, []byte(body), &r); err != nil {
		t.Fatal(err)
	}
	var got []hubwire.Code
	for _, e := range r.Errors {
		got = append(got, hubwire.Code(e.Code))
	}
	if diff := cmp.Diff([]hubwire.Code{hubwire.DeviceAlreadyExists, hubwire.DeviceNotFound, hubwire.ModuleNotFound, 0, 0}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
