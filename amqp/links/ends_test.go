package links

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

const eventsOf1 = "/devices/d1/messages/events"

// conditions are those of spec/amqp.md part 7, and none, and one that nobody knows.
var conditions = []amqp.Condition{
	"", "amqp:unheard-of",
	amqp.InternalError, amqp.NotFound, amqp.UnauthorizedAccess, amqp.DecodeError, amqp.ResourceLimitExceeded,
	amqp.NotAllowed, amqp.InvalidField, amqp.NotImplemented, amqp.ResourceLocked, amqp.PreconditionFailed,
	amqp.ResourceDeleted, amqp.IllegalState, amqp.FrameSizeTooSmall, amqp.ConnectionForced, amqp.FramingError,
	amqp.ConnectionRedirect, amqp.WindowViolation, amqp.ErrantLink, amqp.HandleInUse, amqp.UnattachedHandle,
	amqp.DetachForced, amqp.TransferLimitExceeded, amqp.MessageSizeExceeded, amqp.LinkRedirect, amqp.Stolen,
	amqp.ArgumentError, amqp.ArgumentOutOfRange, amqp.HubNotFound, amqp.HubSuspended, amqp.QuotaExceeded,
	amqp.DeviceAlreadyExists, amqp.HubPreconditionFailed, amqp.MessageLockLost, amqp.DeviceContainerThrottled,
	amqp.Timeout, amqp.LinkCreationConflict, amqp.ServerBusy, amqp.OperationCancelled, amqp.EntityDisabled,
}

// two devices on one connection, of which the first is to meet trouble.
func two(t *testing.T, p *peer, log *states) (c *Conn, e1, e2 *entity, s1, s2 *post) {
	c = p.conn(nil)
	e1, s1 = p.device(c, "d1", func(cfg *entityConfig) {
		if log != nil {
			cfg.onState = log.on
		}
	})
	e2, s2 = p.device(c, "d2", nil)
	opened(t, e1)
	opened(t, e2)
	return c, e1, e2, s1, s2
}

func TestWhatThePeerEndsIsBroughtBack(t *testing.T) {
	for _, tt := range []struct {
		name     string
		end      func(c *peerConn, condition amqp.Condition)
		conns    int // afterwards
		attaches int // of the other device
	}{
		{"a link", func(c *peerConn, cond amqp.Condition) { c.detach(c.link(eventsOf1), cond) }, 1, 1},
		{"a session", func(c *peerConn, cond amqp.Condition) { c.end(c.link(eventsOf1), cond) }, 1, 1},
		{"the connection", func(c *peerConn, cond amqp.Condition) { c.close(cond) }, 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, condition := range conditions {
				withPeer(t, func(t *testing.T, p *peer) {
					var log states
					_, _, _, s1, s2 := two(t, p, &log)
					_, gen, _ := s2.link(t.Context(), 0)
					peer := p.last()
					peer.do(func() { tt.end(peer, condition) })
					synctest.Wait()
					if err := log.last(); !errors.Is(err, net.ErrClosed) || condition != "" && !errors.Is(err, condition) {
						t.Errorf("%q: the reason is %v", condition, err)
					}
					sent(t, s1, "again")
					sent(t, s2, "again")
					synctest.Wait()
					if diff := cmp.Diff([]string{"connected", "connecting", "connected"}, log.seen()); diff != "" {
						t.Errorf("%q: states (-want +got):\n%s", condition, diff)
					}
					if n := p.dialled(); n != tt.conns {
						t.Errorf("%q: %d connections, want %d", condition, n, tt.conns)
					}
					if n := p.asked("attach /devices/d2/messages/events"); n != tt.attaches {
						t.Errorf("%q: the other device was attached %d times, want %d", condition, n, tt.attaches)
					}
					if _, now, _ := s2.link(t.Context(), 0); now != gen+generation(tt.attaches-1) {
						t.Errorf("%q: the other device went from generation %d to %d", condition, gen, now)
					}
				})
			}
		})
	}
}

func TestARefusedLinkEndsItsEntityOrIsTriedAgain(t *testing.T) {
	for _, condition := range conditions {
		withPeer(t, func(t *testing.T, p *peer) {
			refusals := 2
			p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
				if what != amqp10.DescAttach || linkOf(channel, body).address != eventsOf1 || refusals == 0 {
					return false
				}
				refusals--
				c.refuse(channel, body, fault(condition))
				return true
			}
			c := p.conn(nil)
			e1, s1 := p.device(c, "d1", nil)
			e2, s2 := p.device(c, "d2", nil)
			opened(t, e2)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			err := e1.open(ctx)
			if final := condition != "" && (!condition.Retryable() || condition == amqp.LinkRedirect); !final {
				if err != nil {
					t.Errorf("%q: %v", condition, err)
				}
				sent(t, s1, "one")
			} else {
				e, ok := errors.AsType[*hubwire.Error](err)
				if !ok || !errors.Is(err, condition) || e.Outcome != hubwire.Refused || e.Code != condition.Code() {
					t.Errorf("%q: %v", condition, err)
				}
				if e1.current() != Closed || e1.err() == nil {
					t.Errorf("%q: the entity is %v, %v", condition, e1.current(), e1.err())
				}
				<-e1.done()
			}
			sent(t, s2, "two")
			if n := p.dialled(); n != 1 {
				t.Errorf("%q: %d connections", condition, n)
			}
		})
	}
}
