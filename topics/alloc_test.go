package topics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/topics"
)

func TestParseDoesNotAllocate(t *testing.T) {
	pairs, room := make([]topics.Pair, 0, 64), make([]byte, 0, 4096)
	for _, v := range valid {
		topic := []byte(v.topic)
		id := hubwire.Identity{DeviceID: v.want.Device, ModuleID: v.want.Module}
		n := 0
		testkit.NoAllocs(t, v.name, func() {
			parsed, err := topics.Parse(topic)
			if err != nil {
				t.Fatal(err)
			}
			version, _ := parsed.Version()
			wait, _ := parsed.RetryAfter()
			n += len(parsed.DeviceID()) + len(parsed.ModuleID()) + len(parsed.Name()) + len(parsed.RequestID()) +
				len(parsed.VersionText()) + len(parsed.OperationID()) + int(version) + int(wait) + parsed.Status()
			if parsed.Is(id) {
				n++
			}
			bag := parsed.Bag()
			for q := range bag.Pairs() {
				n += len(q.AppendName(room)) + len(q.AppendValue(room)) + int(q.System())
			}
			if q, ok := bag.Find("$.mid"); ok {
				n += len(q.Value)
			}
			decoded, _ := bag.AppendDecoded(pairs, room)
			n += len(decoded)
		})
	}
	for _, filter := range []string{topics.MethodFilter, topics.C2DAnyFilter, "devices/d/modules/m/#", "bad"} {
		b := []byte(filter)
		testkit.NoAllocs(t, filter, func() {
			f, _ := topics.ParseFilter(b)
			f.Allows(hubwire.Identity{DeviceID: "d"})
		})
	}
	name := []byte("$.mid")
	testkit.NoAllocs(t, "LookupSystem", func() { topics.LookupSystem(name) })
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf, rid := make([]byte, 0, 4096), []byte("1a2")
	id, name := hubwire.Identity{DeviceID: "d", ModuleID: "m"}, []byte("room name")
	user := topics.UserName{Host: "h", Identity: id, APIVersion: "2021-04-12", ClientType: "x/1", ModelID: "dtmi:a:b;1"}
	dps := topics.DPSUserName{IDScope: "0ne", RegistrationID: "r", APIVersion: "2019-03-31"}
	for what, f := range map[string]func(dst []byte) []byte{
		"AppendTelemetry":      func(b []byte) []byte { return topics.AppendTelemetry(b, id) },
		"AppendC2D":            func(b []byte) []byte { return topics.AppendC2D(b, id) },
		"AppendInput":          func(b []byte) []byte { return topics.AppendInput(b, id, name) },
		"AppendMethodRequest":  func(b []byte) []byte { return topics.AppendMethodRequest(b, name, rid) },
		"AppendMethodResponse": func(b []byte) []byte { return topics.AppendMethodResponse(b, 200, rid) },
		"a status of any size": func(b []byte) []byte { return topics.AppendMethodResponse(b, -123456, rid) },
		"AppendTwinGet":        func(b []byte) []byte { return topics.AppendTwinGet(b, rid) },
		"AppendTwinReported":   func(b []byte) []byte { return topics.AppendTwinReported(b, rid, 3) },
		"AppendTwinResponse":   func(b []byte) []byte { return topics.AppendTwinResponse(b, 204, rid, 3) },
		"AppendTwinDesired":    func(b []byte) []byte { return topics.AppendTwinDesired(b, 3) },
		"AppendDPSRegister":    func(b []byte) []byte { return topics.AppendDPSRegister(b, rid) },
		"AppendDPSQuery":       func(b []byte) []byte { return topics.AppendDPSQuery(b, rid, name) },
		"AppendDPSResponse":    func(b []byte) []byte { return topics.AppendDPSResponse(b, 202, rid, time.Second) },
		"AppendProperty":       func(b []byte) []byte { return topics.AppendProperty(b, name, "Küche #1") },
		"AppendNull":           func(b []byte) []byte { return topics.AppendNull(b, name) },
		"AppendSystem":         func(b []byte) []byte { return topics.AppendSystem(b, topics.ContentType, "application/json") },
		"AppendEscape":         func(b []byte) []byte { return topics.AppendEscape(b, name) },
		"AppendUnescape":       func(b []byte) []byte { return topics.AppendUnescape(b, "a%20%C3%A9%zz") },
		"AppendClientID":       func(b []byte) []byte { return topics.AppendClientID(b, id) },
		"AppendUserName":       func(b []byte) []byte { return topics.AppendUserName(b, &user) },
		"AppendDPSUserName":    func(b []byte) []byte { return topics.AppendDPSUserName(b, &dps) },
		"AppendC2DFilter":      func(b []byte) []byte { return topics.AppendC2DFilter(b, id) },
		"AppendInputFilter":    func(b []byte) []byte { return topics.AppendInputFilter(b, id) },
		"AppendModuleFilter":   func(b []byte) []byte { return topics.AppendModuleFilter(b, id) },
		"AppendCommand":        func(b []byte) []byte { return topics.AppendCommand(b, "c", "x") },
	} {
		testkit.NoAllocs(t, what, func() {
			if got := f(append(buf, 'x')); len(got) < 2 || &got[0] != &buf[:1][0] {
				t.Fatalf("%s appends nothing, or elsewhere: %q", what, got)
			}
		})
	}
}

// What dst holds stays, also when it must grow.
func TestAppendGrows(t *testing.T) {
	for n := range 64 {
		full := append(make([]byte, 0, n), strings.Repeat("x", n)...)
		got := topics.AppendProperty(full, "room name", "Küche #1")
		want := "room%20name=K%C3%BCche%20%231"
		if n > 0 {
			want = "&" + want
		}
		same(t, "behind a full buffer", string(got), strings.Repeat("x", n)+want)
	}
}
