package links

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

func TestATokenIsRenewedForDaysAndNothingElseIsTouched(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		var log states
		var asked atomic.Int32
		c := b.conn(func(o *Options) { o.OnState = log.on })
		var es []*entity
		var ss []*post
		var rs []*receiver
		for _, name := range []string{"a", "b", "c"} {
			id := hubwire.Identity{DeviceID: name}
			e, s := b.device(c, id, func(cfg *entityConfig) {
				cfg.onState = log.on
				cfg.tokens = counted{b.tokens(id), &asked}
			})
			r := e.receiver(c2d(id))
			opened(t, e)
			if _, _, err := r.link(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			es, ss, rs = append(es, e), append(ss, s), append(rs, r)
		}
		const renewals = 100
		every := sas.DefaultTTL / 5 * 4
		for range renewals {
			time.Sleep(every)
			sent(t, ss[0], "under way")
		}
		synctest.Wait()
		if n := asked.Load(); n != 3*(renewals+1) {
			t.Errorf("%d tokens for 3 devices and %d renewals", n, renewals)
		}
		for i := range es {
			_, of1, _ := ss[i].link(t.Context(), 0)
			_, of2, _ := rs[i].link(t.Context(), 0)
			if of1 != 1 || of2 != 1 || es[i].current() != Connected {
				t.Errorf("device %d: generations %d and %d, %v", i, of1, of2, es[i].current())
			}
		}
		if b.dialled() != 1 {
			t.Errorf("%d connections", b.dialled())
		}
		if diff := cmp.Diff([]string{"connected", "connected", "connected", "connected"}, log.seen()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
	})
}

// counted is a source that counts.
type counted struct {
	sas.TokenSource
	n *atomic.Int32
}

func (c counted) Token(ctx context.Context, audience string) (string, time.Time, error) {
	c.n.Add(1)
	return c.TokenSource.Token(ctx, audience)
}

// sourceFunc is a token source.
type sourceFunc func(ctx context.Context) (string, time.Time, error)

func (f sourceFunc) Token(ctx context.Context, _ string) (string, time.Time, error) { return f(ctx) }

func TestARefusedTokenEndsItsEntityAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		text   string
		code   hubwire.Code
		retry  bool
	}{
		"malformed":                    {400, "", hubwire.ArgumentInvalid, false},
		"a wrong signature":            {401, "", hubwire.Unauthorized, false},
		"a limit":                      {403, "", hubwire.MaxCBSTokenExceeded, false},
		"an unknown device":            {404, "", hubwire.DeviceNotFound, false},
		"a code in the description":    {401, `{"errorCode":403012,"trackingId":"t-1","message":"off"}`, hubwire.DeviceDisabled, false},
		"a busy hub":                   {503, "", hubwire.ServiceUnavailable, true},
		"a broken hub":                 {500, "", hubwire.ServerError, true},
		"throttling":                   {429, "", hubwire.Throttled, true},
		"a status that nobody uses":    {418, "", 0, false},
		"a code that is worth waiting": {400, `{"errorCode":503001,"message":"wait"}`, hubwire.ServiceUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				refusals := 2
				p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
					request, audience := putTokenOf(c, channel, what, body)
					if audience != "h/devices/d1" || refusals == 0 {
						return false
					}
					refusals--
					c.accept(channel, body)
					c.answer(channel, request, tt.status, tt.text)
					return true
				}
				c := p.conn(nil)
				e1, s1 := p.device(c, "d1", nil)
				e2, s2 := p.device(c, "d2", nil)
				opened(t, e2)
				begin := time.Now()
				err := e1.open(t.Context())
				if tt.retry {
					if err != nil || refusals != 0 || time.Since(begin) == 0 {
						t.Errorf("%v after %v, %d refusals left", err, time.Since(begin), refusals)
					}
					sent(t, s1, "one")
				} else if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Code != tt.code || e.Outcome != hubwire.Refused || e.Retryable {
					t.Errorf("open: %v", err)
				}
				sent(t, s2, "two")
				if p.dialled() != 1 || p.asked("attach $cbs") != 2 {
					t.Errorf("%d connections, %d links to $cbs", p.dialled(), p.asked("attach $cbs"))
				}
			})
		})
	}
}

// putTokenOf returns the message and its audience, if that is what comes in.
func putTokenOf(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) (request []byte, audience string) {
	if what != amqp10.DescTransfer {
		return nil, ""
	}
	if l := c.linkTo(channel, body); l == nil || l.address != cbsAddress {
		return nil, ""
	}
	var t amqp10.Transfer
	request, _ = t.Parse(body)
	m, err := amqp.ParseMessage(request)
	if err != nil {
		c.p.t.Error(err)
	}
	put, err := amqp.ParsePutToken(&m)
	if err != nil {
		c.p.t.Error(err)
	}
	return request, put.Name
}

func TestATokenSourceThatFails(t *testing.T) {
	broken := errors.New("the vault is closed")
	final := &hubwire.Error{Code: hubwire.Unauthorized, Outcome: hubwire.NotSent, Message: "no key"}
	now := func() time.Time { return time.Now() }
	for name, tt := range map[string]struct {
		first func(ctx context.Context) (string, time.Time, error)
		want  error // nil: it is tried again, until the source is well
	}{
		"is tried again":                      {func(context.Context) (string, time.Time, error) { return "", time.Time{}, broken }, nil},
		"that panics is tried again":          {func(context.Context) (string, time.Time, error) { panic("oh") }, nil},
		"that waits for ever is tried again":  {func(ctx context.Context) (string, time.Time, error) { <-ctx.Done(); return "", time.Time{}, ctx.Err() }, nil},
		"for good ends the entity":            {func(context.Context) (string, time.Time, error) { return "", time.Time{}, final }, final},
		"with an expired token ends it":       {func(context.Context) (string, time.Time, error) { return "token", now().Add(-time.Second), nil }, ErrExpiredToken},
		"with a token that expires now, too":  {func(context.Context) (string, time.Time, error) { return "token", now(), nil }, hubwire.Unauthorized},
		"with an empty token is refused well": {func(context.Context) (string, time.Time, error) { return "", time.Time{}, nil }, hubwire.ArgumentInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				calls := 0
				c := p.conn(func(o *Options) { o.OnPanic = nil })
				e1, s1 := p.device(c, "d1", func(cfg *entityConfig) {
					cfg.tokens = sourceFunc(func(ctx context.Context) (string, time.Time, error) {
						if calls++; calls < 3 {
							return tt.first(ctx)
						}
						return "token", time.Time{}, nil
					})
				})
				e2, s2 := p.device(c, "d2", nil)
				opened(t, e2)
				if err := e1.open(t.Context()); tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("open: %v", err)
				}
				if tt.want == nil {
					sent(t, s1, "one")
				} else if calls != 1 {
					t.Errorf("the source was asked %d times", calls)
				}
				sent(t, s2, "two")
				if p.dialled() != 1 {
					t.Errorf("%d connections", p.dialled())
				}
			})
		})
	}
}

func TestATokenThatIsTooOldIsNotShownOverAndOverWhileThereIsNoOther(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		var old atomic.Bool
		var asked atomic.Int64
		p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
			refused := old.Load() && what == amqp10.DescAttach && linkOf(channel, body).address == eventsOf1
			if refused {
				c.refuse(channel, body, fault(amqp.UnauthorizedAccess))
			}
			return refused
		}
		c := p.conn(nil)
		e, s := p.device(c, "d1", func(cfg *entityConfig) {
			cfg.tokens = sourceFunc(func(context.Context) (string, time.Time, error) {
				if asked.Add(1); old.Load() {
					return "", time.Time{}, errors.New("the vault is closed")
				}
				return "token", time.Now().Add(time.Hour), nil
			})
		})
		opened(t, e)
		time.Sleep(time.Minute)
		old.Store(true)
		p.last().do(func() { p.last().detach(p.last().link(eventsOf1), amqp.UnauthorizedAccess) })
		time.Sleep(time.Hour)
		if n, m := p.asked("attach "+eventsOf1), asked.Load(); n < 10 || n > 400 || m < 10 || m > 400 {
			t.Errorf("%d attaches in an hour, and the source was asked %d times", n, m)
		}
		old.Store(false)
		sent(t, s, "one")
	})
}

func TestWhoWasInIsSparedOnce(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		var log states
		var good atomic.Bool
		good.Store(true)
		c := p.conn(nil)
		e1, s1 := p.device(c, "d1", func(cfg *entityConfig) {
			cfg.onState = log.on
			cfg.tokens = sourceFunc(func(context.Context) (string, time.Time, error) {
				if good.Load() {
					return "token", time.Now().Add(time.Hour), nil
				}
				return "token", time.Now(), nil
			})
		})
		e2, s2 := p.device(c, "d2", nil)
		opened(t, e1)
		opened(t, e2)
		good.Store(false)
		time.Sleep(48*time.Minute + time.Nanosecond)
		good.Store(true)
		sent(t, s1, "with the token that there is")
		time.Sleep(time.Hour)
		if err := e1.err(); err != nil {
			t.Fatalf("after one expired token: %v", err)
		}
		good.Store(false)
		time.Sleep(time.Hour)
		<-e1.done()
		if err := e1.err(); !errors.Is(err, ErrExpiredToken) || !errors.Is(err, hubwire.Unauthorized) {
			t.Errorf("after two: %v", err)
		}
		if diff := cmp.Diff([]string{"connected", "closed"}, log.seen()); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		sent(t, s2, "two")
	})
}

// TestATokenExpiresWhileItsRenewalIsNotAnswered has the hub refuse links for tokens that were put a moment ago, and have had
// their time: that is for the next ones to mend.
func TestATokenExpiresWhileItsRenewalIsNotAnswered(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		const life, devices = 5 * time.Second, 8 // of which some are to be attached before they have another token
		puts := make(map[string]int)
		refused := 0
		p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
			if request, audience := putTokenOf(c, channel, what, body); request != nil {
				if puts[audience]++; puts[audience] == 2 {
					c.accept(channel, body)
					return true
				}
			}
			if what != amqp10.DescAttach {
				return false
			}
			for audience, n := range puts {
				if address := linkOf(channel, body).address; n == 2 && strings.HasSuffix(address, "/devicebound") && strings.HasPrefix(address, strings.TrimPrefix(audience, "h")) {
					refused++
					c.refuse(channel, body, fault(amqp.UnauthorizedAccess))
					return true
				}
			}
			return false
		}
		c := p.conn(func(o *Options) {
			o.OperationTimeout, o.MinBackoff, o.MaxBackoff = 3*time.Second, 5*time.Second, 5*time.Second
		})
		var es []*entity
		var rs []*receiver
		for i := range devices {
			id := hubwire.Identity{DeviceID: fmt.Sprint("d", i)}
			e, _ := p.device(c, id.DeviceID, func(cfg *entityConfig) {
				cfg.tokens = sourceFunc(func(context.Context) (string, time.Time, error) { return "token", time.Now().Add(life), nil })
			})
			r := e.receiver(c2d(id))
			opened(t, e)
			if _, _, err := r.link(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			es, rs = append(es, e), append(rs, r)
		}
		time.Sleep(life)
		pc := p.last()
		pc.do(func() {
			for _, l := range pc.links {
				if strings.HasSuffix(l.address, "/devicebound") {
					pc.detach(l, amqp.UnauthorizedAccess)
				}
			}
		})
		synctest.Wait()
		for i, r := range rs {
			if _, _, err := r.link(t.Context(), 1); err != nil || es[i].err() != nil {
				t.Errorf("%v, %v", err, es[i].err())
			}
		}
		if refused == 0 || p.dialled() != 1 {
			t.Errorf("%d refusals, %d connections", refused, p.dialled())
		}
	})
}

// TestATokenIsOverBeforeTheHubLooksAtIt has the hub so slow, again and again, that it refuses tokens which were good when they
// were sent.
func TestATokenIsOverBeforeTheHubLooksAtIt(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		const life, slow = 2 * time.Second, 4
		puts := 0
		p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
			if request, _ := putTokenOf(c, channel, what, body); request != nil {
				if puts++; puts <= slow {
					c.accept(channel, body)
					time.AfterFunc(life, func() { c.do(func() { c.answer(channel, request, 401, "it expired") }) })
					return true
				}
			}
			return false
		}
		e, s := p.device(p.conn(nil), "d1", func(cfg *entityConfig) {
			cfg.tokens = sourceFunc(func(context.Context) (string, time.Time, error) { return "token", time.Now().Add(life), nil })
		})
		opened(t, e)
		sent(t, s, "by the token that was looked at")
		if puts != slow+1 {
			t.Errorf("%d tokens", puts)
		}
	})
}
