package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
)

// Ids of the vectors, beside those that every hub of these tests has.
var (
	mod1 = hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod-1"}
	mod2 = hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod-2"}
)

// scenes make what must be before each vector's request; nil is nothing.
var scenes = map[string]func(*vectorScene){
	"d2c-single-c": nil, "d2c-single-node": nil, "d2c-single-cs": nil, "d2c-too-large": nil, "d2c-no-auth": nil,
	"d2c-batch-c-bytes": nil, "d2c-batch-c-string": nil, "d2c-batch-node": nil, "d2c-batch-cs": nil,
	"d2c-encoded-id": func(s *vectorScene) { s.registered(&hub.Device{Identity: hubwire.Identity{DeviceID: "d'v*1#"}}) },

	"c2d-empty": nil, "c2d-lock-lost": nil,
	"c2d-receive-cs-lock": func(s *vectorScene) {
		s.check(s.h.SendC2D(s.t.Context(), dev, &hubwire.Message{
			Body: []byte(`{"cmd":"reboot"}`), ID: "cmd-7", Ack: hubwire.AckFull, ContentType: "application/json", ContentEncoding: "utf-8",
			Properties: []hubwire.Property{{Name: "Alert", Value: "high"}},
		}))
	},
	"c2d-complete-c": (*vectorScene).received, "c2d-complete-node": (*vectorScene).received, "c2d-reject-c": (*vectorScene).received,
	"c2d-reject-cli": (*vectorScene).received, "c2d-abandon-c": (*vectorScene).received, "c2d-abandon-cs": (*vectorScene).received,

	"upload-init": nil, "upload-init-c": nil, "upload-no-storage": nil,
	"upload-notify-body": (*vectorScene).uploaded, "upload-notify-c": (*vectorScene).uploaded,
	"upload-limit": func(s *vectorScene) {
		for range 10 {
			s.device("POST", "/devices/dev-1/files"+version, `{"blobName":"x"}`)
		}
	},

	"device-get": nil, "device-update-star": nil, "device-update-star-quoted": nil, "device-update-412": nil, "device-get-404": nil,
	"device-create": func(s *vectorScene) { s.deleted(dev) },
	"device-delete-bare-etag": func(s *vectorScene) {
		d, err := s.h.Device(dev)
		s.check(err)
		s.replace = []string{"NzQ3NDE2NTI5", d.ETag}
	},
	"device-list": func(s *vectorScene) { s.deleted(other) },
	"bulk-create": nil, "bulk-partial-400": nil,
	"module-create": nil,
	"module-list":   func(s *vectorScene) { s.deleted(mod); s.registered(&hub.Device{Identity: mod1}) },
	"module-create-conflict": func(s *vectorScene) {
		s.registered(&hub.Device{Identity: hubwire.Identity{DeviceID: "dev-1", ModuleID: "telemetry"}})
		s.but("body") // which is in the newer form, that the Node SDK does not read
	},
	"module-get-identity-service": func(s *vectorScene) {
		s.deleted(dev)
		s.registered(&hub.Device{Identity: dev, Edge: true})
	},
	"stats-service": func(s *vectorScene) { s.connect(dev) },
	"purge-queue":   func(s *vectorScene) { sendC2D(s.t, s.h, dev, "1", "2", "3", "4") },

	"twin-get-fresh": nil, "twin-patch": nil, "twin-412": nil,
	"twin-put-replace": (*vectorScene).patchedTwice,
	"twin-patch-java-override": func(s *vectorScene) {
		s.patchedTwice()
		s.service("PUT", "/twins/dev-1"+version, `{"properties":{"desired":{"a":1}}}`)
	},
	"twin-module-get": func(s *vectorScene) { s.registered(&hub.Device{Identity: mod1}) },

	"query-page1": nil,
	"query-page2-last": func(s *vectorScene) {
		res, _ := newREST(s.t, s.h, "").do("POST", "/devices/query"+version, `{"query":"SELECT * FROM devices"}`, "x-ms-max-item-count", "1", "Authorization", s.owner())
		s.replace = []string{"page2", res.Header.Get("x-ms-continuation")}
	},
	"query-count": func(s *vectorScene) { s.fleet() },
	"query-group": func(s *vectorScene) {
		s.fleet("Success", "Success", "Success", "Pending", "Pending", "Error")
		s.but("body") // whose rows are in another order
	},
	"query-jobs": func(s *vectorScene) {
		s.answers(dev, 200, "null")
		s.service("PUT", "/jobs/v2/j1"+version, `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m"},"queryCondition":"deviceId = 'dev-1'","maxExecutionTimeInSeconds":60}`)
		time.Sleep(time.Second)
	},

	"method-ok":           func(s *vectorScene) { s.answers(dev, 201, `{"ok":true}`) },
	"method-null-payload": func(s *vectorScene) { s.answers(dev, 200, "") },
	"method-module":       func(s *vectorScene) { s.registered(&hub.Device{Identity: mod1}); s.answers(mod1, 200, "null") },
	"method-offline-2018": nil,
	"method-timeout":      func(s *vectorScene) { s.connect(dev).subscribe(methodFilter) },
	"method-trace-2017": func(s *vectorScene) {
		s.registered(&hub.Device{Identity: hubwire.Identity{DeviceID: "pilot-004"}})
		s.but("body") // which is in the classic form, of 2017
	},
	"method-module-to-module": func(s *vectorScene) {
		s.registered(&hub.Device{Identity: mod1}, &hub.Device{Identity: mod2})
		s.answers(mod2, 200, "null")
	},

	"job-create-twin": func(s *vectorScene) { s.but("body.status", "body.deviceJobStatistics") }, // the hub is quicker
	"job-get-404":     nil, "job-etag-error": nil,
	"job-cancel": func(s *vectorScene) { s.job("2000-01-02T00:00:00Z") },
	"job-query": func(s *vectorScene) {
		s.connect(dev).subscribe(methodFilter)
		s.job("")
		time.Sleep(time.Second)
		s.but("body[0].deviceJobStatistics") // which has the device already
	},

	"config-create": func(s *vectorScene) { s.but("body.systemMetrics.queries.targetedCount") }, "config-test-queries": nil, // which has other blanks
	"config-list": func(s *vectorScene) {
		s.service("PUT", "/configurations/cfg1"+version, `{"schemaVersion":"1.0","content":{"deviceContent":{"properties.desired.led":{"on":true}}},"targetCondition":"tags.environment='test'","priority":10}`)
		s.but("body[0].systemMetrics.queries.targetedCount")
	},
	"config-apply-edge": func(s *vectorScene) {
		_, err := s.h.Create(s.t.Context(), &hub.Device{Identity: hubwire.Identity{DeviceID: "edge-1"}, Edge: true})
		s.check(err)
	},
	"throttled": func(s *vectorScene) {
		s.service("GET", "/configurations"+version, "")
		s.Response.Headers["iothub-errorcode"] = "ThrottlingException" // the one that the hub has
		s.but("body")
	},
	"job-quota": func(s *vectorScene) {
		s.service("POST", "/jobs/create"+version, `{"type":"export","outputBlobContainerUri":"https://acct.blob.core.windows.net/out?sig=x"}`)
		s.but("body.Message") // whose text is of several lines
	},

	"dt-get":   func(s *vectorScene) { s.connect(dev, "&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1") },
	"dt-patch": nil,

	"feedback-empty": nil,
	"feedback-batch": func(s *vectorScene) { s.completed() },
	"feedback-complete": func(s *vectorScene) {
		s.completed()
		res, _ := newREST(s.t, s.h, "").do("GET", "/messages/serviceBound/feedback"+version, "", "Authorization", s.owner())
		s.replace = []string{"lock-1", lockToken(s.t, res)}
	},

	"edge-scope-list": func(s *vectorScene) {
		parent, err := s.h.Create(s.t.Context(), &hub.Device{Identity: hubwire.Identity{DeviceID: "edge-1"}, Edge: true})
		s.check(err)
		_, err = s.h.Update(s.t.Context(), &hub.Device{Identity: hubwire.Identity{DeviceID: "edge-1", ModuleID: "$edgeHub"}, PrimaryKey: sas.NewSecret(vectorKey)}, "")
		s.check(err)
		s.deleted(dev)
		s.registered(&hub.Device{Identity: dev, Scope: parent.Scope}, &hub.Device{Identity: mod1})
		s.but("body") // which has the edge device too, and its modules
	},
}

// received makes a message come, and has the vector name its lock token.
func (s *vectorScene) received() {
	s.t.Helper()
	sendC2D(s.t, s.h, dev, "x")
	res, _ := s.device("GET", deviceBound, "")
	s.replace = append(s.replace, "6f2ed4b4-65fb-4d29-8a5b-5cd2c1f2a4e1", lockToken(s.t, res))
}

// registered registers identities with the key of the vectors, instead of what is there.
func (s *vectorScene) registered(ds ...*hub.Device) {
	s.t.Helper()
	for _, d := range ds {
		d.PrimaryKey = sas.NewSecret(vectorKey)
		_, err := s.h.Create(s.t.Context(), d)
		s.check(err)
	}
}

// deleted takes out identities that every hub of these tests has.
func (s *vectorScene) deleted(ids ...hubwire.Identity) {
	s.t.Helper()
	for _, id := range ids {
		s.check(s.h.Delete(s.t.Context(), id))
	}
}

// service makes a request as a service does, whose answer is a success.
func (s *vectorScene) service(method, path, body string, header ...string) string {
	s.t.Helper()
	header = append(header, "Authorization", s.owner())
	res, got := newREST(s.t, s.h, "").do(method, path, body, header...)
	if res.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s %s", method, path, res.Status, got)
	}
	return got
}

func (s *vectorScene) owner() string {
	return token(policyKey(s.t, s.h, "iothubowner"), vectorHost, "iothubowner", time.Now().Add(time.Hour))
}

// device makes a request as the device dev does, whose answer is a success.
func (s *vectorScene) device(method, path, body string) (*http.Response, string) {
	s.t.Helper()
	res, got := newREST(s.t, s.h, "").do(method, path, body, "Authorization", token(sas.NewSecret(vectorKey), vectorHost+"/devices/dev-1", "", time.Now().Add(time.Hour)))
	if res.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %s %s", method, path, res.Status, got)
	}
	return res, got
}

// uploaded begins an upload, whose file comes, and has the vector name it.
func (s *vectorScene) uploaded() {
	s.t.Helper()
	_, body := s.device("POST", "/devices/dev-1/files"+version, `{"blobName":"myfile.txt"}`)
	var slot struct{ CorrelationID, ContainerName, BlobName, SASToken string }
	s.check(json.Unmarshal([]byte(body), &slot))
	r, err := http.NewRequest("PUT", "https://localhost/"+slot.ContainerName+"/"+slot.BlobName+slot.SASToken, strings.NewReader("x"))
	s.check(err)
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	res, err := webClient(s.t, s.h).Do(r)
	s.check(err)
	res.Body.Close()
	if res.StatusCode != 201 {
		s.t.Fatalf("the file: %s", res.Status)
	}
	s.replace = []string{"MjAyMTA3MzAwNjIxXzBiNjgwOGVkLWZjNzQtTTAzNjMtZGVmYjg5ZDEzN2Y0X215ZmlsZS50eHRfdmVyMi4w", slot.CorrelationID}
}

// patchedTwice brings the twin of dev to the state that twin-put-replace is about.
func (s *vectorScene) patchedTwice() {
	s.service("PATCH", "/twins/dev-1"+version, `{"properties":{"desired":{"b":1}}}`)
	s.service("PATCH", "/twins/dev-1"+version, `{"properties":{"desired":{"b":2}}}`)
}

// connect connects a device or module over MQTT, with this behind its user name.
func (s *vectorScene) connect(id hubwire.Identity, more ...string) *peer {
	s.t.Helper()
	d, err := s.h.Device(id)
	s.check(err)
	return connect(s.t, s.h, id, func(m *mqtt.Connect) {
		m.UserName = []byte(vectorHost + "/" + id.String() + "/?api-version=2021-04-12" + strings.Join(more, ""))
		resource := strings.Replace(resourceOf(id), "localhost", vectorHost, 1)
		m.Password = password(token(d.PrimaryKey, resource, "", time.Now().Add(time.Hour)))
	})
}

// answers connects a device or module that answers one direct method.
func (s *vectorScene) answers(id hubwire.Identity, status int, payload string) {
	p := s.connect(id)
	p.subscribe(methodFilter)
	go func() {
		_, rid, _ := p.request()
		p.respond(status, rid, payload, 0)
	}()
}

// fleet makes six devices, which report these as the status of their telemetry.
func (s *vectorScene) fleet(statuses ...string) {
	s.deleted(other)
	for i := range 5 {
		id := hubwire.Identity{DeviceID: fmt.Sprintf("fleet-%d", i)}
		s.registered(&hub.Device{Identity: id})
	}
	for i, status := range statuses {
		id := dev
		if i > 0 {
			id.DeviceID = fmt.Sprintf("fleet-%d", i-1)
		}
		p := s.connect(id)
		p.subscribe(twinResponses)
		p.ask(patchTopic+"1", `{"telemetryConfig":{"status":"`+status+`"}}`, 1)
	}
}

// job schedules the job j1 of the vectors for a time, or for now.
func (s *vectorScene) job(start string) {
	s.service("PUT", "/jobs/v2/j1"+version, `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"reboot","payload":null,"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":0},`+
		`"queryCondition":"deviceId IN ['dev-1']","startTime":"`+start+`","maxExecutionTimeInSeconds":3600}`)
}

// completed has a message completed, whose sender wants to hear of it.
func (s *vectorScene) completed() {
	s.t.Helper()
	id := hubwire.Identity{DeviceID: "123"}
	s.registered(&hub.Device{Identity: id})
	s.check(s.h.SendC2D(s.t.Context(), id, &hubwire.Message{ID: "0987654321", Ack: hubwire.AckPositive}))
	by := token(sas.NewSecret(vectorKey), vectorHost+"/devices/123", "", time.Now().Add(time.Hour))
	r := newREST(s.t, s.h, "")
	res, _ := r.do("GET", "/devices/123/messages/deviceBound"+version, "", "Authorization", by)
	r.do("DELETE", "/devices/123/messages/deviceBound/"+lockToken(s.t, res)+version, "", "Authorization", by)
}

// stalledStorage is storage that takes everything and does not say so.
type stalledStorage struct{}

func (stalledStorage) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("If-Match") != "" { // the hub looks whether it may
		return &http.Response{StatusCode: http.StatusPreconditionFailed, Body: http.NoBody, Request: r}, nil
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}
