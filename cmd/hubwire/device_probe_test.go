package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// probe runs hubwire device probe and returns what it says as JSON.
func probe(t *testing.T, args ...string) (probeReport, error) {
	t.Helper()
	out, err := command(t, "", append([]string{"device", "probe", "--json"}, args...)...)
	var r probeReport
	if bad := json.Unmarshal([]byte(out), &r); bad != nil && (err == nil || errors.Is(err, errNoDoor)) {
		t.Fatalf("%v: %q", bad, out)
	}
	return r, err
}

func TestProbeSaysWhatIsOpenAndWhatIsLost(t *testing.T) {
	localHub(t)
	for _, tt := range []struct {
		name, barred string // the variables of ports that nobody listens at
		args         []string
		open         []string
		choice       string
		lost         string // one of what is lost
	}{
		{"all doors are open", "", nil, []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"}, "mqtt", "C2D reject"},
		{"what is needed decides", "", []string{"--need", "c2d reject"}, []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"}, "amqp", "last will"},
		{"8883 is closed", "HUBWIRE_MQTT_PORT", nil, []string{"mqtt-ws", "amqp", "amqp-ws", "https"}, "mqtt-ws", "X.509 certificates"},
		{"443 is closed", "HUBWIRE_HTTPS_PORT", nil, []string{"mqtt", "amqp"}, "mqtt", "C2D reject"},
		{"by the name of the host", "", []string{"--host", "myhub.local"}, []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"}, "mqtt", "C2D reject"},
		{"nothing that is open will do", "HUBWIRE_AMQP_PORT,HUBWIRE_HTTPS_PORT", []string{"--need", "C2D reject"}, []string{"mqtt"}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range strings.Split(tt.barred, ",") {
				if name != "" {
					t.Setenv(name, "1") // which no one may listen at but root
				}
			}
			r, err := probe(t, tt.args...)
			if (tt.choice == "") != errors.Is(err, errNoDoor) || err != nil && tt.choice != "" {
				t.Errorf("it ended with %v", err)
			}
			var open []string
			for _, d := range r.Doors {
				if d.Open {
					open = append(open, d.Transport)
				} else if d.Obstacle != "refused" || d.Error == "" {
					t.Errorf("%+v", d)
				}
			}
			if diff := cmp.Diff(tt.open, open); diff != "" {
				t.Errorf("open (-want +got):\n%s", diff)
			}
			lost := map[string]bool{}
			for _, l := range r.Lost {
				lost[l.Feature] = len(l.By) > 0
			}
			if r.Choice != tt.choice || tt.lost != "" && !lost[tt.lost] {
				t.Errorf("it would choose %q and lose %v", r.Choice, lost)
			}
			text, _ := command(t, "", append([]string{"device", "probe"}, tt.args...)...)
			if tt.choice == "" && !strings.Contains(text, "choice: none") || !strings.Contains(text, "choice: "+tt.choice) || !strings.Contains(text, tt.lost) {
				t.Errorf("it printed\n%s", text)
			}
		})
	}
}

func TestProbeRefusesBadFlags(t *testing.T) {
	for _, v := range new(place).vars() {
		t.Setenv(v.name, "")
	}
	const secret = "c2VjcmV0"
	for _, tt := range []struct {
		name, says string
		args       []string
	}{
		{"no hub", "which hub", nil},
		{"two hubs", "exclude", []string{"--host", "h", "--connection-string", "HostName=h;DeviceId=d;SharedAccessKey=" + secret}},
		{"half a connection string", "--connection-string", []string{"--connection-string", "DeviceId=d;SharedAccessKey=" + secret}},
		{"a host with a port", "port", []string{"--host", "h:8883"}},
		{"a feature that there is not", "matrix", []string{"--host", "h", "--need", "magic"}},
		{"no time", "--timeout", []string{"--host", "h", "--timeout", "0s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := probe(t, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), secret) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestMatrixPrintsEachFeatureAndNote(t *testing.T) {
	out, err := command(t, "", "device", "matrix")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range device.Features() {
		if !strings.Contains(out, "\n"+f.String()+" ") {
			t.Errorf("%v is not in\n%s", f, out)
		}
		for _, tr := range everyTransport(transportOptions{}) {
			if note := tr.Supports(f).Note; !strings.Contains(out, note) {
				t.Errorf("%q is not in\n%s", note, out)
			}
		}
	}
}

func TestTransportAutoChooses(t *testing.T) {
	h := localHub(t)
	for _, tt := range []struct {
		name, barred, want string
		args               []string
	}{
		{"all doors are open", "", "chosen: mqtt;", []string{"send", "hi"}},
		{"8883 is closed", "HUBWIRE_MQTT_PORT", "chosen: mqtt-ws;", []string{"send", "hi"}},
		{"a twin over what has one", "HUBWIRE_MQTT_PORT", "chosen: mqtt-ws;", []string{"twin", "get"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.barred != "" {
				t.Setenv(tt.barred, "1")
			}
			j := start(t, "", append(append([]string{"device"}, tt.args...), "--device-id", "dev-1", "--transport", "auto")...)
			<-j.done
			if j.err != nil || !strings.Contains(j.stderr.String(), tt.want) {
				t.Errorf("it ended with %v and told\n%s", j.err, j.stderr)
			}
		})
	}
	if err := h.SendC2D(t.Context(), dev, &hubwire.Message{}); err != nil {
		t.Fatal(err)
	}
	j := start(t, "", "device", "receive", "--count", "1", "--settle", "reject", "--device-id", "dev-1", "--transport", "auto")
	<-j.done
	if j.err != nil || !strings.Contains(j.stderr.String(), "chosen: amqp;") {
		t.Errorf("it ended with %v and told\n%s", j.err, j.stderr)
	}
}
