package links

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

func TestAnIdleDeviceHasNoGoroutine(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.conn(nil)
		open := func(name string) {
			id := hubwire.Identity{DeviceID: name}
			d, err := c.Device(t.Context(), id, &DeviceOptions{Tokens: b.tokens(id)})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Send(t.Context(), &hubwire.Message{}); err != nil {
				t.Error(err)
			}
			if _, err := d.Twin(t.Context()); err != nil {
				t.Error(err)
			}
			if err := d.ServeMethods(t.Context(), func(hubwire.MethodRequest, MethodReply) {}); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := d.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			synctest.Wait()
		}
		open("first")
		before := runtime.NumGoroutine()
		const more = 20
		for i := range more {
			open(fmt.Sprint("more-", i))
		}
		if n := runtime.NumGoroutine() - before; n >= more/2 { // one that has just ended may be counted
			t.Errorf("%d more devices have %d more goroutines", more, n)
		}
	})
}
