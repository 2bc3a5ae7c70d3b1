package hub_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// sdkMQTT returns the SDK of that name.
func sdkMQTT(name string) *mqttSDK {
	for _, sdk := range mqttSDKs {
		if sdk.name == name {
			return sdk
		}
	}
	panic(name)
}

// dial connects over TCP.
func (sdk *mqttSDK) dial(t testing.TB, h *hub.Hub, present byte) *mqttWire {
	t.Helper()
	return sdk.connect(t, h, dialTLS(t, h, "8883", nil), present)
}

// gone asserts that the hub ends the connection, without a packet, and says how long that took.
func (w *mqttWire) gone() time.Duration {
	w.t.Helper()
	start := time.Now()
	if err := w.nc.SetReadDeadline(start.Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	if n, err := w.nc.Read(make([]byte, 1)); n > 0 || err == nil {
		w.t.Fatalf("%d bytes, want the end", n)
	}
	return time.Since(start)
}

// alive asserts that a PINGREQ is what is answered next.
func (w *mqttWire) alive() {
	w.t.Helper()
	w.send(0xc0)
	w.want(0xd0)
}

// TestShapeMQTTLife has what SDKs do to connections and subscriptions, byte by byte.
func TestShapeMQTTLife(t *testing.T) {
	python, c, dotnet, java := sdkMQTT("Python"), sdkMQTT("C"), sdkMQTT(".NET"), sdkMQTT("Java")
	const events1 = "devices/dev-1/messages/events/"
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, h *hub.Hub)
	}{
		{"C: a PUBLISH without its PUBACK is sent again over the next connection, with DUP and its id", func(t *testing.T, h *hub.Hub) {
			w := c.dial(t, h, 0)
			w.send(0x32, events1, uint16(41), []byte("hi"))
			w.nc.Close()
			w = c.dial(t, h, 1)
			w.send(0x3a, events1, uint16(41), []byte("hi"))
			w.want(0x40, uint16(41))
			for _, ev := range events(t, h) {
				if len(ev.Properties) > 0 {
					t.Errorf("%+v", ev.Message)
				}
			}
		}},
		{"C: a message without its PUBACK comes again over the next connection, with DUP and its id", func(t *testing.T, h *hub.Hub) {
			w := c.dial(t, h, 0)
			w.subscribe()
			sendC2D(t, h, dev, "hi")
			_, _, id := w.published()
			w.nc.Close()
			w = c.dial(t, h, 1)
			b := w.read()
			if b[0] != 0x3a || !bytes.Contains(b, append([]byte{byte(id >> 8), byte(id)}, "hi"...)) {
				t.Errorf("%q", b)
			}
		}},
		{"C: 240 seconds of keep-alive are 360 of patience, and any packet begins them anew", func(t *testing.T, h *hub.Hub) {
			w := c.dial(t, h, 0)
			for range 3 {
				time.Sleep(350 * time.Second)
				w.alive()
				time.Sleep(350 * time.Second)
				w.publish(1, events1, "x")
			}
			if took := w.gone(); took != 360*time.Second {
				t.Errorf("it took %v", took)
			}
		}},
		{".NET: a PINGREQ every 75 seconds", func(t *testing.T, h *hub.Hub) {
			w := dotnet.dial(t, h, 0)
			for range 100 {
				time.Sleep(75 * time.Second / 2)
				w.alive()
			}
		}},
		{".NET: methods are subscribed to and left", func(t *testing.T, h *hub.Hub) {
			w := dotnet.dial(t, h, 0)
			for i := range uint16(3) {
				w.send(0x82, i*2+1, methodPost, byte(1))
				w.want(0x90, i*2+1, byte(1))
				w.send(0xa2, i*2+2, methodPost)
				w.want(0xb0, i*2+2)
				if got := <-invoke(t, h, "m", "", nil); got.err == nil {
					t.Error("the method is there")
				}
			}
		}},
		{".NET: PUBACKs come in the order of delivery, after all is there", func(t *testing.T, h *hub.Hub) {
			w := dotnet.dial(t, h, 0)
			w.subscribe()
			sendC2D(t, h, dev, "a", "b", "c")
			var ids []uint16
			for range 3 {
				_, _, id := w.published()
				ids = append(ids, id)
			}
			for _, id := range ids {
				w.send(0x40, id)
			}
			w.alive()
			if n := queueLength(t, h, dev); n != 0 {
				t.Errorf("%d wait", n)
			}
		}},
		{"Java: QoS 2 is granted as 1, and a retained message is taken", func(t *testing.T, h *hub.Hub) {
			w := java.dial(t, h, 0)
			w.send(0x82, uint16(9), c2dFilter, byte(2))
			w.want(0x90, uint16(9), byte(1))
			w.send(0x33, events1, uint16(10), []byte("x"))
			w.want(0x40, uint16(10))
			if v, _ := events(t, h)[0].Property("mqtt-retain"); v != "true" {
				t.Errorf("mqtt-retain is %q", v)
			}
		}},
		{"Python: a renewal of the token is DISCONNECT, CONNECT and nothing more", func(t *testing.T, h *hub.Hub) {
			w := python.dial(t, h, 0)
			w.subscribe()
			for range 3 {
				w.send(0xe0)
				w.gone()
				w = python.dial(t, h, 1)
				w.works(h)
			}
		}},
		{"Python: a GET right after the reconnect, before anything else", func(t *testing.T, h *hub.Hub) {
			w := python.dial(t, h, 0)
			w.subscribe()
			w.nc.Close()
			desire(t, h, dev, `{"a":1}`)
			w = python.dial(t, h, 1)
			w.send(0x32, "$iothub/twin/GET/?$rid="+guidRID(1), uint16(1), []byte(" "))
			w.want(0x40, uint16(1))
			if topic, body, _ := w.published(); topic != "$iothub/twin/res/200/?$rid="+guidRID(1) || !strings.Contains(body, `"a":1`) {
				t.Errorf("%s %s", topic, body)
			}
		}},
		{"all: a will, of a connection that is cut", func(t *testing.T, h *hub.Hub) {
			d, err := h.Device(dev)
			if err != nil {
				t.Fatal(err)
			}
			w := &mqttWire{t: t, sdk: python, nc: dialTLS(t, h, "8883", nil)}
			w.send(0x10, "MQTT", byte(4), byte(0xec), uint16(60), "dev-1", events1+"a=b", "gone", "localhost"+python.user, python.token(d.PrimaryKey))
			w.want(0x20, byte(0), byte(0))
			w.nc.Close()
			synctest.Wait()
			evs := events(t, h)
			if len(evs) != 1 || string(evs[0].Body) != "gone" {
				t.Fatalf("%d events", len(evs))
			}
			for name, want := range map[string]string{"a": "b", "iothub-MessageType": "Will", "mqtt-retain": "true"} {
				if v, _ := evs[0].Property(name); v != want {
					t.Errorf("%s is %q", name, v)
				}
			}
		}},
		{"all: a client that waits for nothing", func(t *testing.T, h *hub.Hub) {
			d, err := h.Device(dev)
			if err != nil {
				t.Fatal(err)
			}
			w := &mqttWire{t: t, sdk: java, nc: dialTLS(t, h, "8883", nil)}
			b := mqttPacket(0x10, "MQTT", byte(4), byte(0xc2), uint16(60), "dev-1", "localhost"+java.user, java.token(d.PrimaryKey))
			b = append(b, mqttPacket(0x82, uint16(1), twinRes, byte(1))...)
			b = append(b, mqttPacket(0x32, "$iothub/twin/GET/?$rid=1", uint16(2))...)
			b = append(b, mqttPacket(0x32, events1, uint16(3), []byte("x"))...)
			b = append(b, mqttPacket(0xe0)...)
			if _, err := w.nc.Write(b); err != nil {
				t.Fatal(err)
			}
			w.want(0x20, byte(0), byte(0))
			w.want(0x90, uint16(1), byte(1))
			w.want(0x40, uint16(2))
			if topic, _, _ := w.published(); topic != "$iothub/twin/res/200/?$rid=1" {
				t.Errorf("%s", topic)
			}
			w.want(0x40, uint16(3))
			w.gone()
		}},
		{"all: packets of 100 KiB both ways", func(t *testing.T, h *hub.Hub) {
			w := python.dial(t, h, 0)
			w.subscribe()
			w.publish(1, events1, strings.Repeat("x", 250_000))
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Body: bytes.Repeat([]byte("x"), 64_000)}); err != nil {
				t.Fatal(err)
			}
			if _, body, _ := w.published(); len(body) != 64_000 {
				t.Errorf("%d bytes", len(body))
			}
		}},
		{"all: a second CONNECT, a PUBLISH at QoS 2 and a topic of nobody's end the connection", func(t *testing.T, h *hub.Hub) {
			python.dial(t, h, 0).nc.Close()
			for _, b := range [][]byte{
				mqttPacket(0x10, "MQTT", byte(4), byte(2), uint16(60), "dev-1"),
				mqttPacket(0x34, events1, uint16(1)),
				mqttPacket(0x30, "some/topic"),
				mqttPacket(0x30, "devices/dev-2/messages/events/"),
				mqttPacket(0x82, uint16(1), "#", byte(0)),
				mqttPacket(0x82, uint16(1), "devices/dev-2/messages/devicebound/#", byte(0)),
			} {
				w := python.dial(t, h, 1)
				if _, err := w.nc.Write(b); err != nil {
					t.Fatal(err)
				}
				if took := w.gone(); took != 0 {
					t.Errorf("% x: it took %v", b[:2], took)
				}
			}
		}},
		{"all: refusals are CONNACK 1 for another version and 5 for a bad login, and then the end", func(t *testing.T, h *hub.Hub) {
			d, err := h.Device(other)
			if err != nil {
				t.Fatal(err)
			}
			for code, b := range map[byte][]byte{
				1: mqttPacket(0x10, "MQTT", byte(5), byte(0xc2), uint16(60), byte(0), "dev-1", "localhost"+python.user, "x"),
				5: mqttPacket(0x10, "MQTT", byte(4), byte(0xc2), uint16(60), "dev-1", "localhost"+python.user, python.token(d.PrimaryKey)),
			} {
				w := &mqttWire{t: t, sdk: python, nc: dialTLS(t, h, "8883", nil)}
				if _, err := w.nc.Write(b); err != nil {
					t.Fatal(err)
				}
				w.want(0x20, byte(0), code)
				w.gone()
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { bubble(t, nil, tt.do) })
	}
}

// dpsSDKs are how SDKs register: what stands behind the registration in the user name, flags of CONNECT, the name of the key
// in the token, and the two requests.
var dpsSDKs = []struct {
	name, user    string
	flags, qos    byte
	policy        string
	rid           func(int) string
	body, polling string
}{
	{"Python", "/api-version=2019-03-31&ClientVersion=azure-iot-device-provisioning-py%2F2.12.0", 0xc0, 1, "", guidRID, `{"registrationId": "reg-1"}`, " "},
	{"C", "/api-version=2021-06-01&ClientVersion=1.15.0", 0xc2, 0, "registration", plainRID, `{"registrationId":"reg-1"}`, ""},
	{".NET", "/api-version=2019-03-31&ClientVersion=.NET%2F1.19.2%20%28.NET%208.0%29", 0xc2, 1, "registration", plainRID, "", ""},
	{".NET, with a payload", "/api-version=2019-03-31&ClientVersion=.NET%2F1.19.2", 0xc2, 1, "registration", plainRID, `{"payload":{"a":1}}`, ""},
	{"Java", "/api-version=2019-03-31&ClientVersion=2019-03-31", 0xc0, 0, "", plainRID, `{"registrationId":"reg-1"}`, ""},
	{"Embedded C", "/api-version=2019-03-31", 0xc2, 1, "registration", func(int) string { return "1" }, `{"registrationId":"reg-1"}`, ""},
}

// TestShapeDPS has each SDK register, step by step as .NET does: what it waits for comes first.
func TestShapeDPS(t *testing.T) {
	for _, sdk := range dpsSDKs {
		t.Run(sdk.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				e := enroll(t, h, &hub.Enrollment{ID: "reg-1"})
				text := token(e.PrimaryKey, h.IDScope()+"/registrations/reg-1", sdk.policy, time.Now().Add(time.Hour))
				if sdk.name == "Java" {
					text += "&skn="
				}
				w := &mqttWire{t: t, nc: dialTLS(t, h, "8883", nil)}
				w.send(0x10, "MQTT", byte(4), sdk.flags, uint16(180), "reg-1", h.IDScope()+"/registrations/reg-1"+sdk.user, text)
				w.want(0x20, byte(0), byte(0))
				w.send(0x82, uint16(1), "$dps/registrations/res/#", byte(1))
				w.want(0x90, uint16(1), byte(1))
				w.id = 1
				w.publish(sdk.qos, "$dps/registrations/PUT/iotdps-register/?$rid="+sdk.rid(1), sdk.body)
				topic, body, id := w.published()
				if topic != "$dps/registrations/res/202/?$rid="+sdk.rid(1)+"&retry-after=3" || id == 0 {
					t.Fatalf("%s %s", topic, body)
				}
				w.send(0x40, id)
				_, operation, _ := strings.Cut(body, `"operationId":"`)
				operation, _, _ = strings.Cut(operation, `"`)
				time.Sleep(3 * time.Second)
				w.publish(sdk.qos, "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="+sdk.rid(2)+"&operationId="+operation, sdk.polling)
				topic, body, id = w.published()
				if topic != "$dps/registrations/res/200/?$rid="+sdk.rid(2) || !strings.Contains(body, `"assignedHub":"localhost"`) || !strings.Contains(body, `"deviceId":"reg-1"`) || !strings.Contains(body, `"status":"assigned"`) {
					t.Fatalf("%s %s", topic, body)
				}
				w.send(0x40, id)
				w.send(0xe0)
				w.gone()
			})
		})
	}
}
