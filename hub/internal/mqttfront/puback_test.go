package mqttfront

import (
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
)

type packet = interface{ AppendTo([]byte) []byte }

// TestPubacksOfOneWrite has a device acknowledge a full window at once, and do something
// else behind it: whatever that is, all messages are completed.
func TestPubacksOfOneWrite(t *testing.T) {
	for _, tt := range []struct {
		name   string
		behind packet // nil for nothing
		last   bool   // it ends the connection
	}{
		{name: "nothing behind them"},
		{name: "a PINGREQ", behind: &mqtt.Pingreq{}},
		{name: "the PUBACK of a message that is not out", behind: &mqtt.Puback{ID: 999}},
		{name: "the good-bye", behind: &mqtt.Disconnect{}, last: true},
		{name: "what a device must not send", behind: &mqtt.Pingresp{}, last: true},
		{name: "telemetry of another device", behind: &mqtt.Publish{Topic: []byte("devices/other/messages/events/")}, last: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, core.Config{}, func(t *testing.T, f *front) {
				d := f.login()
				d.subscribe(c2dFilter)
				var acks []packet
				for range window {
					if err := f.core.SendC2D(t.Context(), dev, &hubwire.Message{}); err != nil {
						t.Fatal(err)
					}
					acks = append(acks, &mqtt.Puback{ID: d.publish().ID})
				}
				if tt.behind != nil {
					acks = append(acks, tt.behind)
				}
				d.write(acks...)
				if tt.last {
					d.closed()
				}
				synctest.Wait()
				if got, err := f.core.Device(dev); err != nil || got.C2DCount != 0 {
					t.Errorf("%d messages are not completed, %v", got.C2DCount, err)
				}
			})
		})
	}
}

// TestPubacksMakeRoom has more messages wait than the window allows: the next ones come when all those of
// a write are acknowledged, in order.
func TestPubacksMakeRoom(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		for i := range hubwire.MaxC2DQueue {
			if err := f.core.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte{byte(i)}}); err != nil {
				t.Fatal(err)
			}
		}
		d := f.login()
		d.subscribe(c2dFilter)
		var acks []packet
		for i := range hubwire.MaxC2DQueue {
			if len(acks) == window {
				d.write(acks...)
				acks = nil
			}
			m := d.publish()
			if m.Payload[0] != byte(i) || m.Dup {
				t.Fatalf("message %d came at the place of %d, DUP %v", m.Payload[0], i, m.Dup)
			}
			acks = append(acks, &mqtt.Puback{ID: m.ID})
		}
		d.write(acks...)
		synctest.Wait()
		if got, err := f.core.Device(dev); err != nil || got.C2DCount != 0 {
			t.Errorf("%d messages are not completed, %v", got.C2DCount, err)
		}
	})
}
