package device

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire"
)

func TestAReceiverThatGoesLeavesItsMessageToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p peer
		c := p.client(t, peerCredentials, nil)
		got := make(chan string, 1)
		receive := func(ctx context.Context) {
			m, err := c.Receive(ctx)
			switch {
			case err == nil:
				got <- string(m.Body)
			case !errors.Is(err, context.Canceled):
				t.Error(err)
			}
		}
		in := &c.link.(*mqttLink).messages
		for i := range 50 {
			first, stopFirst := context.WithCancel(t.Context())
			go receive(first)
			synctest.Wait()
			second, stopSecond := context.WithCancel(t.Context())
			go receive(second)
			synctest.Wait()
			in.mu.Lock() // who waits longest is told first, and its context ends before it can look
			in.queue = append(in.queue, waiting{m: &hubwire.Received{Message: hubwire.Message{Body: fmt.Append(nil, i)}}})
			in.signal()
			stopFirst()
			in.mu.Unlock()
			synctest.Wait()
			select {
			case <-got:
			default:
				t.Errorf("nobody received message %d", i)
			}
			stopSecond()
			synctest.Wait()
		}
	})
}
