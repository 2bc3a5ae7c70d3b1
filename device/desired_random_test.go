package device_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// meddler changes the desired properties, and meddles with the connection, in the middle
// of the hub's operations: whatever can happen between two steps of a client, does.
type meddler struct {
	mu   sync.Mutex
	r    *rand.Rand
	left int // changes
	hub  atomic.Pointer[hub.Hub]
	over atomic.Bool
}

func (s *meddler) n(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.IntN(n)
}

func (s *meddler) intercept(_ context.Context, op *hub.Op) (v hub.Verdict) {
	h := s.hub.Load()
	if h == nil || s.over.Load() || op.Identity != dev {
		return v
	}
	switch op.Kind {
	case hub.OpConnect, hub.OpSubscribe, hub.OpTwinGet, hub.OpTwinDesired:
	default:
		return v
	}
	for range s.n(3) {
		s.change(h)
	}
	switch s.n(10) {
	case 0:
		v.DropBefore = true
	case 1:
		v.DropAfter = true
	case 2:
		v.SwallowAck = true
	case 3:
		v.Delay = time.Duration(s.n(2000)) * time.Millisecond
	case 4:
		switch op.Kind {
		case hub.OpTwinGet:
			v.Refuse = hubwire.Throttled
		case hub.OpTwinDesired:
			v.Refuse = hubwire.ServerError // it is not sent
		}
	}
	return v
}

// change patches the desired properties, or replaces them; an identity that is gone has none.
func (s *meddler) change(h *hub.Hub) {
	s.mu.Lock()
	s.left--
	left := s.left
	s.mu.Unlock()
	if left < 0 {
		return
	}
	patch := json.RawMessage(fmt.Sprintf(`{"k%d":%d,"deep":{"k%d":%d},"last":%d}`, s.n(5), left, s.n(3), left, left))
	if s.n(4) == 0 {
		_, _ = h.ReplaceTwin(context.Background(), dev, hub.TwinUpdate{Desired: patch}, "")
		return
	}
	if s.n(4) == 0 {
		patch = json.RawMessage(fmt.Sprintf(`{"k%d":null,"last":%d}`, s.n(5), left))
	}
	_, _ = h.PatchTwin(context.Background(), dev, hub.TwinUpdate{Desired: patch}, "")
}

// replica is the desired properties as a consumer of changes has them.
type replica struct {
	state   map[string]any
	version int64
	full    int // changes that were whole
	anew    int // times at which the versions began again
}

// apply makes a change, and tells what is wrong with its version.
func (r *replica) apply(d hubwire.DesiredChange) error {
	before := r.version
	r.version = d.Version
	var change map[string]any
	if err := json.Unmarshal(d.JSON, &change); err != nil {
		return err
	}
	if d.Full {
		r.state, r.full = change, r.full+1
		if d.Version <= before {
			r.anew++
		}
		return nil
	}
	r.state = merge(r.state, change)
	if d.Version != before+1 {
		return fmt.Errorf("a patch has version %d, after %d", d.Version, before)
	}
	return nil
}

// merge is RFC 7396.
func merge(state, patch map[string]any) map[string]any {
	if state == nil {
		state = map[string]any{}
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(state, k)
		case map[string]any:
			inner, _ := state[k].(map[string]any)
			state[k] = merge(inner, v)
		default:
			state[k] = v
		}
	}
	return state
}

func TestDesiredEndsUpAsTheHubHasItWhateverHappensInBetween(t *testing.T) {
	for seed := range uint64(10) {
		for _, remade := range []bool{false, true} {
			s := &meddler{r: rand.New(rand.NewPCG(seed, 0)), left: 150}
			name := fmt.Sprintf("seed %d, device made anew: %v", seed, remade)
			overEach(t, hub.Config{Intercept: s.intercept}, func(t *testing.T, b *bench) {
				s.left = 150
				s.over.Store(false)
				defer s.hub.Store(nil)
				if err := meddle(b, s, remade); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			if t.Failed() {
				return
			}
		}
	}
}

// meddle runs one round and compares what comes of it.
func meddle(b *bench, s *meddler, remade bool) error {
	var away atomic.Bool
	c := b.dial(b.device, func(o *device.Options) {
		o.AckTimeout = 10 * time.Second // what is swallowed is to be missed soon
		o.OperationTimeout = 20 * time.Second
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if away.Load() {
				return nil, errors.New("no network")
			}
			return b.hub.Dial(ctx, network, addr)
		}
	})
	// Versions that went back tell of a device that was made anew: of the desired
	// properties, which may have come as far again, or of the reported.
	if _, err := c.Report(b.t.Context(), map[string]int{"n": 1}); err != nil {
		return err
	}
	s.hub.Store(b.hub)
	go func() {
		defer s.over.Store(true)
		for i := range 30 {
			time.Sleep(time.Duration(s.n(3000)) * time.Millisecond)
			s.change(b.hub)
			switch {
			case i == 15 && remade:
				away.Store(true)
				b.hub.Disconnect(dev)
				synctest.Wait()
				if err := b.remake(); err != nil {
					b.t.Error(err)
				}
				for range s.n(20) {
					s.change(b.hub)
				}
				away.Store(false)
			case s.n(6) == 0:
				b.hub.Disconnect(dev)
			}
		}
	}()
	time.AfterFunc(3*time.Minute, func() { b.wish(`{"end":true}`) }) // long after
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Hour)
	defer cancel()
	var got replica
	for d, err := range c.Desired(ctx) {
		if err != nil {
			return fmt.Errorf("after version %d: %w", got.version, err)
		}
		if err := got.apply(d); err != nil {
			return err
		}
		if got.state["end"] == true {
			break
		}
	}
	twin, err := b.hub.Twin(b.t.Context(), dev)
	if err != nil {
		return err
	}
	want := map[string]any{}
	if err := twin.Desired.Decode(&want); err != nil {
		return err
	}
	if diff := cmp.Diff(want, got.state); diff != "" {
		return fmt.Errorf("(-want +got):\n%s", diff)
	}
	if got.version != twin.Desired.Version || got.anew > 1 || got.anew == 1 && !remade {
		return fmt.Errorf("version %d, want %d; the versions began again %d times", got.version, twin.Desired.Version, got.anew)
	}
	return nil
}

// remake deletes the device and makes it anew, with its keys.
func (b *bench) remake() error {
	old, err := b.hub.Device(dev)
	if err == nil {
		err = b.hub.Delete(b.t.Context(), dev)
	}
	if err == nil {
		_, err = b.hub.Create(b.t.Context(), &hub.Device{Identity: dev, PrimaryKey: old.PrimaryKey, SecondaryKey: old.SecondaryKey})
	}
	return err
}

func TestDesiredThatIsReplacedComesAsWhatChanged(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.wish(`{"stays":1,"goes":1}`)
		replace := func(desired string) {
			if _, err := b.hub.ReplaceTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(desired)}, ""); err != nil {
				t.Error(err)
			}
		}
		var got replica
		for d, err := range c.Desired(t.Context()) {
			if err == nil {
				err = got.apply(d)
			}
			if err != nil {
				t.Fatal(err)
			}
			switch d.Version {
			case 2:
				replace(`{"stays":1,"comes":{"a":1,"b":2}}`)
			case 3:
				replace(`{"comes":{"b":3}}`)
			case 4:
				b.hub.Disconnect(dev) // and while it is away
				synctest.Wait()
				replace(`{"last":true}`)
			}
			if d.Version == 5 {
				break
			}
		}
		if diff := cmp.Diff(map[string]any{"last": true}, got.state); diff != "" || got.anew > 0 {
			t.Errorf("the versions began again %d times (-want +got):\n%s", got.anew, diff)
		}
	})
}
