package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestShapeREST has requests of the service SDKs, in their own words, one behind the other on a connection for
// each row: what each must be answered with, and a text that must be in the answer's head or body.
func TestShapeREST(t *testing.T) {
	const dotnet = "\nAuthorization: SERVICE\nAccept: application/json\nUser-Agent: Microsoft.Azure.Devices/1.40.0\nContent-Type: application/json; charset=utf-8"
	const java = "\nAuthorization: SERVICE\nContent-Type: application/json; charset=utf-8\nAccept: application/json\nRequest-Id: 1001\nUser-Agent: com.microsoft.azure.sdk.iot.iot-service-client/2.1.7"
	const python = "\nUser-Agent: msrest/0.7.1 IoTHubClient/2.6.1\nAccept-Encoding: gzip, deflate\nAccept: application/json\nConnection: keep-alive\nContent-Type: application/json; charset=utf-8\nAuthorization: SERVICE"
	const c = "\nUser-Agent: iothubserviceclient/1.1.0\nAccept: application/json\nContent-Type: application/json; charset=utf-8\nRequest-Id: 1001\nAuthorization: SERVICE"
	type step struct {
		head, body string
		status     int
		want       string
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{".NET: a device is made, found to be there, changed and removed", []step{
			{"PUT /devices/new?api-version=2021-04-12" + dotnet, `{"deviceId":"new","generationId":null,"etag":null,"connectionState":"Disconnected","connectionStateUpdatedTime":"0001-01-01T00:00:00","status":"enabled","statusReason":null,"statusUpdatedTime":"0001-01-01T00:00:00","lastActivityTime":"0001-01-01T00:00:00","cloudToDeviceMessageCount":0,"authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":null,"type":"sas"},"capabilities":{"iotEdge":false},"parentScopes":[]}`, 200, `"primaryKey":"`},
			{"PUT /devices/new?api-version=2021-04-12" + dotnet, `{"deviceId":"new"}`, 409, "\r\niothub-errorcode: DeviceAlreadyExists\r\n"},
			{"PUT /devices/new?api-version=2021-04-12" + dotnet + "\nIf-Match: \"*\"", `{"deviceId":"new","status":"disabled","authentication":{"symmetricKey":{"primaryKey":"QUJDREVGR0hJSktMTU5PUA==","secondaryKey":"QUJDREVGR0hJSktMTU5PUA=="}}}`, 200, `"status":"disabled"`},
			{"GET /devices/new?api-version=2021-04-12" + dotnet, "", 200, "\r\nETag: \""},
			{"DELETE /devices/new?api-version=2021-04-12" + dotnet + "\nIf-Match: \"*\"", "", 204, ""},
			{"GET /devices/new?api-version=2021-04-12" + dotnet, "", 404, "\r\niothub-errorcode: DeviceNotFound\r\n"},
		}},
		{"Java: a device with keys of its own, in its members' order, and bare conditions", []step{
			{"PUT /devices/new?api-version=2021-04-12" + java, `{"deviceId":"new","generationId":"","etag":"","status":"enabled","statusReason":"","statusUpdatedTime":"0001-01-01T00:00:00","connectionState":"Disconnected","connectionStateUpdatedTime":"0001-01-01T00:00:00","lastActivityTime":"0001-01-01T00:00:00","cloudToDeviceMessageCount":0,"authentication":{"type":"sas","symmetricKey":{"primaryKey":"QUJDREVGR0hJSktMTU5PUA==","secondaryKey":"QUJDREVGR0hJSktMTU5PUA=="}},"capabilities":{"iotEdge":false}}`, 200, `"primaryKey":"QUJDREVGR0hJSktMTU5PUA=="`},
			{"PUT /devices/new?api-version=2021-04-12" + java + "\nIf-Match: *", `{"deviceId":"new","status":"enabled"}`, 200, ""},
			{"DELETE /devices/new?api-version=2021-04-12" + java + "\nIf-Match: *", "", 204, ""},
		}},
		{"C: a device with members that are no more, and a request without a condition to remove it", []step{
			{"PUT /devices/new?api-version=2020-09-30" + c, `{"deviceId":"new","status":"Enabled","isManaged":null,"configuration":null,"deviceProperties":{},"serviceProperties":null,"authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}},"capabilities":{"iotEdge":false}}`, 200, `"status":"enabled"`},
			{"GET /devices/?top=1000&api-version=2020-09-30" + c, "", 200, `"deviceId":"new"`},
			{"DELETE /devices/new?api-version=2020-09-30" + c + "\nIf-Match: *", "", 204, ""},
		}},
		{"Python: a module, its twin, and all of it removed", []step{
			{"PUT /devices/dev-1/modules/new?api-version=2021-04-12" + python, `{"moduleId": "new", "managedBy": "IoTHub", "deviceId": "dev-1", "authentication": {"symmetricKey": {"primaryKey": "", "secondaryKey": ""}, "type": "sas"}}`, 200, `"managedBy":"IoTHub"`},
			{"PATCH /twins/dev-1/modules/new?api-version=2021-04-12" + python + "\nIf-Match: \"*\"", `{"properties": {"desired": {"a": 1}}}`, 200, `"moduleId":"new"`},
			{"DELETE /devices/dev-1/modules/new?api-version=2021-04-12" + python + "\nIf-Match: \"*\"", "", 204, ""},
			{"GET /twins/dev-1/modules/new?api-version=2021-04-12" + python, "", 404, "\r\niothub-errorcode: ModuleNotFound\r\n"},
		}},
		{"Java: a twin is patched by POST with X-HTTP-Method-Override", []step{
			{"POST /twins/dev-1?api-version=2021-04-12" + java + "\nX-HTTP-Method-Override: PATCH\nIf-Match: *", `{"deviceId":"dev-1","etag":"","version":0,"tags":{"a":"b"},"properties":{"desired":{"c":1}}}`, 200, `"a":"b"`},
			{"GET /twins/dev-1?api-version=2021-04-12" + java, "", 200, `"c":1`},
		}},
		{"C#: a twin is replaced by a whole document", []step{
			{"PATCH /twins/dev-1?api-version=2021-04-12" + dotnet + "\nIf-Match: \"*\"", `{"deviceId":"dev-1","etag":"AAAAAAAAAAE=","version":null,"tags":{"a":"b","z":null},"properties":{"desired":{"c":1,"$metadata":{"$lastUpdated":"0001-01-01T00:00:00Z"},"$version":1},"reported":{"$version":1}},"configurations":{}}`, 200, `"c":1`},
			{"PUT /twins/dev-1?api-version=2021-04-12" + dotnet, `{"deviceId":"dev-1","etag":null,"status":"enabled","connectionState":"Disconnected","tags":{},"properties":{"desired":{"d":2},"reported":{}}}`, 200, `"d":2`},
			{"PATCH /twins/dev-1?api-version=2021-04-12" + dotnet + "\nIf-Match: \"AAAAAAAAAAE=\"", `{"tags":{"x":1}}`, 412, "\r\niothub-errorcode: PreconditionFailed\r\n"},
		}},
		{"C: a twin is patched without a condition", []step{
			{"PATCH /twins/dev-1?api-version=2020-09-30" + c, `{"tags":{"a":"b"}}`, 200, `"a":"b"`},
			{"GET /twins/dev-1?api-version=2020-09-30" + c, "", 200, "\r\nETag: \""},
		}},
		{".NET: queries in pages, and the kind of their rows", []step{
			{"POST /devices/query?api-version=2021-04-12" + dotnet + "\nx-ms-max-item-count: 1", `{"query":"SELECT * FROM devices"}`, 200, "\r\nx-ms-continuation: "},
			{"POST /devices/query?api-version=2021-04-12" + dotnet, `{"query":"SELECT * FROM devices"}`, 200, "\r\nx-ms-item-type: Twin\r\n"},
			{"POST /devices/query/?api-version=2021-04-12" + dotnet, `{"query":"select COUNT() as n from devices"}`, 200, "\r\nx-ms-item-type: Raw\r\n"},
			{"POST /devices/query?api-version=2021-04-12" + dotnet, `{"query":"SELECT * FROM nowhere"}`, 400, "\r\niothub-errorcode: ArgumentInvalid\r\n"},
		}},
		{"Java: jobs", []step{
			{"PUT /jobs/v2/j1?api-version=2021-04-12" + java, `{"jobId":"j1","type":"scheduleUpdateTwin","updateTwin":{"deviceId":null,"etag":"*","tags":{"j":1},"properties":{"desired":{}}},"queryCondition":"deviceId IN ['dev-1']","startTime":"2000-01-01T00:00:00Z","maxExecutionTimeInSeconds":100}`, 200, `"type":"scheduleUpdateTwin"`},
			{"PUT /jobs/v2/j1?api-version=2021-04-12" + java, `{"jobId":"j1","type":"scheduleUpdateTwin","updateTwin":{"etag":"*","tags":{"j":2}},"queryCondition":"*","startTime":"2000-01-01T00:00:00Z","maxExecutionTimeInSeconds":100}`, 409, "JobAlreadyExists"},
			{"GET /jobs/v2/query?api-version=2021-04-12&jobType=ScheduleUpdateTwin" + java, "", 200, `"jobId":"j1"`},
			{"GET /jobs/v2/nobody?api-version=2021-04-12" + java, "", 404, "JobNotFound"},
		}},
		{"C: configurations", []step{
			{"PUT /configurations/cfg?api-version=2020-09-30" + c, `{"id":"cfg","schemaVersion":"1.0","content":{"deviceContent":{"properties.desired.led":{"on":true}}},"targetCondition":"tags.x='y'","priority":10,"labels":{"a":"b"},"metrics":{"queries":{}},"etag":"MQ=="}`, 200, `"targetCondition":"tags.x='y'"`},
			{"GET /configurations/?top=20&api-version=2020-09-30" + c, "", 200, `"id":"cfg"`},
			{"PUT /configurations/cfg?api-version=2020-09-30" + c, `{"id":"cfg","content":{"deviceContent":{"properties.desired.led":{"on":true}}},"targetCondition":"*","priority":1}`, 409, "ConfigurationAlreadyExists"},
			{"DELETE /configurations/cfg?api-version=2020-09-30" + c + "\nIf-Match: *", "", 204, ""},
		}},
		{"Python: statistics, a purge and many devices at once", []step{
			{"GET /statistics/devices?api-version=2021-04-12" + python, "", 200, `"totalDeviceCount":2`},
			{"GET /statistics/service?api-version=2021-04-12" + python, "", 200, `"connectedDeviceCount":0`},
			{"DELETE /devices/dev-1/commands?api-version=2021-04-12" + python, "", 200, `"totalMessagesPurged":0`},
			{"POST /devices?api-version=2021-04-12" + python, `[{"id": "b1", "importMode": "create", "status": "enabled", "authentication": {"type": "sas"}}, {"id": "dev-1", "importMode": "create", "status": "enabled"}]`, 400, "\r\nIotHubErrorCode: BulkRegistryOperationFailure\r\n"},
			{"POST /devices/?api-version=2021-04-12" + python, `[{"id":"b1","importMode":"Delete"}]`, 200, `"isSuccessful":true`},
		}},
		{".NET: a device with thumbprints, whose keys are null, and one of an authority's", []step{
			{"PUT /devices/x509?api-version=2021-04-12" + dotnet, `{"deviceId":"x509","status":"enabled","authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":"0123456789ABCDEF0123456789ABCDEF01234567","secondaryThumbprint":null},"type":"selfSigned"}}`, 200, `"type":"selfSigned"`},
			{"PUT /devices/ca?api-version=2021-04-12" + dotnet, `{"deviceId":"ca","status":"enabled","authentication":{"symmetricKey":null,"x509Thumbprint":null,"type":"certificateAuthority"}}`, 200, `"type":"certificateAuthority"`},
			{"POST /devices/query?api-version=2021-04-12" + dotnet, `{"query":"SELECT deviceId FROM devices WHERE authenticationType = 'selfSigned'"}`, 200, `[{"deviceId":"x509"}]`},
		}},
		{"Python: an edge device, and a leaf in its scope", []step{
			{"PUT /devices/edge?api-version=2021-04-12" + python, `{"deviceId": "edge", "status": "enabled", "authentication": {"type": "sas"}, "capabilities": {"iotEdge": true}}`, 200, `"deviceScope":"ms-azure-iot-edge://edge-`},
			{"GET /devices/edge/modules?api-version=2021-04-12" + python, "", 200, `"moduleId":"$edgeHub"`},
			{"POST /devices/edge/applyConfigurationContent?api-version=2021-04-12" + python, `{"modulesContent": {"$edgeAgent": {"properties.desired": {"a": 1}}}}`, 204, ""},
			{"GET /twins/edge/modules/$edgeAgent?api-version=2021-04-12" + python, "", 200, `"a":1`},
			{"GET /twins/edge/modules/%24edgeAgent?api-version=2021-04-12" + python, "", 200, `"a":1`},
		}},
		{"Java: digital twins, by its generated client", []step{
			{"PATCH /digitaltwins/dev-1?api-version=2021-04-12" + java, `[{"op":"add","path":"/targetTemperature","value":42}]`, 202, "\r\nETag: \""},
			{"GET /digitaltwins/dev-1?api-version=2021-04-12" + java, "", 200, `"$dtId":"dev-1"`},
			{"POST /digitaltwins/dev-1?api-version=2021-04-12" + java + "\nX-HTTP-Method-Override: PATCH", `[{"op":"replace","path":"/targetTemperature","value":43}]`, 202, "\r\nLocation: "},
		}},
		{"Java: a job is cancelled with an empty text for a body, and with none", []step{
			{"PUT /jobs/v2/j1?api-version=2021-04-12" + java, `{"jobId":"j1","type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","payload":"p","responseTimeoutInSeconds":200,"connectTimeoutInSeconds":5},"queryCondition":"*","startTime":"2099-01-01T00:00:00Z","maxExecutionTimeInSeconds":100}`, 200, `"status":"scheduled"`},
			{"POST /jobs/v2/j1/cancel?api-version=2021-04-12" + java, `""`, 200, `"jobId":"j1"`},
			{"GET /jobs/v2/j1?api-version=2021-04-12" + dotnet, "", 200, `"status":"cancelled"`},
		}},
		{"all: without a version of the API", []step{{"GET /devices/dev-1" + dotnet, "", 400, "\r\niothub-errorcode: InvalidProtocolVersion\r\n"}}},
		{"all: without a token", []step{{"GET /devices/dev-1?api-version=2021-04-12\nAccept: application/json", "", 401, "\r\niothub-errorcode: IotHubUnauthorized"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				w := newWeb(t, h)
				for _, s := range tt.steps {
					a := w.ask(s.head, s.body)
					if a.StatusCode != s.status || !strings.Contains(a.head+a.body, s.want) {
						t.Fatalf("%.60s: %s%s\nwant %d, with %q", s.head, a.head, a.body, s.status, s.want)
					}
					a.wantError(t)
				}
			})
		})
	}
}

// wantError checks that the .NET SDK finds the same error in head and body, where there is one.
func (a answered) wantError(t *testing.T) {
	t.Helper()
	if a.StatusCode < 400 || strings.Contains(a.body, "isSuccessful") {
		return
	}
	var e struct{ Message string }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	code, _, _ := strings.Cut(strings.TrimPrefix(e.Message, "ErrorCode:"), ";")
	if name := a.Header.Get("iothub-errorcode"); name == "" || name != code {
		t.Errorf("the header says %q, the body %q", name, e.Message)
	}
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		t.Errorf("an error of type %s", a.Header.Get("Content-Type"))
	}
}

// TestShapeRESTMethods has the bodies with which the SDKs call methods, and what they insist on in the answer.
func TestShapeRESTMethods(t *testing.T) {
	for name, tt := range map[string]struct{ path, header, body, payload string }{
		".NET":   {"/twins/dev-1/methods", "", `{"methodName":"m","payload":{"a":1},"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":0}`, `{"a":1}`},
		"Java":   {"/twins/dev-1/methods", "\nRequest-Id: 1001", `{"methodName":"m","responseTimeoutInSeconds":200,"connectTimeoutInSeconds":5,"payload":"{\"a\":1}"}`, `"{\"a\":1}"`},
		"C":      {"/twins/dev-1/methods", "", `{"methodName":"m","responseTimeoutInSeconds":60,"connectTimeoutInSeconds":60,"payload":{"a":1}}`, `{"a":1}`},
		"Python": {"/twins/dev-1/methods", "", `{"methodName": "m", "payload": "a", "responseTimeoutInSeconds": 10, "connectTimeoutInSeconds": 10}`, `"a"`},
		"older":  {"/twins/dev-1/methods", "", `{"methodName":"m","timeoutInSeconds":20}`, ``},
		"a module, over HTTPS": {"/twins/dev-1/methods", "\nx-ms-edge-moduleId: dev-1/mod",
			`{"methodName":"m","payload":null,"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":30}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.subscribe(methodFilter)
				who := "SERVICE"
				if strings.Contains(tt.header, "edge") {
					who = "MODULE"
				}
				head := "POST " + tt.path + "?api-version=2021-04-12\nAuthorization: " + who + "\nContent-Type: application/json; charset=utf-8" + tt.header
				for _, payload := range []string{`{"ok":true}`, ""} {
					done := make(chan answered)
					go func() { done <- newWeb(t, h).ask(head, tt.body) }()
					synctest.Wait()
					_, rid, m := p.request()
					if got := string(m.Payload); got != tt.payload && got != "null" {
						t.Errorf("payload %s", got)
					}
					p.respond(207, rid, payload, 0)
					a := (<-done).want(t, 200)
					var got map[string]json.RawMessage
					if err := json.Unmarshal([]byte(a.body), &got); err != nil || string(got["status"]) != "207" || got["payload"] == nil {
						t.Errorf("%s, %v", a.body, err)
					}
				}
				p.bye()
				if name != "C" && name != "a module, over HTTPS" { // who wait for the device
					a := newWeb(t, h).ask(head, tt.body).want(t, 404)
					var outer struct{ Message string }
					var nested map[string]any
					if err := json.Unmarshal([]byte(a.body), &outer); err != nil {
						t.Fatal(err)
					}
					if err := json.Unmarshal([]byte(outer.Message), &nested); err != nil || nested["errorCode"] != 404103.0 || a.Header.Get("iothub-errorcode") != "DeviceNotOnline" {
						t.Errorf("%v: %s", err, a.body)
					}
					for key, v := range nested {
						if _, is := v.(map[string]any); is {
							t.Errorf("%s is an object, which .NET cannot read", key)
						}
					}
				}
			})
		})
	}
}

// TestShapePathIDs has ids that each SDK writes in its own way into a path.
func TestShapePathIDs(t *testing.T) {
	const id = "a:b+c%_#*?!(),=@;$'"
	for sdk, text := range map[string]string{
		"Node":   "a%3Ab%2Bc%25_%23%2a%3F%21%28%29%2C%3D%40%3B%24%27",
		"C":      "a%3ab%2bc%25%5f%23*%3f!()%2c%3d%40%3b%24%27",
		".NET":   "a%3Ab%2Bc%25_%23*%3F!()%2C%3D%40%3B%24%27",
		"Python": "a%3Ab%2Bc%25_%23%2A%3F%21%28%29%2C%3D%40%3B%24%27",
		"Go":     "a:b+c%25_%23%2A%3F%21%28%29%2C=@%3B$%27",
	} {
		t.Run(sdk, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				create(t, h, hubwire.Identity{DeviceID: id})
				a := newWeb(t, h).ask(fmt.Sprintf("GET /devices/%s?api-version=2021-04-12\nAuthorization: SERVICE", text), "").want(t, 200)
				var got struct{ DeviceID string }
				if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.DeviceID != id {
					t.Errorf("%s, %v", a.body, err)
				}
			})
		})
	}
}
