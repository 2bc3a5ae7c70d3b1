package hub_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// Sections 4, telemetry, 5, messages to a device, 6, direct methods, 8, modules,
// and 10, Plug and Play.

// takes is a rule that telemetry is taken at a topic, whose property, if any, is a=b.
func takes(id hubwire.Identity, says, topic string) rule {
	return rule{"4 telemetry", "it is taken at " + says, nil, func(t *testing.T, h *hub.Hub) {
		ev := connect(t, h, id, nil).telemeter(h, topic, "hi")
		if v, _ := ev.Property("a"); ev.Source != id || v != "b" == strings.Contains(topic, "a=b") {
			t.Errorf("from %v: %v", ev.Source, ev.Properties)
		}
	}}
}

var telemetryRules = []rule{
	takes(dev, "devices/{id}/messages/events/ with a bag", telemetryTopic+"a=b"),
	takes(dev, "devices/{id}/messages/events/ without a bag", telemetryTopic),
	takes(dev, "devices/{id}/messages/events without the last slash", strings.TrimSuffix(telemetryTopic, "/")),
	takes(dev, "the topic with a bag and a slash behind it", telemetryTopic+"a=b/"),
	takes(dev, "the topic with one slash before it", "/"+telemetryTopic+"a=b"),
	takes(mod, "devices/{id}/modules/{id}/messages/events/ with a bag", moduleTopic+"a=b"),
	takes(mod, "devices/{id}/modules/{id}/messages/events without the last slash", strings.TrimSuffix(moduleTopic, "/")),
	takes(mod, "a module's topic with two slashes behind it, as Java sends it", moduleTopic+"/"),
	{"4 telemetry", "an empty payload is taken", nil, func(t *testing.T, h *hub.Hub) {
		if ev := connect(t, h, dev, nil).telemeter(h, telemetryTopic, ""); len(ev.Body) != 0 {
			t.Errorf("body %q", ev.Body)
		}
	}},
	{"4 telemetry", "content type and encoding, for routing, and a module's output stand in system properties", nil, func(t *testing.T, h *hub.Hub) {
		ev := connect(t, h, mod, nil).telemeter(h, moduleTopic+"%24.on=out&$.ct=application%2Fjson%3Bcharset%3Dutf-8&$.ce=utf-8", "{}")
		if ev.Output != "out" || ev.ContentType != "application/json;charset=utf-8" || ev.ContentEncoding != "utf-8" {
			t.Errorf("%+v", ev.Message)
		}
	}},
	{"4 telemetry", "a device's messages are in the log in the order in which it sent them", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		for i := range 50 {
			p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), Payload: fmt.Append(nil, i), QoS: 1, ID: uint16(i + 1)})
		}
		for i := range 50 {
			p.puback(uint16(i + 1)) // and PUBACKs come in that order
		}
		for i, ev := range events(t, h) {
			if string(ev.Body) != fmt.Sprint(i) {
				t.Fatalf("event %d is %s", i, ev.Body)
			}
		}
	}},
	{"4 telemetry", "a will is telemetry with iothub-MessageType=Will, of a connection that ends without DISCONNECT", nil, func(t *testing.T, h *hub.Hub) {
		withWill := func(m *mqtt.Connect) {
			m.Will = mqtt.Will{Topic: []byte(telemetryTopic + "a=b"), Payload: []byte("gone"), QoS: 1, Retain: true}
		}
		connect(t, h, dev, withWill).bye()
		connect(t, h, dev, withWill)
		connect(t, h, dev, nil) // takes over
		synctest.Wait()
		want := hubwire.Message{Body: []byte("gone"), Properties: []hubwire.Property{
			{Name: "a", Value: "b"}, {Name: "mqtt-retain", Value: "true"}, {Name: "iothub-MessageType", Value: "Will"},
		}}
		evs := events(t, h)
		if len(evs) != 1 {
			t.Fatalf("%d events", len(evs))
		}
		if diff := cmp.Diff(want, evs[0].Message); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}},
	{"4 telemetry", "a will is not published when its device is deleted", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, func(m *mqtt.Connect) { m.Will = mqtt.Will{Topic: []byte(telemetryTopic), Payload: []byte("gone")} })
		if err := h.Delete(t.Context(), dev); err != nil {
			t.Fatal(err)
		}
		p.closed()
		synctest.Wait()
		if evs := events(t, h); len(evs) > 0 {
			t.Errorf("%d events, the first %q", len(evs), evs[0].Body)
		}
	}},
	{"4 telemetry", "a will is in the log before what the connection that takes over sends, be it with its CONNECT", nil, func(t *testing.T, h *hub.Hub) {
		connect(t, h, dev, func(m *mqtt.Connect) { m.Will = mqtt.Will{Topic: []byte(telemetryTopic), Payload: []byte("gone")} })
		p := open(t, h, nil)
		p.write(connectPacket(t, h, dev), &mqtt.Publish{Topic: []byte(telemetryTopic), Payload: []byte("back"), QoS: 1, ID: 1})
		p.connack()
		p.puback(1)
		synctest.Wait()
		var bodies []string
		for _, ev := range events(t, h) {
			bodies = append(bodies, string(ev.Body))
		}
		if want := []string{"gone", "back"}; !slices.Equal(bodies, want) {
			t.Errorf("%q, want %q", bodies, want)
		}
	}},
}

// reaches is a rule that messages to an identity come on a topic when it subscribes to a filter.
func reaches(id hubwire.Identity, says, filter, topic string) rule {
	return rule{"5 C2D", says, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, id, nil)
		p.subscribe(filter)
		if err := h.SendC2D(t.Context(), id, &hubwire.Message{Body: []byte("hi")}); err != nil {
			t.Fatal(err)
		}
		m := p.expect("hi", 1, false)
		if string(m.Topic) != topic {
			t.Errorf("topic %q", m.Topic)
		}
		p.ack(m)
		if n := queueLength(t, h, id); n != 0 {
			t.Errorf("queue length %d", n)
		}
	}}
}

var c2dRules = []rule{
	reaches(dev, "it comes by devices/{id}/messages/devicebound/#", c2dFilter, "devices/dev-1/messages/devicebound/"+toDev),
	reaches(dev, "it comes by the filter of the Embedded C SDK, with a plus for the id, on the same topic", "devices/+/messages/devicebound/#",
		"devices/dev-1/messages/devicebound/"+toDev),
	reaches(mod, "it comes to a module by the filter of the Java SDK", "devices/dev-1/modules/mod/messages/devicebound/#",
		"devices/dev-1/modules/mod/messages/devicebound/%24.to=%2Fdevices%2Fdev-1%2Fmodules%2Fmod%2Fmessages%2Fdevicebound"),
	{"5 C2D", "what is for a module does not come to its device, nor the other way round", nil, func(t *testing.T, h *hub.Hub) {
		d, m := connect(t, h, dev, nil), connect(t, h, mod, nil)
		d.subscribe(c2dFilter)
		m.subscribe("devices/dev-1/modules/mod/messages/devicebound/#")
		sendC2D(t, h, dev, "device")
		sendC2D(t, h, mod, "module")
		d.expect("device", 1, false)
		m.expect("module", 1, false)
		d.silent()
		m.silent()
	}},
}

func methodRules() []rule {
	const section = "6 methods"
	// named is a rule that a method's name comes as part of the topic.
	named := func(says, name, want string) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			done := invoke(t, h, name, "", nil)
			got, rid, _ := p.request()
			if got != want {
				t.Errorf("the name came as %q", got)
			}
			p.respond(200, rid, "", 0)
			if got := <-done; got.err != nil {
				t.Error(got.err)
			}
		}}
	}
	// answered is a rule of what an answer becomes.
	answered := func(says string, status int, payload string, qos mqtt.QoS, wantPayload string) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			done := invoke(t, h, "m", `{"in":5}`, nil)
			_, rid, m := p.request()
			if string(m.Payload) != `{"in":5}` {
				t.Errorf("request %s", m.Payload)
			}
			p.respond(status, rid, payload, qos)
			if got := <-done; got.err != nil || got.res.Status != status || string(got.res.Payload) != wantPayload {
				t.Errorf("%+v", got)
			}
		}}
	}
	return []rule{
		{section, "the request id is lower-case hexadecimal, ends the topic, and is another each time", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			var rids []string
			for range 20 {
				invoke(t, h, "m", "", nil)
				_, rid, _ := p.request()
				if rid == "" || strings.Trim(rid, "0123456789abcdef-") != "" || slices.Contains(rids, rid) {
					t.Errorf("request id %q", rid)
				}
				rids = append(rids, rid)
			}
		}},
		named("a name of letters, digits and what else needs no escape stands in the topic as it is", "getMax-Min_Report.2~", "getMax-Min_Report.2~"),
		named("a Plug and Play command keeps its asterisk", "thermostat1*getReport", "thermostat1*getReport"),
		named("a name that no topic can hold is percent-encoded", "a/b +#?%é\x00", "a%2Fb%20%2B%23%3F%25%C3%A9%00"),
		answered("an answer at QoS 0 is taken", 200, `{"ok":true}`, 0, `{"ok":true}`),
		answered("an answer at QoS 1 is taken, and acknowledged", 200, `"yes"`, 1, `"yes"`),
		answered("an answer may be empty", 200, "", 0, ""),
		answered("a status is any number that the device likes, of 32 bits", -1, "1", 0, "1"),
		answered("a status of five digits is one too", 65535, "", 0, ""),
		closesTopic(section, "an answer whose status is no number of 32 bits closes the connection", "$iothub/methods/res/2147483648/?$rid=1"),
		closesTopic(section, "an answer without a request id closes the connection", "$iothub/methods/res/200/?$rid="),
		{section, "a request may be empty", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			invoke(t, h, "m", "", nil)
			if _, _, m := p.request(); len(m.Payload) != 0 {
				t.Errorf("payload %q", m.Payload)
			}
		}},
		{section, "an answer that nobody waits for, or that comes twice or too late, is ignored", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			done := invoke(t, h, "m", "", nil)
			_, rid, _ := p.request()
			p.respond(200, "ffff", "1", 1)
			p.respond(200, "nothing of the hub's", "1", 1)
			p.respond(201, rid, "2", 1)
			p.respond(202, rid, "3", 1)
			if got := <-done; got.err != nil || got.res.Status != 201 {
				t.Errorf("%+v", got)
			}
			done = invoke(t, h, "m", "", nil)
			_, rid, _ = p.request()
			if got := <-done; !errors.Is(got.err, hubwire.GatewayTimeout) {
				t.Errorf("error %v", got.err)
			}
			p.respond(200, rid, "4", 1)
			p.ping()
		}},
		{section, "an answer of another device is ignored", nil, func(t *testing.T, h *hub.Hub) {
			p, q := connect(t, h, dev, nil), connect(t, h, other, nil)
			p.subscribe(methodFilter)
			done := invoke(t, h, "m", "", nil)
			_, rid, _ := p.request()
			q.respond(200, rid, `"mine"`, 1)
			p.respond(200, rid, `"hers"`, 1)
			if got := <-done; got.err != nil || string(got.res.Payload) != `"hers"` {
				t.Errorf("%+v", got)
			}
		}},
		{section, "an answer that is no JSON fails the call, and costs the device nothing", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			done := invoke(t, h, "m", "", nil)
			_, rid, _ := p.request()
			p.respond(200, rid, "{", 1)
			if got := <-done; !errors.Is(got.err, hubwire.Code(502000)) {
				t.Errorf("error %v", got.err)
			}
			p.ping()
		}},
		{section, "a device that does not answer in time is a GatewayTimeout, 504101", nil, func(t *testing.T, h *hub.Hub) {
			connect(t, h, dev, nil).subscribe(methodFilter)
			start := time.Now()
			if got := <-invoke(t, h, "m", "", &hub.InvokeOptions{ResponseTimeout: 5 * time.Second}); got.err == nil || !errors.Is(got.err, hubwire.GatewayTimeout) {
				t.Errorf("error %v", got.err)
			}
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("it took %v", took)
			}
		}},
		{section, "a device that is not connected, or not subscribed, is DeviceNotOnline, 404103", nil, func(t *testing.T, h *hub.Hub) {
			for range 2 {
				if got := <-invoke(t, h, "m", "", nil); !errors.Is(got.err, hubwire.DeviceNotOnline) {
					t.Errorf("error %v", got.err)
				}
				connect(t, h, dev, nil)
			}
		}},
		{section, "a call can wait for the device to connect and subscribe", nil, func(t *testing.T, h *hub.Hub) {
			done := invoke(t, h, "m", "", &hub.InvokeOptions{ConnectTimeout: time.Minute})
			time.Sleep(30 * time.Second)
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			_, rid, _ := p.request()
			p.respond(200, rid, "", 0)
			if got := <-done; got.err != nil {
				t.Error(got.err)
			}
		}},
	}
}

func moduleRules() []rule {
	const section = "8 modules"
	input := func(says, filter string) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, mod, nil)
			p.subscribe(filter)
			if err := h.SendInput(t.Context(), mod, "in", &hubwire.Message{Body: []byte("hi")}); err != nil {
				t.Fatal(err)
			}
			m := p.expect("hi", 1, false)
			const want = "devices/dev-1/modules/mod/inputs/in/%24.to=%2Fdevices%2Fdev-1%2Fmodules%2Fmod%2Finputs%2Fin"
			if string(m.Topic) != want {
				t.Errorf("topic %q", m.Topic)
			}
			p.ack(m)
			if n := queueLength(t, h, mod); n != 0 {
				t.Errorf("queue length %d", n)
			}
		}}
	}
	routes := &hub.Config{Routes: []hub.Route{{From: dev, Output: "out", To: mod, Input: "in"}}}
	return []rule{
		input("inputs come by devices/{id}/modules/{id}/inputs/#, and PUBACK takes them", inputsFilter),
		input("inputs come by the filter of the C and .NET SDKs, devices/{id}/modules/{id}/#", "devices/dev-1/modules/mod/#"),
		{section, "the name of an input is percent-encoded, as Python reads it", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, mod, nil)
			p.subscribe(inputsFilter)
			if err := h.SendInput(t.Context(), mod, "in/1 é+", &hubwire.Message{Body: []byte("hi")}); err != nil {
				t.Fatal(err)
			}
			m := p.expect("hi", 1, false)
			if !strings.HasPrefix(string(m.Topic), "devices/dev-1/modules/mod/inputs/in%2F1%20%C3%A9%2B/%24.to=") {
				t.Errorf("topic %q", m.Topic)
			}
		}},
		{section, "an input says whom it is from, system properties first", routes, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, mod, nil)
			p.subscribe(inputsFilter)
			connect(t, h, dev, nil).telemeter(h, telemetryTopic+"%24.on=out&a=b&%24.sub=comp&%24.mid=7", "hi")
			bag := strings.TrimPrefix(string(p.expect("hi", 1, false).Topic), "devices/dev-1/modules/mod/inputs/in/")
			for _, want := range []string{"%24.mid=7", "%24.sub=comp", "%24.cdid=dev-1", "a=b"} {
				if !slices.Contains(strings.Split(bag, "&"), want) {
					t.Errorf("%q lacks %s", bag, want)
				}
			}
			if !strings.HasPrefix(bag, "%24.") || strings.Index(bag, "a=b") < strings.LastIndex(bag, "%24.") {
				t.Errorf("the order of %q", bag)
			}
		}},
		{section, "twin and method topics are the device's, and the connection says whose they are", nil, func(t *testing.T, h *hub.Hub) {
			d, m := connect(t, h, dev, nil), connect(t, h, mod, nil)
			m.subscribe(twinResponses, methodFilter, desiredFilter)
			d.subscribe(twinResponses, methodFilter, desiredFilter)
			if topic, _ := m.ask(patchTopic+"1", `{"mine":1}`, 1); topic != "$iothub/twin/res/204/?$rid=1&$version=2" {
				t.Errorf("topic %s", topic)
			}
			if _, body := d.ask(getTopic+"1", "", 1); strings.Contains(body, "mine") {
				t.Errorf("the device's twin is %s", body)
			}
			desire(t, h, mod, `{"a":1}`)
			if change := m.publish(); string(change.Payload) != `{"a":1,"$version":2}` {
				t.Errorf("change %s", change.Payload)
			}
			invoke(t, h, "m", "", nil)
			d.request()
			m.ping()
		}},
		{section, "a module and its device are connected side by side", nil, func(t *testing.T, h *hub.Hub) {
			d, m := connect(t, h, dev, nil), connect(t, h, mod, nil)
			d.ping()
			m.ping()
		}},
		{section, "a module has a topic for telemetry and a will of its own", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, mod, func(m *mqtt.Connect) { m.Will = mqtt.Will{Topic: []byte(moduleTopic)} })
			p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
			p.closed()
			synctest.Wait()
			if evs := events(t, h); len(evs) != 1 || evs[0].Source != mod {
				t.Errorf("%d events", len(evs))
			}
		}},
	}
}

func pnpRules() []rule {
	const section, model = "10 Plug and Play", "dtmi:com:example:Thermostat;1"
	announces := func(says, param string) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, func(m *mqtt.Connect) { m.UserName = append(m.UserName, "&model-id="+param...) })
			ev := p.telemeter(h, telemetryTopic, "hi")
			twin, err := h.Twin(t.Context(), dev)
			if err != nil || twin.ModelID != model || ev.ModelID != model {
				t.Errorf("model id %q of the twin, %q of the event, %v", twin.ModelID, ev.ModelID, err)
			}
			p.bye()
			if ev := connect(t, h, dev, nil).telemeter(h, telemetryTopic, "again"); ev.ModelID != "" {
				t.Errorf("a connection that announces nothing has %q", ev.ModelID)
			}
		}}
	}
	return []rule{
		announces("a model in the user name is the twin's modelId, and telemetry's dt-dataschema", "dtmi%3Acom%3Aexample%3AThermostat%3B1"),
		announces("a model may come unescaped, as from Node", model),
		{section, "a component is telemetry's dt-subject", nil, func(t *testing.T, h *hub.Hub) {
			if ev := connect(t, h, dev, nil).telemeter(h, telemetryTopic+"%24.sub=thermostat1", "{}"); ev.Component != "thermostat1" {
				t.Errorf("component %q", ev.Component)
			}
		}},
		{section, "properties of components and acknowledgements are reported as they come", nil, func(t *testing.T, h *hub.Hub) {
			const patch = `{"thermostat1":{"__t":"c","target":{"ac":200,"av":7,"ad":"ok","value":21.3}}}`
			p := connect(t, h, dev, nil)
			p.subscribe(twinResponses)
			p.ask(patchTopic+"1", patch, 0)
			if twin, err := h.Twin(t.Context(), dev); err != nil || string(twin.Reported.JSON) != patch {
				t.Errorf("reported %s, %v", twin.Reported.JSON, err)
			}
		}},
		{section, "a desired change of a component comes with what the service wrote, and $version", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(desiredFilter)
			desire(t, h, dev, `{"thermostat1":{"__t":"c","target":21.3}}`)
			if m := p.publish(); string(m.Payload) != `{"thermostat1":{"__t":"c","target":21.3},"$version":2}` {
				t.Errorf("change %s", m.Payload)
			}
		}},
	}
}
