package device_test

import (
	"bytes"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

func TestThePacketHookSeesAllButSecrets(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		seen := map[bool][]byte{}
		c := b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{Packet: func(sent bool, p []byte) {
				mu.Lock()
				defer mu.Unlock()
				seen[sent] = append(seen[sent], p...)
			}}
		})
		if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("telemetry")}); err != nil {
			t.Fatal(err)
		}
		b.tell(dev, "command")
		b.receive(c, "command")
		mu.Lock()
		defer mu.Unlock()
		if !bytes.Contains(seen[true], []byte("telemetry")) || !bytes.Contains(seen[false], []byte("command")) {
			t.Errorf("sent %q, received %q", seen[true], seen[false])
		}
		if bytes.Contains(seen[true], []byte("SharedAccessSignature")) || bytes.Contains(seen[true], []byte("sig=")) {
			t.Error("the token shows")
		}
	})
}

func TestAPanicInAnyFunctionOfTheProgramIsContained(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		told := map[any]bool{}
		c := b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{
				State:  func(device.State, error) { panic("state") },
				Packet: func(bool, []byte) { panic("packet") },
				HandlerPanic: func(v any, _ []byte) {
					mu.Lock()
					defer mu.Unlock()
					told[v] = true
					panic("and this too")
				},
			}
		})
		if err := c.SendAsync(t.Context(), &hubwire.Message{}, func(error) { panic("done") }); err != nil {
			t.Fatal(err)
		}
		b.next()
		b.hub.Disconnect(dev)
		b.awaitConnected(c)
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, where := range []string{"state", "packet", "done"} {
			if !told[where] {
				t.Errorf("nobody was told of the panic in %s: %v", where, told)
			}
		}
	})
}
