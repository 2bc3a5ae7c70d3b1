package links

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

func TestAnEntityThatDoesNotFit(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		plain := p.conn(nil)
		shown := p.conn(func(o *Options) { o.Certificate = true })
		for _, c := range []*Conn{plain, shown} {
			cfg := entityConfig{name: "there"}
			if c == plain {
				cfg.tokens = fixed("token")
			}
			if _, err := c.add(cfg); err != nil {
				t.Fatal(err)
			}
		}
		for name, tt := range map[string]struct {
			c    *Conn
			cfg  entityConfig
			want error
		}{
			"without a name":                      {plain, entityConfig{tokens: fixed("t")}, hubwire.ArgumentInvalid},
			"without tokens":                      {plain, entityConfig{name: "a"}, hubwire.ArgumentInvalid},
			"that is there already":               {plain, entityConfig{name: "there", tokens: fixed("t")}, ErrAlreadyOpen},
			"with tokens, beside a certificate":   {shown, entityConfig{name: "a", tokens: fixed("t")}, hubwire.ArgumentInvalid},
			"beside another, with a certificate":  {shown, entityConfig{name: "a"}, hubwire.ArgumentInvalid},
			"that is there, with its certificate": {shown, entityConfig{name: "there"}, ErrAlreadyOpen},
		} {
			var e *hubwire.Error
			if _, err := tt.c.add(tt.cfg); !errors.Is(err, tt.want) || !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestEntitiesComeAndGoOnAnOpenConnection(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		var log states
		c := b.conn(func(o *Options) { o.OnState = log.on })
		stays, s := b.device(c, hubwire.Identity{DeviceID: "stays"}, nil)
		opened(t, stays)
		const others, rounds = 30, 5
		tokens := make([]*sas.Source, others)
		for i := range tokens {
			tokens[i] = b.tokens(hubwire.Identity{DeviceID: fmt.Sprint(i)})
		}
		var all sync.WaitGroup
		for i := range others {
			id := hubwire.Identity{DeviceID: fmt.Sprint(i)}
			all.Go(func() {
				for range rounds {
					e, own := b.device(c, id, func(cfg *entityConfig) { cfg.tokens = tokens[i] })
					opened(t, e)
					sent(t, own, "hello")
					if !b.hub.Connected(id) {
						t.Errorf("%v is not connected", id)
					}
					if err := e.close(t.Context()); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Nanosecond) // in a bubble, until all is quiet: the hub may answer before it has taken note
					if b.hub.Connected(id) {
						t.Errorf("%v is still connected", id)
					}
					sent(t, s, "still here")
				}
			})
		}
		all.Wait()
		synctest.Wait()
		c.mu.Lock()
		left, net := len(c.entities), c.net
		c.mu.Unlock()
		if left != 1 || net == nil || b.dialled() != 1 || len(log.seen()) != 1 {
			t.Errorf("%d entities, %d connections, %v", left, b.dialled(), log.seen())
		}
	})
}

func TestWithoutEntitiesNobodyConnects(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.conn(nil)
		time.Sleep(time.Hour)
		if b.dialled() != 0 {
			t.Error("it is connected before anybody opens")
		}
		e, _ := b.device(c, dev, nil)
		opened(t, e)
		if err := e.close(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.cut()
		time.Sleep(time.Hour)
		if b.dialled() != 1 {
			t.Error("it is connected again, for nobody")
		}
		e, s := b.device(c, dev, nil)
		opened(t, e)
		sent(t, s, "one")
	})
}

func TestACertificateIsRenewedByANewConnection(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		var log, ofConn states
		c := p.conn(func(o *Options) {
			o.Certificate, o.OnState = true, ofConn.on
			o.Expires = func() time.Time { return time.Now().Add(10 * time.Hour) }
		})
		e, s := p.device(c, "d1", func(cfg *entityConfig) { cfg.tokens, cfg.onState = nil, log.on })
		opened(t, e)
		for i := range 3 {
			sent(t, s, "one")
			if n := p.dialled(); n != i+1 {
				t.Errorf("%d connections after %d certificates", n, i+1)
			}
			time.Sleep(8*time.Hour + time.Second)
		}
		if p.asked("transfer $cbs") != 0 || p.asked("sasl-init") != 0 {
			t.Error("a token was put")
		}
		want := []string{"connected", "renewing", "connected", "renewing", "connected", "renewing", "connected"}
		for _, log := range []*states{&log, &ofConn} {
			if diff := cmp.Diff(want, log.seen()); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			if err := log.reason(1); !errors.Is(err, ErrRenewal) {
				t.Errorf("the reason is %v", err)
			}
		}
	})
}

func TestHundredsOfEntitiesComeBack(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		c := p.conn(nil)
		const many = 300
		var ss []*post
		for i := range many {
			e, s := p.device(c, fmt.Sprint(i), nil)
			opened(t, e)
			ss = append(ss, s)
		}
		for range 3 {
			last := p.last()
			last.do(func() { last.close("") })
			time.Sleep(2 * time.Minute)
		}
		if p.dialled() != 4 {
			t.Errorf("%d connections", p.dialled())
		}
		for _, s := range ss {
			sent(t, s, "again")
		}
		if n := p.asked("transfer $cbs"); n != many*p.dialled() {
			t.Errorf("%d tokens on %d connections", n, p.dialled())
		}
	})
}
