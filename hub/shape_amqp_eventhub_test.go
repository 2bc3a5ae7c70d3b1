package hub_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
)

// reader is how an SDK of Event Hubs reads: what it asks of the answers' ids, and how it names its filter.
type ehReader struct {
	amqpSDK
	mgmtID     any
	mgmtNode   string
	descriptor any
	epoch      any
	capability any
}

var ehReaders = []ehReader{
	{amqpSDK{name: ".NET", sasl: "MSSBCBS", open: list{uint32(65536), uint16(4999), uint32(60000)}, begin: list{uint32(1), uint32(5000), uint32(5000), uint32(262143)},
		scheme: "amqps://localhost:5671/", putID: func(n int) any { return "request" + string(rune('1'+n)) }, putType: "servicebus.windows.net:sastoken",
		putName: "amqps://localhost:5671/localhost/ConsumerGroups/$Default/Partitions/0", putProps: sdkNET.putProps, putExpiry: true},
		"request9", "$management", uint64(0x0000468C00000004), int64(3), array{sym("com.microsoft:enable-receiver-runtime-metric")}},
	{amqpSDK{name: "Python, by uAMQP", sasl: "MSSBCBS", open: sdkC.open, begin: sdkC.begin, snd: uint8(0), rcv: uint8(0), scheme: "amqps://localhost/",
		putID: sdkC.putID, putType: "servicebus.windows.net:sastoken", putName: "sb://localhost/localhost"},
		uint64(0), "$management", sym("apache.org:selector-filter:string"), int64(3), sym("com.microsoft:enable-receiver-runtime-metric")},
	{amqpSDK{name: "Java, by proton", sasl: "ANONYMOUS", encoder: encoder{wide: true}, open: sdkJava.open, begin: sdkJava.begin, scheme: "",
		putID: func(n int) any { return uint64(n + 1) }, putType: "servicebus.windows.net:sastoken", putName: "amqp://localhost/localhost", putProps: list{nil, nil, nil, "cbs"}},
		uint64(77), "$management", sym("apache.org:selector-filter:string"), int64(3), nil},
	{amqpSDK{name: "an older .NET, by the hub's own name", sasl: "PLAIN", open: list{uint32(65536), uint16(8191)}, begin: list{uint32(1), uint32(5000), uint32(5000)}, scheme: ""},
		guid{1}, "localhost/$management", uint64(0x0000468C00000004), int64(3), nil},
}

func (r *ehReader) login(t *testing.T, h *hub.Hub) *script {
	t.Helper()
	key := policyKey(t, h, "service")
	s := newScript(t, &r.amqpSDK, dialTLS(t, h, "5671", nil))
	if r.sasl == "PLAIN" {
		s.login([]byte("\x00service\x00" + key.Reveal()))
		return s
	}
	s.login(nil)
	// The token is for the event hub, whatever the link is that it is put for.
	s.putText(r.putName, textToken(key, "amqps://localhost/localhost", "service"), "200")
	return s
}

// ask asks $management over links that are there.
func (r *ehReader) ask(s *script, out uint32, request pairs) received {
	s.t.Helper()
	m := s.sdk.encoder.message(sec(secProperties, list{r.mgmtID, nil, nil, nil, "mgmt-reply"}), sec(secApplication, request), sec(secValue, nil))
	s.settled(0, s.deliver(0, out, 0, false, m), stAccepted)
	a := s.receive(0)
	if status, _ := a.application("status-code").(int32); a.property(5) != r.mgmtID || status != 200 {
		s.t.Fatalf("%v: %v for %v", request, a.sections[secApplication], a.property(5))
	}
	if !a.settled {
		s.send(0, fDisposition, true, a.id, a.id, true, described{stAccepted, list{}})
	}
	return a
}

// partition attaches a link to partition 0, with a filter and an owner level, and gives credit.
func (r *ehReader) partition(s *script, filter string, epoch any, credit uint32) uint32 {
	s.t.Helper()
	handle := s.handles[0]
	s.handles[0]++
	source := list{r.scheme + "localhost/ConsumerGroups/$Default/Partitions/0", nil, nil, nil, nil, nil, nil,
		pairs{sym("apache.org:selector-filter:string"), described{r.descriptor, filter}}}
	props := pairs{sym("com.microsoft:receiver-name"), "reader-1", sym("com.microsoft:timeout"), uint32(60000)}
	if epoch != nil {
		props = append(props, sym("com.microsoft:epoch"), epoch)
	}
	s.send(0, fAttach, "reader-"+filter+string(rune('a'+handle)), handle, true, nil, nil, described{uint64(0x28), source}, described{uint64(0x29), list{"me"}}, nil, nil, nil, uint64(1<<20), nil, r.capability, props)
	a, _ := s.await(0, fAttach)
	_, got := inner(a.field(5))
	if f, _ := got.field(7).(pairs); len(f) != 2 || f[1] != (described{r.descriptor, filter}) {
		s.t.Fatalf("the filter came back as %v", got)
	}
	s.send(0, fFlow, s.in[0], uint32(5000), s.out[0], uint32(5000), handle, a.field(9), credit)
	return handle
}

// TestShapeEventHub has readers of each kind list and read events, and take a partition from each other.
func TestShapeEventHub(t *testing.T) {
	for _, r := range ehReaders {
		t.Run(r.name, func(t *testing.T) {
			eventBubble(t, hub.Config{}, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				begin := time.Now()
				for _, body := range []string{"0", "1", "2"} {
					p.telemeter(h, telemetryTopic+"%24.mid=m"+body+"&%24.cid=c&%24.uid=u&%24.ct=application%2Fjson&a=b", body)
					time.Sleep(time.Second)
				}
				s := r.login(t, h)
				s.link(0, true, "mgmt-in", r.mgmtNode, 50, nil, nil, nil)
				out := s.link(0, false, "mgmt-out", r.mgmtNode, 0, nil, nil, nil)
				a := r.ask(s, out, pairs{"operation", "READ", "type", "com.microsoft:eventhub", "name", "localhost", "security_token", "x"})
				value, _ := a.sections[secValue].(pairs)
				ids, isArray := value.get("partition_ids").(array)
				_, isTime := value.get("created_at").(stamp)
				_, isInt := value.get("partition_count").(int32)
				if !isArray || len(ids) != 1 || ids[0] != "0" || value.get("name") != "localhost" || !isTime || !isInt {
					t.Errorf("event hub %v", value)
				}
				a = r.ask(s, out, pairs{"operation", "READ", "type", "com.microsoft:partition", "name", "localhost", "partition", "0"})
				value, _ = a.sections[secValue].(pairs)
				offset, isText := value.get("last_enqueued_offset").(string)
				_, isTime = value.get("last_enqueued_time_utc").(stamp)
				last, isLong := value.get("last_enqueued_sequence_number").(int64)
				if _, ok := value.get("begin_sequence_number").(int64); !ok || !isText || !isTime || !isLong || value.get("is_partition_empty") != false {
					t.Errorf("partition %v", value)
				}
				if last != 2 {
					t.Errorf("the last is %d", last)
				}
				for filter, want := range map[string]string{
					"amqp.annotation.x-opt-offset > '-1'":                                                       "012",
					"amqp.annotation.x-opt-offset > '" + offset + "'":                                           "",
					"amqp.annotation.x-opt-offset >= '" + offset + "'":                                          "2",
					"amqp.annotation.x-opt-offset > '@latest'":                                                  "",
					"amqp.annotation.x-opt-sequence-number > '0'":                                               "12",
					"amqp.annotation.x-opt-sequence-number >= '1'":                                              "12",
					"amqp.annotation.x-opt-sequence-number > '-1'":                                              "012",
					"amqp.annotation.x-opt-enqueued-time > '" + msText(begin.Add(500*time.Millisecond)) + "'":   "12",
					"amqp.annotation.x-opt-enqueuedtimeutc > '" + msText(begin.Add(-time.Second)) + "'":         "012",
					"amqp.annotation.x-opt-enqueued-time >= '" + msText(begin.Add(1500*time.Millisecond)) + "'": "2",
				} {
					link := r.partition(s, filter, nil, 100)
					for _, body := range want {
						r.event(s, string(body))
					}
					s.send(0, fDetach, link, true)
					s.await(0, fDetach) // and no event before it
				}
				// A higher level takes the partition.
				r.partition(s, "amqp.annotation.x-opt-offset > '-1'", r.epoch, 1)
				r.event(s, "0")
				thief := r.login(t, h)
				r.partition(thief, "amqp.annotation.x-opt-offset > '-1'", int64(4), 100)
				d, _ := s.await(0, fDetach)
				if _, e := inner(d.field(2)); e.field(0) != sym("amqp:link:stolen") || d.field(1) != true {
					t.Errorf("detach %v", d)
				}
				r.event(thief, "0")
			})
		})
	}
}

func msText(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// event awaits an event, as all readers need it.
func (r *ehReader) event(s *script, body string) {
	s.t.Helper()
	m := s.receive(0)
	_, seq := m.annotation("x-opt-sequence-number").(int64)
	_, off := m.annotation("x-opt-offset").(string)
	_, at := m.annotation("x-opt-enqueued-time").(stamp)
	_, hubAt := m.annotation("iothub-enqueuedtime").(stamp)
	if !seq || !off || !at || !hubAt || m.body() != body || m.data != 1 || m.annotation("iothub-connection-device-id") != "dev-1" || m.annotation("iothub-message-source") != "Telemetry" ||
		m.property(0) != "m"+body || m.property(5) != "c" || m.property(6) != sym("application/json") || m.application("a") != "b" {
		s.t.Fatalf("%+v", m)
	}
	if method, _ := m.annotation("iothub-connection-auth-method").(string); !strings.HasPrefix(method, `{"scope":"device"`) {
		s.t.Errorf("auth method %q", method)
	}
	if !m.settled {
		s.send(0, fDisposition, true, m.id, m.id, true, described{stAccepted, list{}})
	}
}

// TestShapeEventHubRedirect has a reader that knows the hub's name only, whose redirect C and Python follow.
func TestShapeEventHubRedirect(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		s, ch := sdkServiceC.service(t, h)
		for i, address := range []string{"amqps://localhost/messages/events/ConsumerGroups/$Default/Partitions/0", "amqps://localhost/messages/events/$management"} {
			s.send(ch, fAttach, address, uint32(i), true, nil, nil, described{uint64(0x28), list{address}}, described{uint64(0x29), list{"x"}})
			a, _ := s.await(ch, fAttach)
			d, _ := s.await(ch, fDetach)
			_, e := inner(d.field(2))
			info, _ := e.field(2).(pairs)
			want := strings.Replace(strings.Replace(address, "messages/events", "localhost", 1), "localhost/", "localhost:5671/", 1)
			if a.field(5) != nil || e.field(0) != sym("amqp:link:redirect") || info.get(sym("hostname")) != "localhost" || info.get(sym("port")) != uint32(5671) || info.get(sym("address")) != want {
				t.Errorf("%v, want %s", e, want)
			}
			s.send(ch, fDetach, uint32(i), true)
		}
	})
}
