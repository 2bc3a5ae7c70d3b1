package service_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/service"
)

// endpointPeer is a hub that redirects to an endpoint at this port, which has a log of events.
func endpointPeer(port *atomic.Int64, log int) *peer {
	p := new(peer)
	p.refuse = func(address string) *amqp10.Error {
		if strings.HasPrefix(address, "messages/events") {
			return redirectTo(amqp.Redirect{Hostname: "hub.example", Port: uint16(port.Load()), Address: "amqps://hub.example/eh/$management"})
		}
		return nil
	}
	p.messages = func(_ string, from amqp.Start) (all [][]byte) {
		last, _ := strconv.Atoi(from.Offset)
		for n := last + 1; n <= log; n++ {
			all = append(all, amqp.AppendEvent(nil, &amqp.Event{
				Received: &hubwire.Received{SequenceNumber: int64(n), EnqueuedTime: time.Now()}, Offset: strconv.Itoa(n),
			}))
		}
		return all
	}
	return p
}

func at(port int64) *atomic.Int64 {
	p := new(atomic.Int64)
	p.Store(port)
	return p
}

// readLog reads the log of one partition, which must come in order and once.
func readLog(t *testing.T, c *service.Client, log int) {
	t.Helper()
	n := 0
	for ev, err := range c.Events(t.Context(), &service.EventOptions{Partitions: []string{"0"}, Prefetch: 7}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; ev.SequenceNumber != int64(n) {
			t.Fatalf("event %d comes after %d", ev.SequenceNumber, n-1)
		}
		if n == log {
			break
		}
	}
}

// TestEventsGoOnAfterEachEnd has the peer end link, session or connection with each condition that can pass,
// again and again.
func TestEventsGoOnAfterEachEnd(t *testing.T) {
	const log, each = 100, 9
	conditions := []amqp.Condition{
		"", amqp.DetachForced, amqp.InternalError, amqp.ServerBusy, amqp.Timeout, amqp.OperationCancelled, amqp.ResourceLocked,
		amqp.TransferLimitExceeded, amqp.ConnectionForced, amqp.FramingError, amqp.ErrantLink, "com.example:unheard-of",
	}
	for level, end := range map[string]func(*amqpserver.Link, *amqp10.Error){
		"link":       func(l *amqpserver.Link, err *amqp10.Error) { l.Detach(err) },
		"session":    func(l *amqpserver.Link, err *amqp10.Error) { l.Session().End(err) },
		"connection": func(l *amqpserver.Link, err *amqp10.Error) { l.Conn().Close(err) },
		"network":    func(l *amqpserver.Link, _ *amqp10.Error) { l.Conn().Cut() },
	} {
		for _, condition := range conditions {
			t.Run(level+"/"+string(condition), func(t *testing.T) {
				p := endpointPeer(at(5671), log)
				n, ends := 0, 0
				p.sent = func(l *amqpserver.Link) {
					if n++; n%each == 0 {
						ends++
						go end(l, (&amqp.Error{Condition: condition}).Wire())
					}
				}
				if condition == "" {
					p.sent = func(l *amqpserver.Link) {
						if n++; n%each == 0 {
							ends++
							go end(l, nil)
						}
					}
				}
				withPeer(t, p, func(t *testing.T, p *peer, c *service.Client) {
					readLog(t, c, log)
					p.mu.Lock()
					defer p.mu.Unlock()
					if ends < log/each {
						t.Errorf("it ended %d times", ends)
					}
				})
			})
		}
	}
}

// TestEventsOfAPeerWithItsOwnMode has messages that must be settled, though the client wants none of that.
func TestEventsOfAPeerWithItsOwnMode(t *testing.T) {
	p := endpointPeer(at(5671), 50)
	p.unsettled = true
	withPeer(t, p, func(t *testing.T, p *peer, c *service.Client) {
		readLog(t, c, 50)
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.outcomes); n < 50 {
			t.Errorf("%d of 50 are settled", n)
		}
	})
}

// TestAnEndpointThatIsGone has the hub asked again where the events are.
func TestAnEndpointThatIsGone(t *testing.T) {
	port, gone := at(1001), new(atomic.Bool)
	p := endpointPeer(port, 1000) // more than it may send at once
	p.unreachable = func(addr string) bool { return gone.Load() && strings.HasSuffix(addr, ":1001") }
	n := 0
	p.sent = func(l *amqpserver.Link) {
		if n++; n == 10 {
			gone.Store(true)
			port.Store(1002)
			go l.Conn().Cut()
		}
	}
	withPeer(t, p, func(t *testing.T, p *peer, c *service.Client) {
		start := time.Now()
		readLog(t, c, 1000)
		if took := time.Since(start); took > 3*time.Minute {
			t.Errorf("it took %v", took)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		last := p.dials[len(p.dials)-1]
		if diff := cmp.Diff("hub.example:1002", last); diff != "" {
			t.Errorf("the last dial (-want +got):\n%s\n%q", diff, p.dials)
		}
	})
}
