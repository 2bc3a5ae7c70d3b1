package interop

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// mosquitto is a device for which mosquitto_pub and mosquitto_sub speak:
// plain MQTT clients that know nothing of IoT Hub.
type mosquitto struct {
	*site
	id       hubwire.Identity
	password string
}

func (s *site) mosquitto(t *testing.T) *mosquitto {
	t.Helper()
	id, cs := s.device(t)
	return &mosquitto{s, id, token(t, cs, sas.Audience(s.HostName(), id), "", time.Now().Add(time.Hour))}
}

func (m *mosquitto) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, append([]string{
		"-h", "localhost", "-p", "8883", "--cafile", m.caFile, "-V", "mqttv311",
		"-i", m.id.DeviceID, "-u", m.HostName() + "/" + m.id.DeviceID + "/?api-version=2021-04-12", "-P", m.password,
	}, args...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a program to its end and returns what it printed to stdout.
func (m *mosquitto) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	return m.output(t, 0, program, args...)
}

// output is run for a program that ends with this exit code.
func (m *mosquitto) output(t *testing.T, code int, program string, args ...string) string {
	t.Helper()
	cmd := m.command(within(t), program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%s: %v, want exit code %d\n%s%s", program, err, code, out, &stderr)
	}
	return string(out)
}

// fails runs a program that has to end with this complaint.
func (m *mosquitto) fails(t *testing.T, complaint, program string, args ...string) {
	t.Helper()
	out, err := m.command(within(t), program, args...).CombinedOutput()
	if err == nil || !strings.Contains(strings.ToLower(string(out)), complaint) {
		t.Errorf("%s: %v, printed %q, want %q in it", program, err, out, complaint)
	}
}

func (m *mosquitto) topic(rest string) string {
	return "devices/" + m.id.DeviceID + "/messages/" + rest
}

// TestMosquitto lets the command line clients of Debian do what they can. A
// device has one connection, so they can neither ask for a twin nor answer a
// method: mosquitto_rr could, but takes no wildcard where answers come from.
func TestMosquitto(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	for name, test := range map[string]func(*testing.T, *mosquitto){
		"telemetry":           telemetryOfMosquitto,
		"many lines":          linesOfMosquitto,
		"logins":              loginsOfMosquitto,
		"what is not allowed": forbiddenToMosquitto,
		"cloud-to-device":     c2dToMosquitto,
		"clean and kept":      sessionsOfMosquitto,
		"will":                willOfMosquitto,
		"direct method":       methodOfMosquitto,
	} {
		t.Run(name, func(t *testing.T) { test(t, s.mosquitto(t)) })
	}
}

func telemetryOfMosquitto(t *testing.T, m *mosquitto) {
	events := m.events(t, m.id)
	tests := []struct {
		name string
		args []string
		want hubwire.Message
	}{
		{"QoS 0", []string{"-q", "0", "-t", m.topic("events/"), "-m", "a"}, hubwire.Message{Body: []byte("a")}},
		{"QoS 1", []string{"-q", "1", "-t", m.topic("events/"), "-m", "b"}, hubwire.Message{Body: []byte("b")}},
		{"no trailing slash", []string{"-q", "1", "-t", m.topic("events"), "-m", "c"}, hubwire.Message{Body: []byte("c")}},
		{"no body", []string{"-q", "1", "-t", m.topic("events/"), "-n"}, hubwire.Message{}},
		{"properties", []string{"-q", "1", "-t", m.topic("events/$.mid=m1&%24.ct=application%2Fjson&a=b%20c&d=/&%2B=1%2B1&e="), "-m", "{}"}, hubwire.Message{
			Body: []byte("{}"), ID: "m1", ContentType: "application/json", Properties: hubProps(props("a", "b c", "d", "/", "+", "1+1", "e", "")),
		}},
		{"retain", []string{"-q", "1", "-r", "-t", m.topic("events/"), "-m", "d"}, hubwire.Message{
			Body: []byte("d"), Properties: hubProps(props("mqtt-retain", "true")),
		}},
		{"TLS 1.2", []string{"--tls-version", "tlsv1.2", "-q", "1", "-t", m.topic("events/"), "-m", "e"}, hubwire.Message{Body: []byte("e")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m.run(t, "mosquitto_pub", tt.args...)
			arrives(t, events, tt.want)
		})
	}
}

func linesOfMosquitto(t *testing.T, m *mosquitto) {
	events := m.events(t, m.id)
	var lines strings.Builder
	for i := range 300 {
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	cmd := m.command(within(t), "mosquitto_pub", "-q", "1", "-t", m.topic("events/"), "-l")
	cmd.Stdin = strings.NewReader(lines.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i := range 300 {
		arrives(t, events, hubwire.Message{Body: fmt.Appendf(nil, "line %d", i)})
	}
}

func loginsOfMosquitto(t *testing.T, m *mosquitto) {
	other := m.mosquitto(t)
	const refused = "not authorised"
	pub := []string{"-q", "1", "-t", m.topic("events/"), "-m", "x"}
	for name, with := range map[string]mosquitto{
		"a password that is no token": {m.site, m.id, "wrong"},
		"another device's token":      {m.site, m.id, other.password},
		"a token that was changed":    {m.site, m.id, strings.Replace(m.password, "se=", "se=9", 1)},
		"an unknown device":           {m.site, hubwire.Identity{DeviceID: "nobody"}, m.password},
	} {
		t.Run(name, func(t *testing.T) { with.fails(t, refused, "mosquitto_pub", pub...) })
	}
	t.Run("a client id that is not the user name's", func(t *testing.T) {
		m.fails(t, refused, "mosquitto_pub", append([]string{"-i", other.id.DeviceID}, pub...)...)
	})
	t.Run("MQTT 3.1", func(t *testing.T) {
		m.fails(t, "the connection was lost", "mosquitto_pub", append([]string{"-V", "mqttv31"}, pub...)...)
	})
	t.Run("MQTT 5", func(t *testing.T) {
		m.fails(t, "protocol version", "mosquitto_pub", append([]string{"-V", "mqttv5"}, pub...)...)
	})
	if m.Connected(m.id) {
		t.Error("the device is connected")
	}
}

// forbiddenToMosquitto has what the hub answers with the end of the connection.
func forbiddenToMosquitto(t *testing.T, m *mosquitto) {
	other := m.mosquitto(t)
	events := m.events(t, hubwire.Identity{})
	for name, args := range map[string][]string{
		"another device's telemetry topic": {"-q", "1", "-t", other.topic("events/"), "-m", "x"},
		"a topic of nobody":                {"-q", "1", "-t", "hello/world", "-m", "x"},
		"QoS 2":                            {"-q", "2", "-t", m.topic("events/"), "-m", "x"},
	} {
		t.Run(name, func(t *testing.T) { m.fails(t, "the connection was lost", "mosquitto_pub", args...) })
	}
	for name, filter := range map[string]string{
		"a filter for everything":  "#",
		"another device's filter":  other.topic("devicebound/#"),
		"everybody's telemetry":    "devices/+/messages/events/#",
		"everything under $iothub": "$iothub/#",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they connect again and again, until their time is over
			m := m.mosquitto(t)
			out := m.output(t, 27, "mosquitto_sub", "-d", "-W", "2", "-E", "-t", filter)
			if n := strings.Count(out, "received CONNACK (0)"); n < 2 || strings.Contains(out, "SUBACK") {
				t.Errorf("the subscription was answered, or the connection not cut: %s", out)
			}
		})
	}
	if ev, err := events.TryNext(t.Context()); ev != nil || err != nil {
		t.Errorf("an event arrived: %v, %v", ev, err)
	}
}

// received is what one line of mosquitto_sub tells.
type received struct {
	QoS, Topic, Body string
}

var printAll = []string{"-F", "%q %t %x"}

func parseReceived(t *testing.T, out string) (all []received) {
	t.Helper()
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(f) != 3 {
			t.Fatalf("line %q", line)
		}
		body, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, received{f[0], f[1], string(body)})
	}
	return all
}

// receives runs a program and compares what it receives.
func (m *mosquitto) receives(t *testing.T, want []received, program string, args ...string) {
	t.Helper()
	got := parseReceived(t, m.run(t, program, slices.Concat(printAll, args)...))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("received (-want +got)\n%s", diff)
	}
}

func (m *mosquitto) waiting(t *testing.T, want int) {
	t.Helper()
	if n, err := m.QueueLength(m.id); n != want || err != nil {
		t.Errorf("%d messages wait, want %d (%v)", n, want, err)
	}
}

func c2dToMosquitto(t *testing.T, m *mosquitto) {
	for i, filter := range []string{m.topic("devicebound/#"), "devices/+/messages/devicebound/#"} {
		m.sendC2D(t, m.id, hubwire.Message{
			Body: allBytes(), ID: "m 1", CorrelationID: "c", ContentType: "text/plain", Ack: hubwire.AckPositive,
			Properties: hubProps(props("a b", "~!*'()", "e", "")),
		})
		m.sendC2D(t, m.id, hubwire.Message{Body: []byte("2")})
		qos := fmt.Sprint(1 - i)
		to := "%24.to=%2Fdevices%2F" + m.id.DeviceID + "%2Fmessages%2Fdevicebound"
		m.receives(t, []received{
			{qos, m.topic("devicebound/%24.cid=c&%24.mid=m%201&" + to + "&%24.ct=text%2Fplain&iothub-ack=positive&a%20b=%7E%21%2A%27%28%29&e="), string(allBytes())},
			{qos, m.topic("devicebound/" + to), "2"},
		}, "mosquitto_sub", "-q", qos, "-C", "2", "-t", filter)
		m.queueIsEmpty(t, m.id)
	}
}

// sessionsOfMosquitto has messages for a kept session, and for one that is clean.
func sessionsOfMosquitto(t *testing.T, m *mosquitto) {
	const another = "$iothub/twin/res/#" // a subscription to something else
	want := []received{{"1", m.topic("devicebound/%24.to=%2Fdevices%2F" + m.id.DeviceID + "%2Fmessages%2Fdevicebound"), "x"}}
	m.run(t, "mosquitto_sub", "-c", "-q", "1", "-E", "-t", m.topic("devicebound/#"))
	m.sendC2D(t, m.id, hubwire.Message{Body: []byte("x")})
	m.receives(t, want, "mosquitto_sub", "-c", "-C", "1", "-t", another) // by the subscription that was kept
	m.queueIsEmpty(t, m.id)

	m.run(t, "mosquitto_sub", "-E", "-t", another) // clean, so all is forgotten
	m.sendC2D(t, m.id, hubwire.Message{Body: []byte("x")})
	m.receives(t, nil, "mosquitto_sub", "-c", "-E", "-t", another)
	m.waiting(t, 1)
	m.receives(t, want, "mosquitto_sub", "-q", "1", "-C", "1", "-t", m.topic("devicebound/#"))
	m.queueIsEmpty(t, m.id)
}

// willOfMosquitto lets one client say good-bye, and kills another.
func willOfMosquitto(t *testing.T, m *mosquitto) {
	events := m.events(t, m.id)
	with := func(will string) []string {
		return []string{"-t", "$iothub/twin/res/#", "--will-topic", m.topic("events/a=b"), "--will-payload", will, "--will-qos", "1"}
	}
	m.run(t, "mosquitto_sub", append(with("left in peace"), "-E")...)
	m.connected(t, m.id, false)
	cmd := m.command(within(t), "mosquitto_sub", with("killed")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.connected(t, m.id, true)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	arrives(t, events, hubwire.Message{Body: []byte("killed"), Properties: hubProps(props("a", "b", "iothub-MessageType", "Will"))})
}

// methodOfMosquitto sees a call. It cannot answer: the answer has to come on the same connection.
func methodOfMosquitto(t *testing.T, m *mosquitto) {
	failed := make(chan error, 1)
	go func() {
		_, err := m.Invoke(within(t), m.id, hubwire.MethodRequest{Name: "reboot", Payload: []byte(`{"in":5}`)}, &hub.InvokeOptions{ConnectTimeout: patience})
		failed <- err
	}()
	got := parseReceived(t, m.run(t, "mosquitto_sub", slices.Concat(printAll, []string{"-C", "1", "-t", "$iothub/methods/POST/#"})...))
	if len(got) != 1 || !strings.HasPrefix(got[0].Topic, "$iothub/methods/POST/reboot/?$rid=") || got[0].Body != `{"in":5}` {
		t.Errorf("received %+v", got)
	}
	if err := <-failed; !errors.Is(err, hubwire.ConnectionClosedRemotely) {
		t.Errorf("the call: %v", err)
	}
}
