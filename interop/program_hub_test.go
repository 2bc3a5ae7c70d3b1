package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// program is a running `hubwire hub`: that of the environment, when there is one, or
// else one that starts with the first test that needs it and ends with the last. The official
// packages are at both of its ends. Nobody is alone there: tests run side by side,
// and so do runs. Ids begin with that of the run, and what all share, alone gives to one at a time.
type program struct {
	env      map[string]string
	run      string // begins every id
	last     atomic.Int64
	judge    *judge // of devices
	services *judge
	office   *peer            // the service, over REST
	desks    map[string]*peer // the service, over amqp and amqp-ws
	events   *feed
	leave    []func() error // what is to be done at the end, last first
	output   bytes.Buffer   // of the hub, but for its stdout, which has connection strings
}

// party is what all tests of the program share.
var party struct {
	start sync.Once
	*program
}

func TestMain(m *testing.M) {
	code := m.Run()
	if party.program != nil {
		if code != 0 {
			fmt.Printf("stderr of the devices' judge:\n%s\nof the services':\n%s\n", &party.judge.stderr, &party.services.stderr)
		}
		if err := party.close(); err != nil {
			fmt.Println("FAIL: the end of the program:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// given says whether there is a hub that runs already, which has the ports.
func given() bool { return os.Getenv("HUBWIRE_CONNECTION_STRING") != "" }

// join has a test run beside others at the program.
func join(t *testing.T) *program {
	t.Helper()
	wanted(t)
	t.Parallel()
	party.start.Do(func() {
		p := &program{run: serialOf(t), desks: map[string]*peer{}}
		party.program = p
		p.open(t)
	})
	if party.events == nil {
		t.Fatal("the program did not start")
	}
	return party.program
}

// serialOf makes the beginning of a run's ids.
func serialOf(t *testing.T) string {
	t.Helper()
	b := make([]byte, 4)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return "r" + hex.EncodeToString(b)
}

func (p *program) open(t *testing.T) {
	t.Helper()
	if given() {
		p.env = environment(os.Environ())
	} else {
		p.start(t)
	}
	if got := p.env["HUBWIRE_HOST"] + " " + p.env["HUBWIRE_MQTT_PORT"] + " " + p.env["HUBWIRE_AMQP_PORT"] + " " + p.env["HUBWIRE_HTTPS_PORT"]; got != "localhost 8883 5671 443" {
		t.Fatalf("the hub is at %q, and the SDKs know no other ports than 8883, 5671 and 443", got)
	}
	for _, j := range []**judge{&p.judge, &p.services} {
		made, err := launch(exec.Command("node", "judge.js"), "NODE_EXTRA_CA_CERTS="+p.env["HUBWIRE_CA_FILE"])
		if err != nil {
			t.Fatal(err)
		}
		*j = made
		p.leave = append(p.leave, made.end)
	}
	owner := p.env["HUBWIRE_CONNECTION_STRING"]
	p.office = p.services.office(t, owner)
	for _, transport := range amqpTransports {
		p.desks[transport] = p.services.add(t, "new office", setup{ConnectionString: owner, Transport: transport})
		p.desks[transport].do(t, "open", nil)
		p.leave = append(p.leave, p.desks[transport].leave)
	}
	p.events = p.newFeed(t)
}

// leave closes a client at the end of all tests.
func (p *peer) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := p.judge.call(ctx, p.name, "close", nil)
	return err
}

func (p *program) close() error {
	var errs []error
	for i := len(p.leave) - 1; i >= 0; i-- {
		errs = append(errs, p.leave[i]())
	}
	return errors.Join(errs...)
}

// start builds the program and starts its hub on the ports of its defaults. The
// shell interrupts it when its own input ends: at the end, and when this process is no more.
func (p *program) start(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		t.Fatal(err)
	}
	p.leave = append(p.leave, func() error { return os.RemoveAll(dir) })
	binary, envFile := filepath.Join(dir, "hubwire"), filepath.Join(dir, "hub.env")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = filepath.FromSlash("../cmd/hubwire")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command("sh", "-c", `exec 3<&0; "$0" "$@" & pid=$!; { cat <&3; kill $pid; } >/dev/null 2>&1 & wait $pid`,
		binary, "hub", "--env-file", envFile, "--data", filepath.Join(dir, "data"))
	cmd.Stderr = &p.output
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p.leave = append(p.leave, func() error {
		in.Close()
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("hubwire hub ended: %w\n%s", err, &p.output)
			}
			return nil
		case <-time.After(patience):
			return errors.New("hubwire hub did not end when it was told to")
		}
	})
	poll(t, "hubwire hub wrote no env file", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("hubwire hub ended: %v\n%s", err, &p.output)
		default:
		}
		_, err := os.Stat(envFile)
		return err == nil
	})
	p.env = readEnvFile(t, envFile)
}

// readEnvFile reads the file as a shell does.
func readEnvFile(t *testing.T, name string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(within(t), "sh", "-c", `set -a; . "$1"; env -0`, "sh", name).Output()
	if err != nil {
		t.Fatalf("env file: %v", err)
	}
	return environment(strings.Split(string(out), "\x00"))
}

// environment has the hub's variables among others.
func environment(all []string) map[string]string {
	env := map[string]string{}
	for _, v := range all {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "HUBWIRE_") {
			env[name] = value
		}
	}
	return env
}

// id makes an id that nobody else has.
func (p *program) id(what string) string {
	return fmt.Sprintf("%s-%s-%d", p.run, what, p.last.Add(1))
}

// alone waits until no other test, of this run or another, has what all of a hub
// share, and keeps it until the test ends.
func (p *program) alone(t *testing.T, what string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "hubwire-interop-"+what+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// register makes a device of a new id, or of the one that is given, which goes with the test.
func (p *program) register(t *testing.T, d identity) identity {
	t.Helper()
	if d.DeviceID == "" {
		d.DeviceID = p.id("dev")
	}
	made := answered[identity](t, p.office, "create", d)
	p.removes(t, d.DeviceID)
	return made
}

// removes has a device removed with the test, if it is still there.
func (p *program) removes(t *testing.T, id string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := p.services.call(ctx, p.office.name, "delete", address{DeviceID: id})
		if e, ok := err.(*sdkError); err != nil && (!ok || e.Name != "DeviceNotFoundError") {
			t.Errorf("delete: %v", err)
		}
	})
}
