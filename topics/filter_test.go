package topics_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

var (
	device = hubwire.Identity{DeviceID: "d"}
	module = hubwire.Identity{DeviceID: "d", ModuleID: "m"}
)

func TestFilters(t *testing.T) {
	for _, c := range []struct {
		name, filter            string
		kind                    topics.Kind
		device, module          string
		forDevice, forModule    bool
		forAnother, forAnother2 bool // device "x", module "d/x"
	}{
		{"methods, all SDKs", "$iothub/methods/POST/#", topics.MethodRequest, "", "", true, true, true, true},
		{"methods with more, as Edge Hub takes it", "$iothub/methods/POST/reboot/#", topics.MethodRequest, "", "", true, true, true, true},
		{"twin answers, all SDKs", "$iothub/twin/res/#", topics.TwinResponse, "", "", true, true, true, true},
		{"desired properties, all SDKs", "$iothub/twin/PATCH/properties/desired/#", topics.TwinDesired, "", "", true, true, true, true},
		{"answers of DPS", "$dps/registrations/res/#", topics.DPSResponse, "", "", true, true, true, true},
		{"C2D, Node, Python, Java, .NET and C", "devices/d/messages/devicebound/#", topics.C2D, "d", "", true, false, false, false},
		{"C2D, Embedded C", "devices/+/messages/devicebound/#", topics.C2D, "+", "", true, false, true, false},
		{"C2D of a module, Java", "devices/d/modules/m/messages/devicebound/#", topics.C2D, "d", "m", false, true, false, false},
		{"C2D of any module", "devices/+/modules/+/messages/devicebound/#", topics.C2D, "+", "+", false, true, false, true},
		{"inputs, Node, Python and Java", "devices/d/modules/m/inputs/#", topics.Input, "d", "m", false, true, false, false},
		{"inputs, C and .NET", "devices/d/modules/m/#", topics.Input, "d", "m", false, true, false, false},
		{"inputs of any module", "devices/d/modules/+/inputs/#", topics.Input, "d", "+", false, true, false, true},
		{"an id beyond ASCII", "devices/Küche/messages/devicebound/#", topics.C2D, "Küche", "", false, false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := []byte(c.filter)
			f, err := topics.ParseFilter(b)
			if err != nil {
				t.Fatal(err)
			}
			if f.Kind != c.kind || string(f.DeviceID) != c.device || string(f.ModuleID) != c.module {
				t.Errorf("it is for %v of %q, %q", f.Kind, f.DeviceID, f.ModuleID)
			}
			for id, want := range map[hubwire.Identity]bool{
				device: c.forDevice, module: c.forModule,
				{DeviceID: "x"}:                c.forAnother,
				{DeviceID: "d", ModuleID: "x"}: c.forAnother2,
			} {
				if f.Allows(id) != want {
					t.Errorf("it allows %v: %v, want %v", id, f.Allows(id), want)
				}
			}
			for i := range b {
				b[i] = '!'
			}
			for _, id := range [][]byte{f.DeviceID, f.ModuleID} {
				if string(id) != strings.Repeat("!", len(id)) || cap(id) != len(id) {
					t.Errorf("%q is no view, or can be appended to", id)
				}
			}
		})
	}
	if none := (topics.Filter{}); none.Allows(device) || none.Allows(hubwire.Identity{}) {
		t.Error("the zero Filter allows something")
	}
}

func TestAppendFilters(t *testing.T) {
	for want, got := range map[string][]byte{
		"x devices/d/messages/devicebound/#":           topics.AppendC2DFilter([]byte("x "), device),
		"x devices/d/modules/m/messages/devicebound/#": topics.AppendC2DFilter([]byte("x "), module),
		"x devices/d/modules/m/inputs/#":               topics.AppendInputFilter([]byte("x "), module),
		"x devices/d/modules/m/#":                      topics.AppendModuleFilter([]byte("x "), module),
	} {
		same(t, "filter", string(got), want)
	}
	for filter, want := range map[string]topics.Kind{
		topics.MethodFilter: topics.MethodRequest, topics.TwinResponseFilter: topics.TwinResponse, topics.TwinDesiredFilter: topics.TwinDesired,
		topics.DPSResponseFilter: topics.DPSResponse, topics.C2DAnyFilter: topics.C2D,
	} {
		if f, err := topics.ParseFilter([]byte(filter)); err != nil || f.Kind != want {
			t.Errorf("%q is for %v, %v, want %v", filter, f.Kind, err, want)
		}
	}
}

func TestParseFilterRefuses(t *testing.T) {
	for _, c := range []struct {
		name, filter string
		want         topics.SyntaxError
	}{
		{"nothing", "", topics.SyntaxError{Part: "filter", Err: topics.ErrEmpty}},
		{"65,536 bytes", strings.Repeat("x", 65536), topics.SyntaxError{Part: "filter", Offset: 65535, Limit: 65535, Err: topics.ErrTooLong}},
		{"all", "#", topics.SyntaxError{Part: "filter", Err: topics.ErrUnknown}},
		{"all of the hub's", "$iothub/#", topics.SyntaxError{Part: "filter", Err: topics.ErrUnknown}},
		{"all devices", "devices/#", topics.SyntaxError{Part: "device id", Offset: 8, Err: topics.ErrWildcard}},
		{"all modules", "devices/d/modules/#", topics.SyntaxError{Part: "module id", Offset: 18, Err: topics.ErrWildcard}},
		{"all of a device", "devices/d/#", topics.SyntaxError{Part: "filter", Offset: 10, Err: topics.ErrUnknown}},
		{"telemetry", "devices/d/messages/events/#", topics.SyntaxError{Part: "filter", Offset: 10, Err: topics.ErrUnknown}},
		{"C2D without a wildcard", "devices/d/messages/devicebound/", topics.SyntaxError{Part: "filter", Offset: 10, Err: topics.ErrUnknown}},
		{"one input without a wildcard", "devices/d/modules/m/inputs/in", topics.SyntaxError{Part: "filter", Offset: 20, Err: topics.ErrUnknown}},
		{"no device id", "devices//messages/devicebound/#", topics.SyntaxError{Part: "device id", Offset: 8, Err: topics.ErrEmpty}},
		{"nothing behind devices", "devices/", topics.SyntaxError{Part: "device id", Offset: 8, Err: topics.ErrEmpty}},
		{"no module id", "devices/d/modules//inputs/#", topics.SyntaxError{Part: "module id", Offset: 18, Err: topics.ErrEmpty}},
		{"a leading slash", "/devices/d/messages/devicebound/#", topics.SyntaxError{Part: "filter", Err: topics.ErrUnknown}},
		{"twin answers of one status", "$iothub/twin/res/200/#", topics.SyntaxError{Part: "filter", Err: topics.ErrUnknown}},
		{"reported properties", "$iothub/twin/PATCH/properties/reported/#", topics.SyntaxError{Part: "filter", Err: topics.ErrUnknown}},
		{"capital letters", "$iothub/methods/post/#", topics.SyntaxError{Part: "filter", Err: topics.ErrUnknown}},
		{"NUL", "devices/a\x00/messages/devicebound/#", topics.SyntaxError{Part: "filter", Offset: 9, Err: topics.ErrNUL}},
		{"not UTF-8", "devices/a\xff/messages/devicebound/#", topics.SyntaxError{Part: "filter", Offset: 9, Err: topics.ErrUTF8}},
		{"half of a surrogate pair", "devices/\xed\xa0\x80/#", topics.SyntaxError{Part: "filter", Offset: 8, Err: topics.ErrUTF8}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := topics.ParseFilter([]byte(c.filter))
			checkSyntaxError(t, c.filter, err)
			var se *topics.SyntaxError
			errors.As(err, &se)
			if diff := cmp.Diff(c.want, *se, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(topics.Filter{}, f); diff != "" {
				t.Errorf("it gave something beside the error:\n%s", diff)
			}
		})
	}
}
