package device

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
)

func TestOptionsHaveTheDocumentedDefaults(t *testing.T) {
	want := Options{
		TokenTTL: time.Hour, KeepAlive: 4 * time.Minute, Window: 1000, WindowBytes: 4 << 20, MaxMethods: 1000,
		ConnectTimeout: 30 * time.Second, AckTimeout: time.Minute, OperationTimeout: 4 * time.Minute,
		MinBackoff: time.Second, MaxBackoff: time.Minute, CloseTimeout: 2 * time.Second,
	}
	for name, o := range map[string]*Options{"nil": nil, "zero": {}} {
		got, err := o.resolve()
		if err != nil || got.Dial == nil || got.Hooks == nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(want, "Dial", "Hooks")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOptionsAreHeldAgainstTheirLimits(t *testing.T) {
	long := strings.Repeat("x", maxProductInfo+1)
	for field, bad := range map[string][]Options{
		"Port":             {{Port: -1}, {Port: 65536}},
		"ProductInfo":      {{ProductInfo: "\xff"}, {ProductInfo: long}},
		"ModelID":          {{ModelID: "\xff"}, {ModelID: long}},
		"TokenTTL":         {{TokenTTL: -1}, {TokenTTL: time.Millisecond}},
		"KeepAlive":        {{KeepAlive: 1178 * time.Second}},
		"Window":           {{Window: -1}, {Window: 30001}},
		"WindowBytes":      {{WindowBytes: -1}},
		"MaxMethods":       {{MaxMethods: -1}},
		"ConnectTimeout":   {{ConnectTimeout: -1}},
		"OperationTimeout": {{OperationTimeout: -1}},
		"MinBackoff":       {{MinBackoff: -1}, {MinBackoff: time.Hour, MaxBackoff: time.Minute}},
		"CloseTimeout":     {{CloseTimeout: -1}},
	} {
		for _, o := range bad {
			if _, err := o.resolve(); !errors.Is(err, hubwire.ArgumentInvalid) || !strings.Contains(err.Error(), "Options."+field+" ") || len(err.Error()) > 300 {
				t.Errorf("%s: %v", field, err)
			}
		}
	}
	for name, o := range map[string]Options{
		"the largest":                {Port: 65535, ProductInfo: long[1:], KeepAlive: 1177 * time.Second, Window: 30000, MinBackoff: time.Minute},
		"a back-off over a minute":   {MinBackoff: time.Hour},
		"no keep-alive, no time-out": {KeepAlive: -1, AckTimeout: -1},
	} {
		if got, err := o.resolve(); err != nil || got.MaxBackoff < got.MinBackoff {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatesHaveNames(t *testing.T) {
	var got []string
	for s := range Closed + 1 {
		got = append(got, s.String())
	}
	if diff := cmp.Diff([]string{"connecting", "connected", "renewing", "closed"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
