package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// readEnvFile reads back what writeEnvFile wrote, for values without a quote.
func readEnvFile(t *testing.T, path string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		vars[name] = strings.Trim(value, "'")
	}
	return vars
}

// startHub runs hubwire hub on free ports, and returns the variables of its env file.
func startHub(t *testing.T, args ...string) (*job, map[string]string) {
	t.Helper()
	envFile := filepath.Join(t.TempDir(), "hub.env")
	j := start(t, "", append([]string{"hub", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--env-file", envFile}, args...)...)
	j.await(t, "ready")
	return j, readEnvFile(t, envFile)
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestTheEnvFileLeadsToTheHub(t *testing.T) {
	testkit.LeakCheck(t)
	j, vars := startHub(t, "--host", "myhub.local")
	pem, err := os.ReadFile(vars["HUBWIRE_CA_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("HUBWIRE_CA_FILE holds no certificate")
	}
	for _, port := range []string{"HUBWIRE_MQTT_PORT", "HUBWIRE_AMQP_PORT", "HUBWIRE_HTTPS_PORT"} {
		nc, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", vars[port]), &tls.Config{RootCAs: roots, ServerName: vars["HUBWIRE_HOST"]})
		if err != nil {
			t.Errorf("%s: %v", port, err)
			continue
		}
		nc.Close()
	}
	for name, want := range map[string]sas.Kind{
		"HUBWIRE_CONNECTION_STRING":          sas.KindService,
		"HUBWIRE_EVENTHUB_CONNECTION_STRING": sas.KindEventHub,
	} {
		cs, err := sas.ParseConnectionString(vars[name])
		if err != nil || cs.Kind != want {
			t.Errorf("%s: %v, %v", name, cs, err)
		}
		if !strings.Contains(j.stdout.String(), vars[name]) {
			t.Errorf("%s is not printed", name)
		}
	}
	if err := j.interrupt(); err != nil {
		t.Errorf("interrupted, the hub ended with %v", err)
	}
}

func TestNothingIsLeftOfAHubThatEnded(t *testing.T) {
	testkit.LeakCheck(t)
	envFile := filepath.Join(t.TempDir(), "hub.env")
	j := start(t, "", "hub", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--env-file", envFile)
	j.await(t, "ready")
	caFile := readEnvFile(t, envFile)["HUBWIRE_CA_FILE"]
	if err := j.interrupt(); err != nil {
		t.Fatal(err)
	}
	if exists(t, envFile) || exists(t, filepath.Dir(caFile)) {
		t.Error("the env file or the temporary folder of the certificate is still there")
	}
}

func TestAHubThatDoesNotStartLeavesTheEnvFileOfAnother(t *testing.T) {
	testkit.LeakCheck(t)
	envFile := filepath.Join(t.TempDir(), "hub.env")
	start(t, "", "hub", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--env-file", envFile).await(t, "ready")
	vars := readEnvFile(t, envFile)
	for name, args := range map[string][]string{
		"its port is taken":          {"--mqtt-port", vars["HUBWIRE_MQTT_PORT"], "--amqp-port", "0", "--https-port", "0"},
		"its name is none":           {"--host", "a;b"},
		"a consumer group is none":   {"--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--consumer-group", "a/b"},
		"an event source is none":    {"--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--event-source", "events"},
		"a device's id is not legal": {"--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--device", "a b"},
	} {
		if _, err := command(t, "", append([]string{"hub", "--env-file", envFile}, args...)...); err == nil {
			t.Errorf("%s, and the hub ran", name)
		}
		if !exists(t, envFile) {
			t.Fatalf("%s: the env file of the first hub is gone", name)
		}
	}
}

func TestFlagsOfEvents(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    hubFlags
		want hub.Config
	}{
		{"on the port of AMQP", hubFlags{amqpPort: 5671}, hub.Config{AMQPAddr: "127.0.0.1:5671"}},
		{"elsewhere", hubFlags{amqpPort: 5672, consumerGroups: []string{"a", "b"}, eventSources: []string{"twinChangeEvents"}}, hub.Config{
			AMQPAddr: "127.0.0.1:5672", NoRedirect: true, ConsumerGroups: []string{"a", "b"}, EventSources: []hub.EventSource{hub.SourceTwinChanges},
		}},
	} {
		got := tt.f.config(io.Discard)
		got.MQTTAddr, got.HTTPSAddr = "", ""
		if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreFields(hub.Config{}, "Intercept")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestAHubDoesNotStartOverAFileThatIsNoEnvFile(t *testing.T) {
	testkit.LeakCheck(t)
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte("notes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, "", "hub", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--env-file", path)
	if !errors.Is(err, errNoEnvFile) || out != "" {
		t.Errorf("got %v and %q, want %v before anything is printed", err, out, errNoEnvFile)
	}
	if b, err := os.ReadFile(path); string(b) != "notes\n" {
		t.Errorf("the file holds %q (%v)", b, err)
	}
}

func TestAHubEndsWithoutTheEnvFileThatAnotherWroteSince(t *testing.T) {
	testkit.LeakCheck(t)
	envFile := filepath.Join(t.TempDir(), "hub.env")
	args := []string{"hub", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--env-file", envFile}
	first := start(t, "", args...)
	first.await(t, "ready")
	second := start(t, "", args...)
	second.await(t, "ready")
	want := readEnvFile(t, envFile)
	if err := first.interrupt(); err != nil {
		t.Fatal(err)
	}
	if got := readEnvFile(t, envFile); got["HUBWIRE_MQTT_PORT"] != want["HUBWIRE_MQTT_PORT"] {
		t.Error("the env file is not the second hub's")
	}
	if err := second.interrupt(); err != nil || exists(t, envFile) {
		t.Errorf("the second hub ended with %v; its env file is there: %t", err, exists(t, envFile))
	}
}

func TestTheAuthorityOutlivesAHubWithData(t *testing.T) {
	testkit.LeakCheck(t)
	data := filepath.Join(t.TempDir(), "data")
	var before []byte
	for range 2 {
		j, vars := startHub(t, "--data", data)
		if got, want := vars["HUBWIRE_CA_FILE"], filepath.Join(data, "ca.pem"); got != want {
			t.Errorf("HUBWIRE_CA_FILE is %q, want %q", got, want)
		}
		if err := j.interrupt(); err != nil {
			t.Fatal(err)
		}
		pem, err := os.ReadFile(vars["HUBWIRE_CA_FILE"])
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && string(pem) != string(before) {
			t.Error("the second hub has another authority")
		}
		before = pem
	}
}

func TestTheHubRegistersTheDevicesThatItIsTold(t *testing.T) {
	testkit.LeakCheck(t)
	j, _ := startHub(t, "--device", "dev-1", "--device", "dev-2")
	for _, id := range []string{"dev-1", "dev-2"} {
		if !strings.Contains(j.stdout.String(), "HostName=localhost;DeviceId="+id+";SharedAccessKey=") {
			t.Errorf("no connection string of %s in\n%s", id, j.stdout)
		}
	}
}

func TestAHubThatCannotStartSaysWhichFlagHelps(t *testing.T) {
	testkit.LeakCheck(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := portOf(l.Addr().String())
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"the MQTT port is taken", []string{"--mqtt-port", taken, "--amqp-port", "0", "--https-port", "0"}, "port " + taken + " is taken: choose another with --mqtt-port, or 0 for any free one"},
		{"the AMQP port is taken", []string{"--mqtt-port", "0", "--amqp-port", taken, "--https-port", "0"}, "port " + taken + " is taken: choose another with --amqp-port, or 0 for any free one"},
		{"the HTTPS port is taken", []string{"--mqtt-port", "0", "--amqp-port", "0", "--https-port", taken}, "port " + taken + " is taken: choose another with --https-port, or 0 for any free one"},
		{"one port is asked for twice", []string{"--mqtt-port", "4711", "--https-port", "4711"}, "--mqtt-port and --https-port are both 4711"},
		{"another port is asked for twice", []string{"--amqp-port", "4711", "--https-port", "4711"}, "--amqp-port and --https-port are both 4711"},
		{"a port is no port", []string{"--mqtt-port", "65536"}, "--mqtt-port takes a number from 0 to 65535; see hubwire hub --help"},
		{"the name has a port", []string{"--host", "localhost:8884"}, `hubwire: start hub: 400004 ArgumentInvalid, not sent: HostName "localhost:8884" is not the name of a host`},
		{"the name is two", []string{"--host", "a;b=c"}, `hubwire: start hub: 400004 ArgumentInvalid, not sent: HostName "a;b=c" is not the name of a host`},
		{"a device id is not legal", []string{"--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--device", "a b"}, "--device a b: "},
		{"the env file has no folder", []string{"--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--env-file", filepath.Join(t.TempDir(), "no", "hub.env")}, "env file: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := command(t, "", append([]string{"hub"}, tt.args...)...)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestAPortThatIsNotPermittedNamesItsFlag(t *testing.T) {
	f := hubFlags{mqttPort: 8883, amqpPort: 5671, httpsPort: 443}
	for port, flag := range map[int]string{443: "--https-port", 5671: "--amqp-port", 8883: "--mqtt-port"} {
		refused := &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{Port: port}, Err: os.NewSyscallError("bind", syscall.EACCES)}
		want := fmt.Sprintf("port %d is not permitted to this user: choose another with %s, or 0 for any free one", port, flag)
		if got := f.explain(fmt.Errorf("hub: %w", refused)); got.Error() != want {
			t.Errorf("got  %v\nwant %s", got, want)
		}
	}
}

func TestSignalsEndTheHubWithExitCodeZero(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			if signal.Ignored(sig) {
				t.Skip("the test was started with the signal ignored, as by nohup, and the program leaves that so")
			}
			envFile := filepath.Join(t.TempDir(), "hub.env")
			c := program(t, "hub", "--mqtt-port", "0", "--amqp-port", "0", "--https-port", "0", "--env-file", envFile)
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && !strings.HasPrefix(lines.Text(), "ready") {
			}
			caFile := readEnvFile(t, envFile)["HUBWIRE_CA_FILE"]
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() {
			}
			if err := c.Wait(); err != nil {
				t.Errorf("the program ended with %v", err)
			}
			if exists(t, envFile) || exists(t, filepath.Dir(caFile)) {
				t.Error("the env file or the temporary folder of the certificate is still there")
			}
		})
	}
}

func TestTheProgramSaysWhatIsWrongInOneLine(t *testing.T) {
	for _, args := range [][]string{{"hub", "--no-such-flag"}, {"no-such-command"}, {"hub", "an argument"}} {
		out, err := program(t, args...).CombinedOutput()
		if err == nil {
			t.Errorf("%q: exit code 0", args)
		}
		if s := string(out); strings.Count(s, "\n") != 1 || !strings.HasPrefix(s, "hubwire: ") {
			t.Errorf("%q printed\n%s", args, s)
		}
	}
}
