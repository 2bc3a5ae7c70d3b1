package links

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

func TestTraceShowsFramesAndNoSecrets(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		var all bytes.Buffer
		seen := map[string]int{}
		c := b.conn(func(o *Options) {
			o.Trace = func(sent bool, frame []byte) {
				mu.Lock()
				defer mu.Unlock()
				all.Write(frame)
				name := "received "
				if sent {
					name = "sent "
				}
				if frame[0] == 'A' {
					seen[name+"header"]++
					return
				}
				f, rest, err := amqp10.SplitFrame(frame, maxFrame)
				if err != nil || f == nil || len(rest) != 0 {
					t.Errorf("%x: %v", frame, err)
					return
				}
				if len(f.Body()) > 0 {
					name += amqp10.PeekDescriptor(f.Body()).String()
				}
				seen[name]++
			}
		})
		var tokens []string
		source := b.tokens(dev)
		e, s := b.device(c, dev, func(cfg *entityConfig) {
			cfg.tokens = sourceFunc(func(ctx context.Context) (string, time.Time, error) {
				token, expires, err := source.Token(ctx, sas.Audience(b.hub.HostName(), dev))
				tokens = append(tokens, token)
				return token, expires, err
			})
		})
		opened(t, e)
		sent(t, s, "in plain sight")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, name := range []string{
			"sent header", "received header", "sent sasl-init", "received sasl-outcome", "sent open", "received open",
			"sent begin", "received begin", "sent attach", "received attach", "sent transfer", "received transfer",
			"received disposition", "sent close", "received close",
		} {
			if seen[name] == 0 {
				t.Errorf("nothing was %s", name)
			}
		}
		text := all.String()
		if len(tokens) != 1 || strings.Contains(text, tokens[0]) || strings.Contains(text, "sig=") || strings.Contains(text, "anonymous") {
			t.Errorf("the trace shows a secret (%d tokens)", len(tokens))
		}
		if !strings.Contains(text, "in plain sight") {
			t.Error("the trace lacks a message")
		}
	})
}
