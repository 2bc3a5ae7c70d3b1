package mqttfront

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
)

// TestMessagesForAnIDWithAWildcardWait has identities, which are legal, whose topics of
// messages are not: they are not sent, and the log says so.
func TestMessagesForAnIDWithAWildcardWait(t *testing.T) {
	for _, tt := range []struct {
		name, filter string
		id           hubwire.Identity
	}{
		{"a device's plus", "devices/+/messages/devicebound/#", hubwire.Identity{DeviceID: "a+b"}},
		{"a device's number sign", "devices/+/messages/devicebound/#", hubwire.Identity{DeviceID: "a#"}},
		{"a module's plus", "devices/dev/modules/+/inputs/#", hubwire.Identity{DeviceID: "dev", ModuleID: "+"}},
	} {
		for _, refuse := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					f := newFront(t, core.Config{}, Options{RefuseFilters: refuse, Log: slog.New(slog.NewTextHandler(&log, nil))}, store.NewMemory(nil))
					defer f.close()
					d := f.loginAs(tt.id)
					if err := f.core.SendC2D(t.Context(), tt.id, &hubwire.Message{}); err != nil {
						t.Fatal(err)
					}
					filters, err := mqtt.AppendFilter(nil, tt.filter, mqtt.AtLeastOnce)
					if err != nil {
						t.Fatal(err)
					}
					d.write(&mqtt.Subscribe{ID: 1, Filters: filters})
					if refuse {
						if m, err := mqtt.ParseSuback(d.read(mqtt.TypeSuback)); err != nil || !bytes.Equal(m.Codes, []byte{mqtt.SubackFailure}) {
							t.Errorf("SUBACK %x, %v", m.Codes, err)
						}
						d.write(&mqtt.Pingreq{})
						d.read(mqtt.TypePingresp) // and no PUBLISH
					} else {
						d.closed()
					}
					synctest.Wait()
					if got, err := f.core.Device(tt.id); err != nil || got.C2DCount != 1 {
						t.Errorf("%d messages wait, want 1: %v", got.C2DCount, err)
					}
					if !strings.Contains(log.String(), "which holds a wildcard") {
						t.Errorf("log: %s", log.String())
					}
				})
			})
		}
	}
}

func TestAnInputsNameMayHoldAWildcard(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		id := hubwire.Identity{DeviceID: "dev", ModuleID: "m"}
		d := f.loginAs(id)
		d.subscribe("devices/dev/modules/m/inputs/#")
		if err := f.core.SendInput(t.Context(), id, "a+b#", &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}
		if m := d.publish(); !bytes.HasPrefix(m.Topic, []byte("devices/dev/modules/m/inputs/a%2Bb%23/")) {
			t.Errorf("topic %q", m.Topic)
		}
	})
}

// loginAs registers an identity and returns its connection behind its CONNACK.
func (f *front) loginAs(id hubwire.Identity) *device {
	f.Helper()
	reg, err := f.core.Create(f.Context(), &core.Device{ID: id})
	if err != nil {
		f.Fatal(err)
	}
	key, err := sas.NewKey(reg.Auth.Primary)
	if err != nil {
		f.Fatal(err)
	}
	token, err := sas.AppendToken(f.Context(), nil, key, sas.Audience("localhost", id), "", time.Now().Add(time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	m := f.connect()
	m.ClientID, m.Password = []byte(id.String()), mqtt.NewSecret(token)
	m.UserName = []byte("localhost/" + id.String() + "/?api-version=2021-04-12")
	d := &device{f, mqtt.NewConn(f.dial(), nil)}
	d.write(m)
	if ack, err := mqtt.ParseConnack(d.read(mqtt.TypeConnack)); err != nil || ack.Code != mqtt.Accepted {
		f.Fatalf("CONNACK %+v, %v", ack, err)
	}
	return d
}
