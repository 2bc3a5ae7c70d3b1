package hub_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// The service SDKs, as clients of AMQP: see amqpSDK. Where they log in with PLAIN there is no put-token.
var (
	sdkServiceC = amqpSDK{name: "C service", sasl: "PLAIN", open: sdkC.open, begin: sdkC.begin, snd: uint8(0), rcv: uint8(0),
		scheme: "amqps://localhost"}
	sdkServiceNET = amqpSDK{name: ".NET service", pipes: true, open: list{uint32(65536), uint16(8191)}, begin: sdkNET.begin, sessions: true,
		scheme: "amqps://localhost:5671", props: pairs{sym("com.microsoft:timeout"), float64(60000), sym("com.microsoft:client-version"), "Microsoft.Azure.Devices/1.40.0"},
		putID: sdkNET.putID, putType: "azure-devices.net:sastoken", putName: "amqps://localhost:5671/", putProps: sdkNET.putProps, putExpiry: true}
	sdkServiceJava = amqpSDK{name: "Java service", sasl: "ANONYMOUS", encoder: encoder{wide: true}, open: sdkJava.open, begin: sdkJava.begin, sessions: true,
		snd: uint8(0), rcv: uint8(0), props: pairs{sym("com.microsoft:client-version"), "com.microsoft.azure.sdk.iot.iot-service-client/2.1.7", sym("com.microsoft:api-version"), "2021-04-12"},
		putID: sdkJava.putID, putType: "servicebus.windows.net:sastoken", putName: "localhost", putProps: sdkJava.putProps}
	sdkServicePython = amqpSDK{name: "Python service", sasl: "MSSBCBS", open: sdkC.open, begin: sdkC.begin, snd: uint8(0), rcv: uint8(0),
		scheme: "amqps://localhost", putID: sdkC.putID, putType: "servicebus.windows.net:sastoken", putName: "https://localhost"}
	serviceSDKs = []*amqpSDK{&sdkServiceC, &sdkServiceNET, &sdkServiceJava, &sdkServicePython}
)

// service logs in with the policy service, and returns the channel that links go on.
func (sdk *amqpSDK) service(t *testing.T, h *hub.Hub) (*script, uint16) {
	t.Helper()
	text := token(policyKey(t, h, "service"), "localhost", "service", time.Now().Add(time.Hour))
	s := newScript(t, sdk, dialTLS(t, h, "5671", nil))
	if sdk.sasl == "PLAIN" {
		s.login([]byte("\x00service@sas.root.localhost\x00" + text))
		return s, 0
	}
	s.login(nil)
	s.putText(sdk.putName, text, "200")
	if sdk.sessions {
		return s, s.session(1)
	}
	return s, 0
}

// TestShapeAMQPService has each service SDK send, and receive and settle feedback.
func TestShapeAMQPService(t *testing.T) {
	for _, sdk := range serviceSDKs {
		t.Run(sdk.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.subscribe(c2dFilter)
				s, ch := sdk.service(t, h)
				link := s.link(ch, false, "sender-link", sdk.scheme+"/messages/deviceBound", 0, sdk.snd, sdk.rcv, sdk.props)
				for _, to := range []string{"/devices/dev%2D1/messages/deviceBound", "/devices/dev-1/messages/devicebound"} {
					m := sdk.encoder.message(sec(secHeader, list{true}), sec(secProperties, list{"m1", []byte("me"), to, nil, nil, "c1", sym("text/plain"), sym("utf-8"), stamp(time.Now().Add(time.Minute).UnixMilli())}),
						sec(secApplication, pairs{"iothub-ack", "full", "a", "b"}), sec(secData, []byte("hi")))
					s.settled(ch, s.deliver(ch, link, 0, false, m), stAccepted)
					got := p.publish()
					if topic := string(got.Topic); string(got.Payload) != "hi" || !strings.Contains(topic, "%24.mid=m1") || !strings.Contains(topic, "a=b") || !strings.Contains(topic, "%24.ct=text%2Fplain") {
						t.Errorf("%s", got.Topic)
					}
					p.ack(got)
				}
				for to, want := range map[string]sym{"/devices/nobody/messages/devicebound": "amqp:not-found", "/devices/dev-1": "com.microsoft:argument-error"} {
					e := s.settled(ch, s.deliver(ch, link, 0, false, sdk.encoder.message(sec(secProperties, list{"m1", nil, to}), sec(secData, []byte("hi")))), stRejected)
					if _, e := inner(e.field(0)); e.field(0) != want {
						t.Errorf("to %s: %v", to, e)
					}
				}
				s.feedback(ch)
				s.quit()
			})
		})
	}
}

// feedback reads and settles one feedback of two records.
func (s *script) feedback(ch uint16) {
	s.t.Helper()
	rcv, credit := s.sdk.rcv, uint32(1024)
	if s.sdk == &sdkServiceNET {
		rcv, credit = uint8(1), 1
	}
	s.link(ch, true, "receiver-link", s.sdk.scheme+"/messages/servicebound/feedback", credit, s.sdk.snd, rcv, s.sdk.props)
	m := s.receive(ch)
	_, hasTime := m.annotation("iothub-enqueuedtime").(stamp)
	user, _ := m.property(1).([]byte)
	var records []map[string]any
	if err := json.Unmarshal([]byte(m.body()), &records); err != nil || len(m.tag) != 16 || m.data != 1 || !hasTime || string(user) != "localhost" ||
		m.property(6) != sym("application/vnd.microsoft.iothub.feedback.json") || len(records) != 2 {
		s.t.Fatalf("%v, %+v", err, m)
	}
	for _, key := range []string{"originalMessageId", "description", "deviceGenerationId", "deviceId", "enqueuedTimeUtc", "statusCode"} {
		if text, ok := records[0][key].(string); !ok || text == "" {
			s.t.Errorf("%s is %v", key, records[0][key])
		}
	}
	if records[0]["statusCode"] != "Success" || !strings.EqualFold(records[0]["description"].(string), "success") {
		s.t.Errorf("%v", records[0])
	}
	second := rcv == uint8(1)
	s.send(ch, fDisposition, true, m.id, nil, !second, described{stAccepted, list{}}, true)
	if second {
		if d, _ := s.await(ch, fDisposition); d.field(0) != false || d.field(1) != m.id {
			s.t.Errorf("the hub's word is %v", d)
		}
	}
}

// TestShapeAMQPServiceNotifications has each service SDK's link for uploads, with what .NET looks at.
func TestShapeAMQPServiceNotifications(t *testing.T) {
	for _, sdk := range serviceSDKs[:3] { // Python has none
		t.Run(sdk.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				u := (&blobUpload{t: t, h: h}).init("/devices/dev-1/files", `{"blobName":"a b.txt"}`)
				u.put("x", "PUT", "", "x-ms-blob-type", "BlockBlob")
				u.notify("/devices/dev-1/files/notifications", `{"correlationId":"ID","isSuccess":true,"statusCode":200,"statusDescription":"OK"}`)
				s, ch := sdk.service(t, h)
				s.link(ch, true, "receiver-link", sdk.scheme+"/messages/serviceBound/filenotifications", 1, sdk.snd, nil, sdk.props)
				m := s.receive(ch)
				var got map[string]any
				if err := json.Unmarshal([]byte(m.body()), &got); err != nil || len(m.tag) != 16 || m.property(6) != sym("application/vnd.microsoft.iothub.filenotification.json") ||
					got["deviceId"] != "dev-1" || got["blobName"] != "dev-1/a b.txt" || got["blobSizeInBytes"] != 1.0 {
					t.Fatalf("%v, %+v %s", err, m, m.body())
				}
				s.send(ch, fDisposition, true, m.id, m.id, true, described{stAccepted, list{}})
				s.quit()
			})
		})
	}
}

// TestShapeAMQPServicePlainRefused has passwords of the C service SDK that are not right: an outcome, and the end.
func TestShapeAMQPServicePlainRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		good := token(policyKey(t, h, "service"), "localhost", "service", time.Now().Add(time.Hour))
		for _, initial := range []any{nil, []byte(""), []byte("\x00service@sas.root.localhost\x00" + good[:len(good)-9]), []byte("\x00service@sas.root.elsewhere\x00" + good), []byte("service\x00" + good)} {
			s := newScript(t, &sdkServiceC, dialTLS(t, h, "5671", nil))
			s.write(s.header(3))
			s.wantHeader(3)
			s.await(0, fMechanisms)
			s.write(s.frame(1, 0, fSASLInit, list{sym("PLAIN"), initial}, nil))
			if o, _ := s.await(0, fOutcome); o.field(0) != uint8(1) {
				t.Errorf("the outcome is %v", o)
			}
			if _, err := s.nc.Read(make([]byte, 1)); err == nil {
				t.Error("the connection goes on")
			}
		}
	})
}

// TestShapeAMQPServiceToModules has the .NET service SDK send to a module, and to a device whose id it escapes.
func TestShapeAMQPServiceToModules(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		odd := hubwire.Identity{DeviceID: "a=b@c"}
		create(t, h, odd)
		s, ch := sdkServiceNET.service(t, h)
		link := s.link(ch, false, "x", "amqps://localhost:5671/messages/deviceBound", 0, nil, nil, sdkServiceNET.props)
		for to, id := range map[string]hubwire.Identity{"/devices/a%3Db%40c/messages/deviceBound": odd, "/devices/dev-1/modules/mod/messages/deviceBound": mod} {
			s.settled(ch, s.deliver(ch, link, 0, false, sdkServiceNET.encoder.message(sec(secProperties, list{nil, nil, to}), sec(secData, []byte("hi")))), stAccepted)
			if n := queueLength(t, h, id); n != 1 {
				t.Errorf("%v: %d", id, n)
			}
		}
	})
}
