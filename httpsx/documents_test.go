package httpsx_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/sas"
)

var at = httpsx.NewTime(time.Date(2026, 1, 2, 4, 4, 5, 678901200, time.FixedZone("", 3600)))

// Each document as a server writes it, with all members, and as a client does, which
// leaves out what is not set.
func TestDocumentsAsBothEndsWriteThem(t *testing.T) {
	const never = `"0001-01-01T00:00:00Z"`
	for _, tt := range []struct {
		doc             any
		answer, request string
	}{
		{
			&httpsx.Device{},
			`{"deviceId":"","generationId":"","etag":"","connectionState":"","status":"","statusReason":null,"connectionStateUpdatedTime":` + never + `,"statusUpdatedTime":` + never +
				`,"lastActivityTime":` + never + `,"cloudToDeviceMessageCount":0,"authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":""},` +
				`"capabilities":{"iotEdge":false},"deviceScope":"","parentScopes":[]}`,
			`{}`,
		},
		{
			&httpsx.Device{
				DeviceID: "d", Status: httpsx.Disabled, StatusReason: "why", Scope: "s", ParentScopes: []string{"p", "q"}, Capabilities: httpsx.Capabilities{IotEdge: true},
				Authentication: httpsx.Authentication{Type: httpsx.AuthenticateSAS, SymmetricKey: httpsx.SymmetricKey{Primary: sas.NewSecret("a2V5")}}, LastActivity: at, C2DCount: 3,
			},
			`{"deviceId":"d","generationId":"","etag":"","connectionState":"","status":"disabled","statusReason":"why","connectionStateUpdatedTime":` + never + `,"statusUpdatedTime":` + never +
				`,"lastActivityTime":"2026-01-02T03:04:05.6789012Z","cloudToDeviceMessageCount":3,"authentication":{"symmetricKey":{"primaryKey":"a2V5","secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"sas"},` +
				`"capabilities":{"iotEdge":true},"deviceScope":"s","parentScopes":["p","q"]}`,
			`{"deviceId":"d","status":"disabled","statusReason":"why","lastActivityTime":"2026-01-02T03:04:05.6789012Z","cloudToDeviceMessageCount":3,` +
				`"authentication":{"symmetricKey":{"primaryKey":"a2V5","secondaryKey":null},"type":"sas"},"capabilities":{"iotEdge":true},"deviceScope":"s","parentScopes":["p","q"]}`,
		},
		{
			&httpsx.Module{ModuleID: "m", DeviceID: "d", ManagedBy: "IotEdge", Authentication: httpsx.Authentication{X509Thumbprint: httpsx.Thumbprints{Primary: "AB"}}},
			`{"moduleId":"m","managedBy":"IotEdge","deviceId":"d","generationId":"","etag":"","connectionState":"","connectionStateUpdatedTime":` + never + `,"lastActivityTime":` + never +
				`,"cloudToDeviceMessageCount":0,"authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":"AB","secondaryThumbprint":null},"type":""}}`,
			`{"moduleId":"m","managedBy":"IotEdge","deviceId":"d","authentication":{"x509Thumbprint":{"primaryThumbprint":"AB","secondaryThumbprint":null}}}`,
		},
		{
			&httpsx.ImportDevice{ID: "d", ModuleID: "m", ETag: "e", ImportMode: httpsx.ImportCreate, Status: httpsx.Enabled, TwinETag: "t", Tags: json.RawMessage(`{"a":1}`),
				Properties: httpsx.TwinProperties{Desired: json.RawMessage(`{"b":2}`)}},
			`{"id":"d","moduleId":"m","eTag":"e","importMode":"create","status":"enabled","authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":""},` +
				`"twinETag":"t","tags":{"a":1},"properties":{"desired":{"b":2}}}`,
			`{"id":"d","moduleId":"m","eTag":"e","importMode":"create","status":"enabled","twinETag":"t","tags":{"a":1},"properties":{"desired":{"b":2}}}`,
		},
		{&httpsx.TwinUpdate{}, `{}`, `{}`},
		{&httpsx.TwinUpdate{Tags: json.RawMessage(`{}`), Desired: json.RawMessage(`{"a":null}`)}, `{"tags":{},"properties":{"desired":{"a":null}}}`, `{"tags":{},"properties":{"desired":{"a":null}}}`},
		{&httpsx.MethodCall{Name: "m"}, `{"methodName":"m","payload":null,"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":0}`, `{"methodName":"m","payload":null}`},
		{&httpsx.MethodCall{Name: "m", Payload: json.RawMessage(`[1]`), ResponseTimeout: 5500 * time.Millisecond, ConnectTimeout: 7 * time.Second},
			`{"methodName":"m","payload":[1],"responseTimeoutInSeconds":6,"connectTimeoutInSeconds":7}`, `{"methodName":"m","payload":[1],"responseTimeoutInSeconds":6,"connectTimeoutInSeconds":7}`},
		{
			&httpsx.Job{ID: "j", Type: httpsx.JobUpdateTwin, UpdateTwin: &httpsx.TwinUpdate{ETag: "*"}, Condition: "*", MaxExecutionTime: time.Hour},
			`{"jobId":"j","queryCondition":"*","createdTime":` + never + `,"startTime":` + never + `,"maxExecutionTimeInSeconds":3600,"type":"scheduleUpdateTwin","updateTwin":{"etag":"*"},"status":"",` +
				`"deviceJobStatistics":{"deviceCount":0,"failedCount":0,"succeededCount":0,"runningCount":0,"pendingCount":0}}`,
			`{"jobId":"j","queryCondition":"*","maxExecutionTimeInSeconds":3600,"type":"scheduleUpdateTwin","updateTwin":{"etag":"*"}}`,
		},
		{
			&httpsx.ImportExportJob{Type: httpsx.JobExport, OutputContainer: sas.NewSecret("https://o"), ExcludeKeys: true, StorageAuthentication: httpsx.StorageByIdentity, Identity: &httpsx.ManagedIdentity{UserAssigned: "i"}},
			`{"jobId":"","startTimeUtc":null,"endTimeUtc":null,"type":"export","status":"","progress":0,"inputBlobContainerUri":null,"outputBlobContainerUri":"https://o","inputBlobName":null,"outputBlobName":null,` +
				`"excludeKeysInExport":true,"storageAuthenticationType":"identityBased","identity":{"userAssignedIdentity":"i"},"includeConfigurations":false,"configurationsBlobName":null,"failureReason":null}`,
			`{"type":"export","outputBlobContainerUri":"https://o","excludeKeysInExport":true,"storageAuthenticationType":"identityBased","identity":{"userAssignedIdentity":"i"}}`,
		},
		{
			&httpsx.Configuration{ID: "c", Content: httpsx.ConfigurationContent{Modules: map[string]map[string]json.RawMessage{}}},
			`{"id":"c","schemaVersion":"","labels":{},"content":{"modulesContent":{}},"targetCondition":"","priority":0,"createdTimeUtc":` + never + `,"lastUpdatedTimeUtc":` + never +
				`,"systemMetrics":{"results":{},"queries":{}},"metrics":{"results":{},"queries":{}},"etag":""}`,
			`{"id":"c","content":{"modulesContent":{}},"priority":0}`,
		},
		{&httpsx.OnBehalfOf{AuthChain: "l;r", Module: &httpsx.Module{ModuleID: "m"}, PageSize: 5}, `{"pageSize":5,"authChain":"l;r","module":{"moduleId":"m"}}`, `{"pageSize":5,"authChain":"l;r","module":{"moduleId":"m"}}`},
		{httpsx.Devices(nil), `[]`, `[]`},
		{httpsx.Rows{json.RawMessage(`{"a":1}`), json.RawMessage(`2`)}, `[{"a":1},2]`, `[{"a":1},2]`},
		{&httpsx.BulkResult{IsSuccessful: true}, `{"isSuccessful":true,"errors":[],"warnings":[]}`, `{"isSuccessful":true,"errors":[],"warnings":[]}`},
		{&httpsx.RegeneratedKeys{PolicyKey: httpsx.BothKeys, Rotated: []httpsx.RotatedKey{{ID: "d"}}}, `{"policyKey":"both","rotatedKeys":[{"id":"d","moduleId":null,"primaryKey":null,"secondaryKey":null}],"errors":[]}`, ""},
		{&httpsx.ScopeResult{}, `{"devices":[],"modules":[],"continuationLink":null}`, ""},
		{&httpsx.ConfigurationQueryErrors{TargetCondition: "bad"}, `{"targetConditionError":"bad","customMetricQueryErrors":{}}`, ""},
	} {
		b, err := httpsx.Marshal(tt.doc)
		if err != nil || string(b) != tt.answer {
			t.Errorf("%T as an answer: %v\n%s, want\n%s", tt.doc, err, b, tt.answer)
		}
		if tt.request == "" {
			continue
		}
		r := httpsx.Request{Op: httpsx.Query, Body: tt.doc}
		req, err := r.NewHTTP(t.Context(), "hub")
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(req.Body); string(b) != tt.request {
			t.Errorf("%T as a request:\n%s, want\n%s", tt.doc, b, tt.request)
		}
	}
}

func TestTwinsComeThrough(t *testing.T) {
	want := httpsx.Twin{
		Twin: hubwire.Twin{
			Identity: hubwire.Identity{DeviceID: "d", ModuleID: "m"}, ETag: "AAAAAAAAAAE=", Version: 7, ModelID: "dtmi:a;1", Tags: json.RawMessage(`{"b":[1,2.50]}`),
			Desired:  hubwire.TwinSection{Version: 3, JSON: json.RawMessage(`{"z":1,"a":{"$x":2}}`), Metadata: json.RawMessage(`{"$lastUpdated":"t"}`)},
			Reported: hubwire.TwinSection{Version: 2, JSON: json.RawMessage(`{}`), Metadata: json.RawMessage(`{}`)},
		},
		DeviceETag: "e", Status: httpsx.Disabled, StatusReason: "why", StatusUpdated: at, ConnectionState: httpsx.Connected, LastActivity: at, C2DCount: 4,
		AuthenticationType: httpsx.AuthenticateSelfSigned, X509Thumbprint: httpsx.Thumbprints{Primary: "A", Secondary: "B"},
		Capabilities: httpsx.Capabilities{IotEdge: true}, Scope: "s", ParentScopes: []string{"p"},
		Configurations: map[string]httpsx.ConfigurationState{"c": {Status: "Applied"}},
	}
	b, err := httpsx.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got httpsx.Twin
	if err := httpsx.Decode(httpsx.GetTwin, b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again, err := json.Marshal(got); err != nil || string(again) != string(b) {
		t.Errorf("encoding/json writes %s, %v", again, err)
	}
	var update httpsx.TwinUpdate
	if err := httpsx.Decode(httpsx.PutTwin, b, &update); err != nil { // a twin that is sent back
		t.Fatal(err)
	}
	if string(update.Tags) != string(want.Tags) || !strings.Contains(string(update.Desired), `"z":1`) {
		t.Errorf("%s, %s", update.Tags, update.Desired)
	}
	update = httpsx.TwinUpdate{Tags: json.RawMessage("x")}
	if err := httpsx.Decode(httpsx.PutTwin, []byte(`{"tags":null,"properties":{"desired":null}}`), &update); err != nil || update.Tags != nil || update.Desired != nil {
		t.Errorf("members that are null: %+v, %v", update, err)
	}
	if err := httpsx.Decode(httpsx.PutTwin, []byte(`{"properties":null}`), &update); err != nil || update.Desired != nil {
		t.Errorf("properties that are null: %+v, %v", update, err)
	}
}

func TestMethodCallsAsServicesWriteThem(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       httpsx.MethodCall
		says       string // what Check does
	}{
		{"the least", `{"methodName":"m"}`, httpsx.MethodCall{Name: "m"}, ""},
		{"nulls", `{"methodName":"m","payload":null,"responseTimeoutInSeconds":null,"connectTimeoutInSeconds":null,"timeoutInSeconds":null}`, httpsx.MethodCall{Name: "m"}, ""},
		{"a payload of any kind", `{"methodName":"m","payload":[ 1 ]}`, httpsx.MethodCall{Name: "m", Payload: json.RawMessage(`[ 1 ]`)}, ""},
		{"an old service", `{"methodName":"m","timeoutInSeconds":60}`, httpsx.MethodCall{Name: "m", ResponseTimeout: time.Minute}, ""},
		{"both timeouts", `{"methodName":"m","timeoutInSeconds":60,"responseTimeoutInSeconds":7}`, httpsx.MethodCall{Name: "m", ResponseTimeout: 7 * time.Second}, ""},
		{"the longest", `{"methodName":"m","responseTimeoutInSeconds":300,"connectTimeoutInSeconds":300}`, httpsx.MethodCall{Name: "m", ResponseTimeout: 300 * time.Second, ConnectTimeout: 300 * time.Second}, ""},
		{"no name", `{"payload":1}`, httpsx.MethodCall{Payload: json.RawMessage("1")}, "methodName is empty"},
		{"a response timeout of 0", `{"methodName":"m","responseTimeoutInSeconds":0}`, httpsx.MethodCall{Name: "m", ResponseTimeout: -1}, "responseTimeoutInSeconds is not 5 to 300"},
		{"one of 4", `{"methodName":"m","responseTimeoutInSeconds":4}`, httpsx.MethodCall{Name: "m", ResponseTimeout: 4 * time.Second}, "responseTimeoutInSeconds"},
		{"one of 301", `{"methodName":"m","responseTimeoutInSeconds":301}`, httpsx.MethodCall{Name: "m", ResponseTimeout: 301 * time.Second}, "responseTimeoutInSeconds"},
		{"one that no duration has", `{"methodName":"m","responseTimeoutInSeconds":9223372036854775807}`, httpsx.MethodCall{Name: "m", ResponseTimeout: 9223372036 * time.Second}, "responseTimeoutInSeconds"},
		{"a negative one", `{"methodName":"m","responseTimeoutInSeconds":-9223372036854775808}`, httpsx.MethodCall{Name: "m", ResponseTimeout: -9223372036 * time.Second}, "responseTimeoutInSeconds"},
		{"a connect timeout of 301", `{"methodName":"m","connectTimeoutInSeconds":301}`, httpsx.MethodCall{Name: "m", ConnectTimeout: 301 * time.Second}, "connectTimeoutInSeconds is not 0 to 300"},
		{"a negative one to connect", `{"methodName":"m","connectTimeoutInSeconds":-1}`, httpsx.MethodCall{Name: "m", ConnectTimeout: -time.Second}, "connectTimeoutInSeconds"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got httpsx.MethodCall
			if err := httpsx.Decode(httpsx.InvokeMethod, []byte(tt.body), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			refusedWith(t, got.Check(), hubwire.ArgumentInvalid, tt.says)
		})
	}
	m := httpsx.MethodCall{Name: "m", Payload: json.RawMessage(`"` + strings.Repeat("x", hubwire.MaxMethodPayload-2) + `"`)}
	refusedWith(t, m.Check(), 0, "")
	m.Payload = append(m.Payload, ' ')
	refusedWith(t, m.Check(), hubwire.MessageTooLarge, "payload has 131073 bytes, the limit is 131072")
	m.Payload = json.RawMessage("{")
	refusedWith(t, m.Check(), hubwire.ArgumentInvalid, "payload is not JSON")
}

// refusedWith fails t unless err has this code and says so, or is nil when says is empty.
func refusedWith(t *testing.T, err error, code hubwire.Code, says string) {
	t.Helper()
	var e *hubwire.Error
	switch {
	case says == "" && err == nil:
	case says == "" || !errors.As(err, &e) || e.Code != code || e.Outcome != hubwire.Refused || !strings.Contains(e.Message, says):
		t.Errorf("%v, want %v and %q", err, code, says)
	}
}

func TestDocumentsThatAreChecked(t *testing.T) {
	id := hubwire.Identity{DeviceID: "d", ModuleID: "m"}
	method := &httpsx.MethodCall{Name: "m"}
	job := func(change func(*httpsx.Job)) error {
		j := httpsx.Job{ID: "j", Type: httpsx.JobMethod, Method: method, Condition: "*"}
		change(&j)
		return j.Check("j")
	}
	var notATime httpsx.Job
	if err := httpsx.Decode(httpsx.PutJob, []byte(`{"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":{"methodName":"m"},"startTime":"tomorrow"}`), &notATime); err != nil {
		t.Fatal(err)
	}
	tooMany := make(httpsx.ImportDevices, httpsx.MaxBulk+1)
	container := sas.NewSecret("https://c")
	for name, tt := range map[string]struct {
		err  error
		code hubwire.Code
		says string
	}{
		"a device":                           {(&httpsx.Device{DeviceID: "d", Status: "Enabled", Authentication: httpsx.Authentication{Type: "SAS"}}).Check(id), 0, ""},
		"a device that says nothing":         {(&httpsx.Device{}).Check(id), 0, ""},
		"another device":                     {(&httpsx.Device{DeviceID: "D"}).Check(id), hubwire.ArgumentInvalid, `deviceId "D" is not the "d" of the path`},
		"a status that is none":              {(&httpsx.Device{Status: "asleep"}).Check(id), hubwire.ArgumentInvalid, `status "asleep"`},
		"an authentication that is none":     {(&httpsx.Device{Authentication: httpsx.Authentication{Type: "oath"}}).Check(id), hubwire.ArgumentInvalid, `"oath"`},
		"a module":                           {(&httpsx.Module{ModuleID: "m"}).Check(id), 0, ""},
		"another module":                     {(&httpsx.Module{ModuleID: "x", DeviceID: "d"}).Check(id), hubwire.ArgumentInvalid, `moduleId "x"`},
		"a module of another device":         {(&httpsx.Module{ModuleID: "m", DeviceID: "x"}).Check(id), hubwire.ArgumentInvalid, `deviceId "x"`},
		"no identities":                      {httpsx.ImportDevices{}.Check(), hubwire.ArgumentInvalid, "no devices"},
		"too many identities":                {tooMany.Check(), hubwire.TooManyDevices, "101 devices, the limit is 100"},
		"one identity twice":                 {httpsx.ImportDevices{{ID: "a"}, {ID: "b"}, {ID: "a"}}.Check(), hubwire.DeviceDefinedMultipleTimes, `"a"`},
		"a device and its module":            {httpsx.ImportDevices{{ID: "a"}, {ID: "a", ModuleID: "m"}}.Check(), 0, ""},
		"a job":                              {job(func(*httpsx.Job) {}), 0, ""},
		"a job that leaves its id out":       {job(func(j *httpsx.Job) { j.ID = "" }), 0, ""},
		"another job":                        {job(func(j *httpsx.Job) { j.ID = "x" }), hubwire.ArgumentInvalid, `jobId "x"`},
		"a job of no type":                   {job(func(j *httpsx.Job) { j.Type = "" }), hubwire.ArgumentInvalid, "type"},
		"a job to export":                    {job(func(j *httpsx.Job) { j.Type = httpsx.JobExport }), hubwire.ArgumentInvalid, `type "export"`},
		"a job in C#'s case":                 {job(func(j *httpsx.Job) { j.Type = "ScheduleDeviceMethod" }), 0, ""},
		"a job without its method":           {job(func(j *httpsx.Job) { j.Method = nil }), hubwire.ArgumentInvalid, "cloudToDeviceMethod"},
		"a job with a method without a name": {job(func(j *httpsx.Job) { j.Method = &httpsx.MethodCall{} }), hubwire.ArgumentInvalid, "methodName"},
		"a job without its twin":             {job(func(j *httpsx.Job) { j.Type = httpsx.JobUpdateTwin }), hubwire.ArgumentInvalid, "updateTwin is not there"},
		"a job with an etag":                 {job(func(j *httpsx.Job) { j.Type, j.UpdateTwin = httpsx.JobUpdateTwin, &httpsx.TwinUpdate{ETag: "AAAA"} }), hubwire.ArgumentInvalid, `updateTwin.etag is "AAAA"`},
		"a job with any etag":                {job(func(j *httpsx.Job) { j.Type, j.UpdateTwin = httpsx.JobUpdateTwin, &httpsx.TwinUpdate{ETag: `"*"`} }), 0, ""},
		"a job without a condition":          {job(func(j *httpsx.Job) { j.Condition = "" }), hubwire.ArgumentInvalid, "queryCondition"},
		"a job that ends before it begins":   {job(func(j *httpsx.Job) { j.MaxExecutionTime = -1 }), hubwire.ArgumentInvalid, "maxExecutionTimeInSeconds"},
		"a job that starts at no time":       {notATime.Check("j"), hubwire.ArgumentInvalid, `startTime is "tomorrow"`},
		"an import":                          {(&httpsx.ImportExportJob{Type: "Import", InputContainer: container, OutputContainer: container}).Check(), 0, ""},
		"an import from nowhere":             {(&httpsx.ImportExportJob{Type: httpsx.JobImport, OutputContainer: container}).Check(), hubwire.ArgumentInvalid, "inputBlobContainerUri"},
		"an export to nowhere":               {(&httpsx.ImportExportJob{Type: httpsx.JobExport}).Check(), hubwire.ArgumentInvalid, "outputBlobContainerUri"},
		"neither import nor export":          {(&httpsx.ImportExportJob{Type: httpsx.JobMethod}).Check(), hubwire.ArgumentInvalid, "type"},
		"a configuration":                    {(&httpsx.Configuration{ID: "c"}).Check("c"), 0, ""},
		"another configuration":              {(&httpsx.Configuration{ID: "C"}).Check("c"), hubwire.ArgumentInvalid, `id "C"`},
		"content of nothing":                 {(&httpsx.ConfigurationContent{}).Check(), hubwire.InvalidConfigurationContent, "has 0 of"},
		"content of two kinds":               {(&httpsx.ConfigurationContent{Device: map[string]json.RawMessage{}, Module: map[string]json.RawMessage{}}).Check(), hubwire.InvalidConfigurationContent, "has 2 of"},
		"content that is empty":              {(&httpsx.ConfigurationContent{Device: map[string]json.RawMessage{}}).Check(), 0, ""},
		"content beside empty content":       {(&httpsx.ConfigurationContent{Device: map[string]json.RawMessage{"a": nil}, Module: map[string]json.RawMessage{}}).Check(), 0, ""},
		"a patch":                            {httpsx.JSONPatch{{Op: "add", Path: "/a", Value: json.RawMessage("1")}, {Op: "remove", Path: "/b/c"}}.Check(), 0, ""},
		"a patch that moves":                 {httpsx.JSONPatch{{Op: "move", Path: "/a"}}.Check(), hubwire.InvalidDigitalTwinJSONPatch, `"move"`},
		"a patch to nothing":                 {httpsx.JSONPatch{{Op: "remove", Path: "/a"}, {Op: "replace", Path: "/a"}}.Check(), hubwire.InvalidDigitalTwinJSONPatch, "step 1 has no value"},
		"a patch of nothing":                 {httpsx.JSONPatch{{Op: "remove", Path: "a"}}.Check(), hubwire.InvalidDigitalTwinPatchPath, `"a"`},
	} {
		t.Run(name, func(t *testing.T) { refusedWith(t, tt.err, tt.code, tt.says) })
	}
}

func TestWordsThatClientsWriteInAnyCase(t *testing.T) {
	for name, same := range map[string]bool{
		"a mode":                   httpsx.ImportMode("UpdateIfMatchETag").Is(httpsx.ImportUpdateIfMatch),
		"a job's type":             httpsx.JobType("ScheduleUpdateTwin").Is(httpsx.JobUpdateTwin),
		"a job's status":           httpsx.JobStatus("Running").Is(httpsx.JobRunning),
		"the old word for done":    httpsx.JobStatus("Finished").Is(httpsx.JobCompleted),
		"done":                     httpsx.JobStatus("finished").Done() && httpsx.JobFailed.Done() && httpsx.JobCancelled.Done() && httpsx.DeviceJobCanceled.Done(),
		"not done":                 !httpsx.JobRunning.Done() && !httpsx.JobStatus("").Done(),
		"a storage authentication": httpsx.StorageAuthentication("IdentityBased").Is(httpsx.StorageByIdentity),
		"a feedback":               httpsx.FeedbackStatus("success").Is(httpsx.FeedbackSuccess),
		"an authentication":        httpsx.AuthenticationType("selfsigned").Is(httpsx.AuthenticateSelfSigned),
	} {
		if !same {
			t.Error(name)
		}
	}
}

func TestImportLinesComeThrough(t *testing.T) {
	line := `{"id":"d","importMode":"createOrUpdate","status":"enabled","authentication":{"symmetricKey":{"primaryKey":"` + aKey + `","secondaryKey":null},"x509Thumbprint":null,"type":"sas"},` +
		`"tags":{},"properties":{"desired":{"a":1},"reported":{}},"capabilities":{"iotEdge":true},"deviceScope":"s","parentScopes":["p"],"eTag":"x"}`
	var d, again httpsx.ImportDevice
	if err := httpsx.Decode(httpsx.BulkDevices, []byte(line), &d); err != nil {
		t.Fatal(err)
	}
	b, err := httpsx.Marshal(&d)
	if err != nil {
		t.Fatal(err)
	}
	if err := httpsx.Decode(httpsx.BulkDevices, b, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, again, cmpopts.EquateEmpty()); diff != "" || d.Authentication.SymmetricKey.Primary.Reveal() != aKey {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
