package hub_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// The MQTT conversations of the SDKs that do not run here, byte by byte: packets are put together
// and compared without the hub's codec.

// mqttSDK is how an SDK talks. In its texts ID stands for dev-1, and in those of a module's also for its own id.
type mqttSDK struct {
	name      string
	id        hubwire.Identity
	user      string // behind the host name
	keepAlive uint16
	clean     bool
	subs      [][]sub // one SUBSCRIBE each
	c2d       string  // the beginning of topics of messages to it; "" where it gets none
	topic     string  // of telemetry, with the bag
	want      hubwire.Message
	qos       byte   // of requests and answers
	get       string // the body of a GET of the twin
	rid       func(n int) string
	token     func(key hub.Secret) string
}

type sub struct {
	filter string
	qos    byte
}

func guidRID(n int) string  { return fmt.Sprintf("5c3b07e6-0d9a-4a39-8c9e-7d2a3a1f3c%02x", n) }
func plainRID(n int) string { return fmt.Sprint(n) }

const (
	twinRes    = "$iothub/twin/res/#"
	methodPost = "$iothub/methods/POST/#"
	desiredSub = "$iothub/twin/PATCH/properties/desired/#"
)

var mqttSDKs = []*mqttSDK{
	{name: "Python", id: dev, user: "/dev-1/?api-version=2019-10-01&DeviceClientType=azure-iot-device%2F2.12.0%20%28python%203.11.4%3B%20Linux%29", keepAlive: 60,
		subs:  [][]sub{{{c2dFilter, 1}}, {{methodPost, 1}}, {{twinRes, 1}}, {{desiredSub, 1}}},
		topic: "devices/dev-1/messages/events/%24.mid=m%201&%24.cid=c&%24.ct=application%2Fjson&%24.ce=utf-8&a=b%26c&empty=",
		want:  hubwire.Message{ID: "m 1", CorrelationID: "c", ContentType: "application/json", ContentEncoding: "utf-8", Properties: []hubwire.Property{{Name: "a", Value: "b&c"}, {Name: "empty"}}},
		c2d:   "devices/dev-1/messages/devicebound/", qos: 1, get: " ", rid: guidRID, token: tokenNET("localhost/devices/dev-1")},
	{name: "C", id: dev, user: "/dev-1/?api-version=2020-09-30&DeviceClientType=iothubclient%2f1.15.0%20(native%3b%20Linux%3b%20x86_64)&model-id=dtmi%3aa%3ab%3b1", keepAlive: 240,
		subs:  [][]sub{{{c2dFilter, 1}, {twinRes, 0}, {desiredSub, 0}, {methodPost, 0}}},
		topic: "devices/dev-1/messages/events/a=x y/z&%24.cid=c&%24.mid=m1&%24.ct=application/json&%24.ce=utf-8&%24.ctime=2020-01-02T03:04:05.678Z",
		want: hubwire.Message{ID: "m1", CorrelationID: "c", ContentType: "application/json", ContentEncoding: "utf-8", CreationTime: time.Date(2020, 1, 2, 3, 4, 5, 678e6, time.UTC),
			Properties: []hubwire.Property{{Name: "a", Value: "x y/z"}}},
		c2d: "devices/dev-1/messages/devicebound/", rid: plainRID, token: tokenC("localhost/devices/dev-1")},
	{name: "C module", id: mod, user: "/dev-1/mod/?api-version=2020-09-30&DeviceClientType=iothubclient%2f1.15.0", keepAlive: 240,
		subs:  [][]sub{{{twinRes, 0}, {desiredSub, 0}, {methodPost, 0}, {"devices/dev-1/modules/mod/#", 1}}},
		topic: "devices/dev-1/modules/mod/messages/events/%24.on=out",
		want:  hubwire.Message{Output: "out"}, rid: plainRID, token: tokenC("localhost/devices/dev-1/modules/mod")},
	{name: ".NET", id: dev, user: "/dev-1/?api-version=2020-09-30&DeviceClientType=Microsoft.Azure.Devices.Client%2F1.42.0%20%28.NET%208.0.1%3B%20X64%29", keepAlive: 300,
		subs:  [][]sub{{{twinRes, 1}}, {{c2dFilter, 1}}, {{methodPost, 1}}, {{desiredSub, 1}}},
		topic: "devices/dev-1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&%24.mid=m1&null&a=b/",
		want:  hubwire.Message{ID: "m1", ContentType: "application/json", ContentEncoding: "utf-8", Properties: []hubwire.Property{{Name: "null"}, {Name: "a", Value: "b"}}},
		c2d:   "devices/dev-1/messages/devicebound/", rid: guidRID, token: tokenNET("localhost/devices/dev-1")},
	{name: ".NET module", id: mod, user: "/dev-1/mod/?api-version=2020-09-30&DeviceClientType=Microsoft.Azure.Devices.Client%2F1.42.0&auth-chain=dev-1%2Fmod", keepAlive: 300,
		subs:  [][]sub{{{twinRes, 1}}, {{"devices/dev-1/modules/mod/#", 1}}, {{methodPost, 1}}, {{desiredSub, 1}}},
		topic: "devices/dev-1/modules/mod/messages/events/", rid: guidRID, token: tokenNET("localhost/devices/dev-1/modules/mod")},
	{name: "Java", id: dev, user: "/dev-1/?api-version=2020-09-30&model-id=dtmi%3Aa%3Ab%3B1&DeviceClientType=com.microsoft.azure.sdk.iot.iot-device-client%2F2.5.0%20%28Java%29", keepAlive: 230,
		subs:  [][]sub{{{c2dFilter, 1}}, {{twinRes, 1}}, {{desiredSub, 1}}, {{methodPost, 1}}},
		topic: "devices/dev-1/messages/events/$.mid=m1&$.cid=c&$.ce=utf-8&$.ct=application%2Fjson&a%7E=b*c",
		want:  hubwire.Message{ID: "m1", CorrelationID: "c", ContentType: "application/json", ContentEncoding: "utf-8", Properties: []hubwire.Property{{Name: "a~", Value: "b*c"}}},
		c2d:   "devices/dev-1/messages/devicebound/", qos: 1, rid: plainRID, token: tokenJava("localhost/devices/dev-1")},
	{name: "Java module", id: mod, user: "/dev-1/mod/?api-version=2020-09-30&DeviceClientType=com.microsoft.azure.sdk.iot.iot-device-client%2F2.5.0", keepAlive: 230,
		subs:  [][]sub{{{"devices/dev-1/modules/mod/messages/devicebound/#", 1}}, {{twinRes, 1}}, {{desiredSub, 1}}, {{methodPost, 1}}},
		topic: "devices/dev-1/modules/mod/messages/events//", c2d: "devices/dev-1/modules/mod/messages/devicebound/", qos: 1, rid: plainRID,
		token: tokenJava("localhost/devices/dev-1/modules/mod")},
	{name: "Embedded C", id: dev, user: "/dev-1/?api-version=2020-09-30&DeviceClientType=azsdk-c%2F1.5.0", keepAlive: 240,
		subs:  [][]sub{{{"devices/+/messages/devicebound/#", 1}}, {{methodPost, 1}}, {{twinRes, 0}}, {{desiredSub, 1}}},
		topic: "devices/dev-1/messages/events/%24.mid=m1&a=b", want: hubwire.Message{ID: "m1", Properties: []hubwire.Property{{Name: "a", Value: "b"}}},
		c2d: "devices/dev-1/messages/devicebound/", rid: func(n int) string { return "get_twin" + fmt.Sprint(n) }, token: tokenNET("localhost/devices/dev-1")},
}

// mqttWire is a connection on which packets are bytes.
type mqttWire struct {
	t    testing.TB
	sdk  *mqttSDK
	nc   net.Conn
	id   uint16
	rids int
}

// mqttPacket is a packet of a first byte and what follows: texts with their length before them, and bytes as they are.
func mqttPacket(first byte, parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(p))), p...)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, p)
		case byte:
			b = append(b, p)
		case []byte:
			b = append(b, p...)
		}
	}
	return append(binary.AppendUvarint([]byte{first}, uint64(len(b))), b...)
}

func (w *mqttWire) send(first byte, parts ...any) {
	w.t.Helper()
	if _, err := w.nc.Write(mqttPacket(first, parts...)); err != nil {
		w.t.Fatal(err)
	}
}

// read returns the next packet.
func (w *mqttWire) read() []byte {
	w.t.Helper()
	if err := w.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	var head [1]byte
	size, shift := 0, 0
	b := []byte{}
	for i := 0; ; i++ {
		if _, err := io.ReadFull(w.nc, head[:]); err != nil {
			w.t.Fatalf("%x, %v", b, err)
		}
		if b = append(b, head[0]); i == 0 {
			continue
		}
		size |= int(head[0]&0x7f) << shift
		if shift += 7; head[0] < 0x80 {
			break
		}
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(w.nc, rest); err != nil {
		w.t.Fatal(err)
	}
	return append(b, rest...)
}

func (w *mqttWire) want(first byte, parts ...any) {
	w.t.Helper()
	if got, want := w.read(), mqttPacket(first, parts...); !bytes.Equal(got, want) {
		w.t.Fatalf("there came %q, want %q", got, want)
	}
}

// publish sends a PUBLISH, and awaits its PUBACK where there is one.
func (w *mqttWire) publish(qos byte, topic, body string) {
	w.t.Helper()
	if qos == 0 {
		w.send(0x30, topic, []byte(body))
		return
	}
	w.id++
	w.send(0x32, topic, w.id, []byte(body))
	w.want(0x40, w.id)
}

// published reads a PUBLISH.
func (w *mqttWire) published() (topic, body string, id uint16) {
	w.t.Helper()
	b := w.read()
	if b[0]>>4 != 3 {
		w.t.Fatalf("there came %q, want a PUBLISH", b)
	}
	_, n := binary.Uvarint(b[1:])
	qos := b[0] >> 1 & 3
	b = b[1+n:]
	size := binary.BigEndian.Uint16(b)
	topic, b = string(b[2:2+size]), b[2+size:]
	if qos > 0 {
		id, b = binary.BigEndian.Uint16(b), b[2:]
	}
	return topic, string(b), id
}

// connect logs in. The CONNACK must say whether there was a session.
func (sdk *mqttSDK) connect(t testing.TB, h *hub.Hub, nc net.Conn, present byte) *mqttWire {
	t.Helper()
	w := &mqttWire{t: t, sdk: sdk, nc: nc}
	d, err := h.Device(sdk.id)
	if err != nil {
		t.Fatal(err)
	}
	flags := byte(0xc0)
	if sdk.clean {
		flags |= 2
	}
	w.send(0x10, "MQTT", byte(4), flags, sdk.keepAlive, sdk.id.String(), "localhost"+sdk.user, sdk.token(d.PrimaryKey))
	w.want(0x20, present, byte(0))
	return w
}

func (w *mqttWire) subscribe() {
	w.t.Helper()
	for _, filters := range w.sdk.subs {
		w.id++
		parts, codes := []any{w.id}, []any{w.id}
		for _, f := range filters {
			parts, codes = append(parts, f.filter, f.qos), append(codes, f.qos)
		}
		w.send(0x82, parts...)
		w.want(0x90, codes...)
	}
}

// works has the connection do all that it is for.
func (w *mqttWire) works(h *hub.Hub) {
	w.t.Helper()
	sdk := w.sdk
	before := len(events(w.t, h))
	w.publish(1, sdk.topic, "hi")
	w.publish(0, sdk.topic, "hi")
	w.send(0xc0)
	w.want(0xd0)
	want := sdk.want
	want.Body = []byte("hi")
	evs := events(w.t, h)[before:]
	if len(evs) != 2 {
		w.t.Fatalf("%d events", len(evs))
	}
	for _, ev := range evs {
		if diff := cmp.Diff(want, ev.Message, cmpopts.EquateEmpty()); diff != "" || ev.Source != sdk.id || (ev.ModelID != "") != strings.Contains(sdk.user, "model-id") {
			w.t.Errorf("from %v, model %q (-want +got)\n%s", ev.Source, ev.ModelID, diff)
		}
	}
	w.twin(h)
	w.methods(h)
	w.messages(h)
}

func (w *mqttWire) nextRID() string {
	w.rids++
	return w.sdk.rid(w.rids)
}

func (w *mqttWire) twin(h *hub.Hub) {
	w.t.Helper()
	rid := w.nextRID()
	w.publish(w.sdk.qos, "$iothub/twin/GET/?$rid="+rid, w.sdk.get)
	topic, body, _ := w.published()
	if topic != "$iothub/twin/res/200/?$rid="+rid || !strings.HasPrefix(body, `{"desired":{`) || !strings.Contains(body, `"reported":{`) {
		w.t.Errorf("%s %s", topic, body)
	}
	rid = w.nextRID()
	w.publish(w.sdk.qos, "$iothub/twin/PATCH/properties/reported/?$rid="+rid, `{"n":1,"gone":null}`)
	topic, body, _ = w.published()
	version, ok := strings.CutPrefix(topic, "$iothub/twin/res/204/?$rid="+rid+"&$version=")
	if !ok || body != "" || strings.Trim(version, "0123456789") != "" {
		w.t.Errorf("%s %q", topic, body)
	}
	rid = w.nextRID()
	w.publish(w.sdk.qos, "$iothub/twin/PATCH/properties/reported/?$rid="+rid, `{"a`)
	if topic, body, _ = w.published(); topic != "$iothub/twin/res/400/?$rid="+rid || !strings.Contains(body, `"errorCode":400`) {
		w.t.Errorf("%s %q", topic, body)
	}
	desire(w.t.(*testing.T), h, w.sdk.id, `{"b":2}`)
	topic, body, _ = w.published()
	if version, ok := strings.CutPrefix(topic, "$iothub/twin/PATCH/properties/desired/?$version="); !ok || body != `{"b":2,"$version":`+version+`}` {
		w.t.Errorf("%s %q", topic, body)
	}
}

func (w *mqttWire) methods(h *hub.Hub) {
	w.t.Helper()
	type result struct {
		res *hubwire.MethodResponse
		err error
	}
	for _, payload := range []string{`{"in":1}`, ""} {
		done := make(chan result, 1)
		go func() {
			res, err := h.Invoke(w.t.Context(), w.sdk.id, hubwire.MethodRequest{Name: "getMax-Min", Payload: []byte(payload)}, nil)
			done <- result{res, err}
		}()
		topic, body, _ := w.published()
		rid, ok := strings.CutPrefix(topic, "$iothub/methods/POST/getMax-Min/?$rid=")
		if !ok || body != payload || rid == "" || strings.ContainsAny(rid, "&/?") {
			w.t.Fatalf("%s %q", topic, body)
		}
		w.publish(w.sdk.qos, "$iothub/methods/res/200/?$rid="+rid, `{"out":1}`)
		if got := <-done; got.err != nil || got.res.Status != 200 || string(got.res.Payload) != `{"out":1}` {
			w.t.Errorf("%+v", got)
		}
	}
}

// messages has a message come, and for modules with inputs one of those.
func (w *mqttWire) messages(h *hub.Hub) {
	w.t.Helper()
	m := &hubwire.Message{ID: "m", Body: []byte("hi"), Properties: []hubwire.Property{{Name: "a", Value: "b c"}}}
	prefix, send := w.sdk.c2d, func() error { return h.SendC2D(w.t.Context(), w.sdk.id, m) }
	if prefix == "" {
		prefix, send = "devices/dev-1/modules/mod/inputs/in/", func() error { return h.SendInput(w.t.Context(), w.sdk.id, "in", m) }
	}
	if err := send(); err != nil {
		w.t.Fatal(err)
	}
	topic, body, id := w.published()
	bag, ok := strings.CutPrefix(topic, prefix)
	if !ok || body != "hi" || id == 0 || id >= 0x8000 || !strings.HasPrefix(bag, "%24.") || !strings.Contains(bag, "%24.to=%2Fdevices%2Fdev-1") || !strings.HasSuffix(bag, "&a=b%20c") {
		w.t.Fatalf("%s %q, id %d", topic, body, id)
	}
	w.send(0x40, id)
	w.send(0xc0)
	w.want(0xd0)
	if n := queueLength(w.t, h, w.sdk.id); n != 0 {
		w.t.Errorf("queue length %d", n)
	}
}

// roads are how the SDKs reach the hub.
var roads = map[string]func(testing.TB, *hub.Hub) net.Conn{
	"over TCP":                  func(t testing.TB, h *hub.Hub) net.Conn { return dialTLS(t, h, "8883", nil) },
	"over a WebSocket":          func(t testing.TB, h *hub.Hub) net.Conn { return dialWebSocket(t, h, &wsShapes[0], 1<<20) },
	"over a WebSocket in bits":  func(t testing.TB, h *hub.Hub) net.Conn { return dialWebSocket(t, h, &wsShapes[1], 3) },
	"over TCP, byte after byte": func(t testing.TB, h *hub.Hub) net.Conn { return slowWriter{dialTLS(t, h, "8883", nil)} },
}

// TestShapeMQTT has each SDK live: it connects, subscribes and works, loses its connection, and works again with the
// subscriptions that the hub kept, takes itself over, and says good-bye.
func TestShapeMQTT(t *testing.T) {
	for _, sdk := range mqttSDKs {
		for road, dial := range roads {
			t.Run(sdk.name+" "+road, func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, h *hub.Hub) {
					w := sdk.connect(t, h, dial(t, h), 0)
					w.subscribe()
					w.works(h)
					w.nc.Close()
					w = sdk.connect(t, h, dial(t, h), 1)
					w.works(h)
					old := w
					w = sdk.connect(t, h, dial(t, h), 1)
					if n, err := old.nc.Read(make([]byte, 1)); err == nil {
						t.Errorf("%d bytes for who was taken over", n)
					}
					w.subscribe() // as .NET does, and who is new to the connection
					w.works(h)
					w.send(0xe0)
					if n, err := w.nc.Read(make([]byte, 1)); err == nil {
						t.Errorf("%d bytes behind DISCONNECT", n)
					}
					if synctest.Wait(); h.Connected(sdk.id) {
						t.Error("it is still connected")
					}
				})
			})
		}
	}
}
