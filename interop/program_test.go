package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// program is a running `hubwire hub`, and what its env file says.
type program struct {
	env    map[string]string
	output *bytes.Buffer
}

var builds string // the directory for what tests build, which goes with the last of them

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "interop-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		builds = dir
		return m.Run()
	}())
}

// binary builds the program, for all tests.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(builds, "hubwire")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = filepath.FromSlash("../cmd/hubwire")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// startProgram starts the program's hub on the ports of its defaults. It is
// interrupted with the test, by its pid, and has to end well.
func startProgram(t *testing.T) *program {
	t.Helper()
	binary, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	envFile := filepath.Join(dir, "hub.env")
	p := &program{output: new(bytes.Buffer)}
	cmd := exec.Command(binary, "hub", "--env-file", envFile, "--data", filepath.Join(dir, "data"))
	cmd.Stderr = p.output // stdout has connection strings
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { stopProgram(t, cmd, ended, p) })
	poll(t, "hubwire hub wrote no env file", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("hubwire hub ended: %v\n%s", err, p.output)
		default:
		}
		_, err := os.Stat(envFile)
		return err == nil
	})
	p.env = readEnvFile(t, envFile)
	return p
}

func stopProgram(t *testing.T, cmd *exec.Cmd, ended <-chan error, p *program) {
	cmd.Process.Signal(syscall.SIGINT)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("hubwire hub ended: %v\n%s", err, p.output)
		}
	case <-time.After(patience):
		cmd.Process.Kill()
		t.Errorf("hubwire hub did not end when it was interrupted\n%s", p.output)
	}
}

// readEnvFile reads the file as a shell does.
func readEnvFile(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(within(t), "sh", "-c", `set -a; . "$1"; env -0`, "sh", name).Output()
	if err != nil {
		t.Fatalf("env file: %v", err)
	}
	env := map[string]string{}
	for v := range strings.SplitSeq(string(out), "\x00") {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "HUBWIRE_") {
			env[name] = value
		}
	}
	return env
}

// TestProgram lets the SDKs loose on the program itself, at both ends of it.
func TestProgram(t *testing.T) {
	wanted(t)
	p := startProgram(t)
	if got := p.env["HUBWIRE_HOST"] + " " + p.env["HUBWIRE_MQTT_PORT"] + " " + p.env["HUBWIRE_HTTPS_PORT"]; got != "localhost 8883 443" {
		t.Fatalf("the hub is at %q", got)
	}
	j := startJudge(t, p.env["HUBWIRE_CA_FILE"])
	office := j.office(t, p.env["HUBWIRE_CONNECTION_STRING"])
	t.Run("registry", func(t *testing.T) { registryDevices(t, office) })
	t.Run("registry of modules", func(t *testing.T) { registryModules(t, office) })
	t.Run("registry refuses another key", func(t *testing.T) {
		cs := swapKey(p.env["HUBWIRE_CONNECTION_STRING"], "SharedAccessKey=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		j.office(t, cs).fails(t, "UnauthorizedError", "", "list", nil)
	})
	for _, transport := range []string{"mqtt", "mqtt-ws"} {
		t.Run(transport, func(t *testing.T) {
			c := &client{program: p, judge: j, office: office, transport: transport}
			t.Run("device", c.device)
			t.Run("module", c.module)
		})
	}
}

// identity is of the registry's device or module what is looked at here.
type identity struct {
	DeviceID          string `json:"deviceId"`
	ModuleID          string `json:"moduleId,omitempty"`
	Status            string `json:"status,omitempty"`
	StatusReason      string `json:"statusReason,omitempty"`
	ConnectionState   string `json:"connectionState,omitempty"`
	ConnectionUpdated string `json:"connectionStateUpdatedTime,omitempty"`
	GenerationID      string `json:"generationId,omitempty"`
	ETag              string `json:"etag,omitempty"`
	ManagedBy         string `json:"managedBy,omitempty"`
	Waiting           int    `json:"cloudToDeviceMessageCount,omitempty"`
	Authentication    struct {
		Type         string `json:"type,omitempty"`
		SymmetricKey struct {
			Primary   string `json:"primaryKey,omitempty"`
			Secondary string `json:"secondaryKey,omitempty"`
		} `json:"symmetricKey"`
		X509 struct {
			Primary string `json:"primaryThumbprint,omitempty"`
		} `json:"x509Thumbprint"`
	} `json:"authentication"`
}

func answered[T any](t *testing.T, p *peer, action string, args any) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(p.do(t, action, args), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func registryDevices(t *testing.T, office *peer) {
	const awkward = "a:b.c%41+d#e?f;g@h$i'()" // all of it legal in an id
	byID := map[string]string{"deviceId": awkward}
	made := answered[identity](t, office, "create", byID)
	if made.DeviceID != awkward || made.Status != "enabled" || made.ConnectionState != "Disconnected" || made.ETag == "" ||
		made.GenerationID == "" || made.Authentication.Type != "sas" {
		t.Errorf("created %+v", redacted(made))
	}
	if k := made.Authentication.SymmetricKey; len(k.Primary) != 44 || len(k.Secondary) != 44 || k.Primary == k.Secondary {
		t.Error("the generated keys are not two of 32 bytes")
	}
	got := answered[identity](t, office, "get", byID)
	if diff := cmp.Diff(redacted(made), redacted(got)); diff != "" || made.Authentication != got.Authentication {
		t.Errorf("got (-created +got)\n%s", diff)
	}
	office.fails(t, "DeviceAlreadyExistsError", "", "create", byID)

	changed := made
	changed.Status, changed.StatusReason = "disabled", "ü €"
	changed = answered[identity](t, office, "update", changed)
	if changed.Status != "disabled" || changed.StatusReason != "ü €" || changed.Authentication != made.Authentication || changed.ETag == made.ETag {
		t.Errorf("updated to %+v", redacted(changed))
	}
	with := identity{DeviceID: "thumb"}
	with.Authentication.Type = "selfSigned"
	with.Authentication.X509.Primary = strings.Repeat("AB", 32)
	if made := answered[identity](t, office, "create", with); made.Authentication.Type != "selfSigned" ||
		!strings.EqualFold(made.Authentication.X509.Primary, with.Authentication.X509.Primary) {
		t.Errorf("created %+v", redacted(made))
	}
	var ids []string
	for _, d := range answered[[]identity](t, office, "list", nil) {
		ids = append(ids, d.DeviceID)
	}
	if diff := cmp.Diff([]string{awkward, "thumb"}, ids); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
	for _, id := range ids {
		office.do(t, "delete", map[string]string{"deviceId": id})
		office.fails(t, "DeviceNotFoundError", "", "get", map[string]string{"deviceId": id})
		office.fails(t, "DeviceNotFoundError", "", "delete", map[string]string{"deviceId": id})
	}
	office.gives(t, "[]", "list", nil)
	office.gives(t, `{"totalDeviceCount":0,"enabledDeviceCount":0,"disabledDeviceCount":0}`, "statistics", nil)
	office.fails(t, "ArgumentError", "", "create", map[string]string{"deviceId": "not/legal"})
}

// redacted is an identity that may be printed.
func redacted(d identity) identity {
	d.Authentication.SymmetricKey.Primary, d.Authentication.SymmetricKey.Secondary = "", ""
	return d
}

func registryModules(t *testing.T, office *peer) {
	dev, mod := map[string]string{"deviceId": "with-modules"}, map[string]string{"deviceId": "with-modules", "moduleId": "m+1"}
	office.fails(t, "DeviceNotFoundError", "", "addModule", mod)
	office.do(t, "create", dev)
	made := answered[identity](t, office, "addModule", mod)
	if made.ModuleID != "m+1" || made.Authentication.Type != "sas" || len(made.Authentication.SymmetricKey.Primary) != 44 {
		t.Errorf("created %+v", redacted(made))
	}
	got := answered[identity](t, office, "getModule", mod)
	if diff := cmp.Diff(redacted(made), redacted(got)); diff != "" || made.Authentication != got.Authentication {
		t.Errorf("got (-created +got)\n%s", diff)
	}
	if all := answered[[]identity](t, office, "modules", dev); len(all) != 1 || all[0].ModuleID != "m+1" {
		t.Errorf("%d modules", len(all))
	}
	office.do(t, "removeModule", mod)
	office.gives(t, "[]", "modules", dev)
	office.do(t, "delete", dev)
}
