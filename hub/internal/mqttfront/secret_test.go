package mqttfront

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/mqtt"
)

// pasted is a key, and what people paste that holds one.
const (
	pasted           = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0Yw=="
	connectionString = "HostName=h;DeviceId=dev;SharedAccessKey=" + pasted
	pastedToken      = "SharedAccessSignature sr=h&sig=" + pasted + "&se=1"
)

// TestLogHasNoSecret has peers put a secret where an id or a topic belongs. The log
// tells of that, and not what it was.
func TestLogHasNoSecret(t *testing.T) {
	connect := func(change func(m *mqtt.Connect)) func(*front) {
		return func(f *front) {
			m := f.connect()
			change(m)
			d := &device{f, mqtt.NewConn(f.dial(), nil)}
			d.write(m)
			d.read(mqtt.TypeConnack)
		}
	}
	userName := func(ids string) func(*mqtt.Connect) {
		return func(m *mqtt.Connect) {
			m.ClientID, m.UserName = []byte(ids), []byte("localhost/"+ids+"/?api-version=2021-04-12")
		}
	}
	session := func(packets ...interface{ AppendTo([]byte) []byte }) func(*front) {
		return func(f *front) {
			d := f.login()
			d.write(packets...)
			d.closed()
		}
	}
	filter := func(text string) *mqtt.Subscribe {
		fs, err := mqtt.AppendFilter(nil, text, mqtt.AtMostOnce)
		if err != nil {
			t.Fatal(err)
		}
		return &mqtt.Subscribe{ID: 1, Filters: fs}
	}
	tests := []struct {
		name string
		do   func(*front)
		want string
	}{
		{"a connection string as client id", connect(func(m *mqtt.Connect) { m.ClientID = []byte(connectionString) }), "client id, of 84 bytes"},
		{"a token as client id", connect(func(m *mqtt.Connect) { m.ClientID = []byte(pastedToken) }), "client id, of 80 bytes"},
		{"a key as user name", connect(func(m *mqtt.Connect) { m.UserName = []byte(pasted) }), "user name"},
		{"a connection string as user name", connect(func(m *mqtt.Connect) { m.UserName = []byte(connectionString) }), "user name"},
		{"a key as device id", connect(userName(pasted)), "unknownBytes=44"},
		{"a key as module id", connect(userName("dev/" + pasted)), "unknownBytes=48"},
		{"a key as the edge device that speaks", connect(func(m *mqtt.Connect) {
			m.UserName = append(m.UserName, "&auth-chain=dev;"+pasted...)
		}), "a device of the chain: "},
		{"a token as the will's topic", connect(func(m *mqtt.Connect) { m.Will.Topic = []byte("devices/" + pasted + "/messages/events/") }), "will topic, of"},
		{"a token as topic", session(&mqtt.Publish{Topic: []byte(pastedToken)}), "topic"},
		{"a key as topic", session(&mqtt.Publish{Topic: []byte(pasted)}), "topic"},
		{"a token in a topic", session(&mqtt.Publish{Topic: []byte("devices/" + pastedToken + "/messages/events/")}), "another identity"},
		{"a key as request id", func(f *front) {
			f.login().write(&mqtt.Publish{Topic: []byte("$iothub/methods/res/200/?$rid=" + pasted)})
		}, "a request id of 44 bytes"},
		{"a token as filter", session(filter(pastedToken)), "filter of 80 bytes"},
		{"a token in a filter", session(filter("devices/" + pastedToken + "/messages/devicebound/#")), "filter of"},
		{"a key as filter", session(filter(pasted)), "filter of 44 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := logged(t, tt.do)
				if strings.Contains(log, pasted) || strings.Contains(log, pasted[:8]) || !strings.Contains(log, tt.want) {
					t.Errorf("want %q and no secret in\n%s", tt.want, log)
				}
			})
		})
	}
}

// logged returns what a hub logs, while do is at it.
func logged(t *testing.T, do func(*front)) string {
	var log bytes.Buffer
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	l := slog.New(slog.NewTextHandler(&log, level))
	f := newFront(t, core.Config{Log: l}, Options{Log: l}, store.NewMemory(nil))
	defer f.close()
	do(f)
	time.Sleep(time.Second)
	synctest.Wait()
	return log.String()
}

func TestLogQuotesTopicsOfIoTHub(t *testing.T) {
	for _, tt := range []struct{ topic, want string }{
		{"devices/other/messages/devicebound/#", `"devices/other/messages/devicebound/#"`},
		{"$iothub/methods/#", `"$iothub/methods/#"`},
		{"$dps/x", `"$dps/x"`},
		{"devices/" + strings.Repeat("x", 300), `"devices/` + strings.Repeat("x", 292) + `"`},
		{"devices/SharedAccessKey=x", "of 25 bytes"},
		{"x", "of 1 bytes"},
		{"", "of 0 bytes"},
	} {
		if got := quote([]byte(tt.topic)); got != tt.want {
			t.Errorf("quote(%q) = %s, want %s", tt.topic, got, tt.want)
		}
	}
}

// TestLogNamesWhoHasLoggedIn looks for the identity in the line of the end.
func TestLogNamesWhoHasLoggedIn(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*front)
		want bool
	}{
		{"a device", func(f *front) { f.login().c.Close() }, true},
		{"who claims to be one", func(f *front) {
			m := f.connect()
			m.Password = mqtt.NewSecret([]byte(pastedToken))
			d := &device{f, mqtt.NewConn(f.dial(), nil)}
			d.write(m)
			d.read(mqtt.TypeConnack)
		}, false},
		{"nobody", func(f *front) { f.dial().Close() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, end, ok := strings.Cut(logged(t, tt.do), "connection closed")
				if !ok || strings.Contains(end, "device=dev ") != tt.want || strings.Contains(end, "device=") != tt.want {
					t.Errorf("named: want %v in %q", tt.want, end)
				}
			})
		})
	}
}
