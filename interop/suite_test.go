package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// patience is how long a test waits for anything. Nothing takes that long
// when all is well; it is half of the SDK's own four minutes of retries.
const patience = 2 * time.Minute

// wanted skips the test unless the suite was asked for, which interop/run does.
func wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("HUBWIRE_INTEROP") != "1" {
		t.Skip("not asked for (HUBWIRE_INTEROP=1): needs Node, npm packages, mosquitto, mosquitto-clients, openssl, python3-uamqp and the ports 443, 5671 and 8883; run it with: bash interop/run")
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// site is a hub on the ports that the SDKs have built in, where devices of
// another name each belong to one test.
type site struct {
	*hub.Hub
	caFile string
}

func openSite(t *testing.T, cfg hub.Config) *site {
	t.Helper()
	if given() {
		t.Skip("the hub of the environment has the ports that one inside the test needs")
	}
	dir := t.TempDir()
	cfg.MQTTAddr, cfg.HTTPSAddr, cfg.AMQPAddr, cfg.DataDir = "127.0.0.1:8883", "127.0.0.1:443", "127.0.0.1:5671", dir
	h, err := hub.Start(t.Context(), &cfg)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("the SDKs know no other ports than 443, 5671 and 8883 (root may listen on them, once): %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return &site{Hub: h, caFile: filepath.Join(dir, "ca.pem")}
}

var serial atomic.Int64

// device registers a new device, and gives its connection string.
func (s *site) device(t *testing.T) (hubwire.Identity, string) {
	t.Helper()
	id := hubwire.Identity{DeviceID: fmt.Sprintf("dev-%d", serial.Add(1))}
	return id, hubtest.Device(t, s.Hub, id.DeviceID)
}

// module registers a module of a new device.
func (s *site) module(t *testing.T) (hubwire.Identity, string) {
	t.Helper()
	id, _ := s.device(t)
	id.ModuleID = "mod-1"
	return id, hubtest.Module(t, s.Hub, id.DeviceID, id.ModuleID)
}

// events reads what id sends from now on.
func (s *site) events(t *testing.T, id hubwire.Identity) *hub.EventReader {
	t.Helper()
	r, err := s.Events(t.Context(), &hub.EventOptions{Identity: id, Latest: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// arrives waits for the next event and compares its message.
func arrives(t *testing.T, r *hub.EventReader, want hubwire.Message) *hub.Event {
	t.Helper()
	ev, err := r.Next(within(t))
	if err != nil {
		t.Fatalf("event: %v", err)
	}
	if diff := cmp.Diff(want, ev.Message, sameBytes); diff != "" {
		t.Errorf("event (-want +got)\n%s", diff)
	}
	return ev
}

// queueIsEmpty waits until all that was sent to id is settled.
func (s *site) queueIsEmpty(t *testing.T, id hubwire.Identity) {
	t.Helper()
	poll(t, "cloud-to-device messages are unsettled", func() bool {
		n, err := s.QueueLength(id)
		return err == nil && n == 0
	})
}

// connected waits until id is connected, or is not.
func (s *site) connected(t *testing.T, id hubwire.Identity, want bool) {
	t.Helper()
	poll(t, "the connection state is still the other", func() bool { return s.Connected(id) == want })
}

// poll waits until done is true, of what has no way to tell.
func poll(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	ctx := within(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(otherwise)
		}
	}
}

func (s *site) patchDesired(t *testing.T, id hubwire.Identity, patch string) int64 {
	t.Helper()
	twin, err := s.PatchTwin(within(t), id, hub.TwinUpdate{Desired: json.RawMessage(patch)}, "")
	if err != nil {
		t.Fatal(err)
	}
	return twin.Desired.Version
}

func (s *site) sendC2D(t *testing.T, id hubwire.Identity, m hubwire.Message) {
	t.Helper()
	if err := s.SendC2D(within(t), id, &m); err != nil {
		t.Fatal(err)
	}
}

// sameBytes takes nil and empty for the same, which no wire tells apart.
var sameBytes = cmp.Comparer(bytes.Equal)

// sameJSON compares JSON by value.
func sameJSON(t *testing.T, what string, want string, got []byte) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s %q: %v", what, got, err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}
