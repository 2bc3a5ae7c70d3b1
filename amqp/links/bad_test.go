package links

import (
	"errors"
	"fmt"
	"math"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// appender is what the peer can send.
type appender interface{ AppendTo([]byte) []byte }

// TestAPeerThatBreaksTheProtocol costs a link, its session or the connection, which all come back.
func TestAPeerThatBreaksTheProtocol(t *testing.T) {
	some := func(n uint32) amqp10.Opt[uint32] { return amqp10.Some(n) }
	frame := func(channel func(c *peerConn) uint16, p appender) func(*peerConn) {
		return func(c *peerConn) { c.send(channel(c), p) }
	}
	mine := func(c *peerConn) uint16 { return c.link(eventsOf1).channel }
	for name, send := range map[string]func(c *peerConn){
		"text":                   func(c *peerConn) { c.raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"zeros":                  func(c *peerConn) { c.raw(make([]byte, 100)) },
		"another header":         func(c *peerConn) { c.raw(amqp10.AppendProtocol(nil, amqp10.ProtocolAMQP)) },
		"a frame that is huge":   func(c *peerConn) { c.raw([]byte{0x7f, 0xff, 0xff, 0xff, 2, 0, 0, 0}) },
		"a frame too large":      func(c *peerConn) { c.raw([]byte{0, 1, 0, 1, 2, 0, 0, 0}) },
		"a frame of 7 bytes":     func(c *peerConn) { c.raw([]byte{0, 0, 0, 7, 2, 0, 0, 0}) },
		"a data offset beyond":   func(c *peerConn) { c.raw([]byte{0, 0, 0, 8, 9, 0, 0, 0}) },
		"a performative of none": func(c *peerConn) { c.raw([]byte{0, 0, 0, 12, 2, 0, 0, 0, 0, 0x53, 0x7f, 0x45}) },
		"half a performative":    func(c *peerConn) { c.raw([]byte{0, 0, 0, 12, 2, 0, 0, 0, 0, 0x53, 0x16, 0xc0}) },
		"a flow without credit": frame(mine, &amqp10.Flow{
			NextIncomingID: some(0), IncomingWindow: 5000, OutgoingWindow: 1, Handle: some(1),
		}),
		"a disposition of all deliveries": frame(mine, &amqp10.Disposition{
			Role: amqp10.RoleReceiver, Last: some(math.MaxUint32), Settled: amqp10.Some(true), State: amqp10.Accepted(),
		}),
		"a disposition of very many": frame(mine, &amqp10.Disposition{
			Role: amqp10.RoleReceiver, Last: some(1 << 30), Settled: amqp10.Some(true), State: amqp10.Accepted(),
		}),
		"a begin that answers none": frame(mine, &amqp10.Begin{RemoteChannel: amqp10.Some[uint16](99), IncomingWindow: 1}),
		"a begin of its own":        frame(mine, &amqp10.Begin{IncomingWindow: 1}),
		"an attach of its own":      frame(mine, &amqp10.Attach{Name: []byte("peer's"), Handle: 7}),
		"a second open":             frame(func(*peerConn) uint16 { return 0 }, &amqp10.Open{MaxFrameSize: some(1)}),
		"a message to a sender":     func(c *peerConn) { c.deliver(c.link(eventsOf1), nil) },
		"an end of no session":      frame(func(*peerConn) uint16 { return 77 }, &amqp10.End{}),
		"an error with a list for a key": frame(mine, &amqp10.Detach{Handle: 1, Error: &amqp10.Error{
			Condition: amqp10.InternalError, Info: oddMap(),
		}}),
		"a flow with such properties": frame(mine, &amqp10.Flow{
			NextIncomingID: some(0), IncomingWindow: 5000, OutgoingWindow: 1, Properties: oddMap(),
		}),
		"messages without credit": func(c *peerConn) {
			for range 2*atOnce + 10 {
				c.deliver(c.receiving(), nil)
			}
		},
		"a message without end": func(c *peerConn) {
			l := c.receiving()
			for range 4<<20/60000 + 2 {
				b := amqp10.OpenFrame(nil, amqp10.FrameAMQP, l.channel)
				b = (&amqp10.Transfer{
					Handle: l.handle + 1, DeliveryID: some(c.id), DeliveryTag: []byte{1}, MessageFormat: some(0), More: amqp10.Some(true),
				}).AppendTo(b)
				c.raw(amqp10.CloseFrame(append(b, make([]byte, 60000)...), 0))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				var log, ofConn states
				c := p.conn(func(o *Options) { o.OnState = ofConn.on })
				e, s := p.device(c, "d1", func(cfg *entityConfig) { cfg.onState = log.on })
				opened(t, e)
				bad := p.last()
				bad.do(func() { send(bad) })
				time.Sleep(time.Minute)
				sent(t, s, "one")
				synctest.Wait()
				if log.seen()[len(log.seen())-1] != "connected" || p.dialled() > 2 {
					t.Errorf("the device is %v, after %d connections", log.seen(), p.dialled())
				}
				if err := ofConn.reason(1); p.dialled() == 2 && (!errors.Is(err, net.ErrClosed) || !errors.Is(err, ErrProtocol)) {
					t.Errorf("the reason is %v", err)
				}
			})
		})
	}
}

// oddMap is a map whose value is one with a list for a key.
func oddMap() amqp10.Value {
	inner := amqp10.OpenCompound(nil)
	inner = amqp10.CloseMap(amqp10.AppendNull(append(inner, amqp10.CodeList0)), 0, 2)
	outer := amqp10.OpenCompound(nil)
	return amqp10.ValueOf(amqp10.CloseMap(append(amqp10.AppendSymbol(outer, "k"), inner...), 0, 2))
}

// receiving is the link that the client gets the answers to its tokens on.
func (c *peerConn) receiving() *peerLink {
	for _, l := range c.links {
		if l.receives && l.address == cbsAddress {
			return l
		}
	}
	c.p.t.Fatal("the client receives nothing")
	return nil
}

func TestAPeerThatIsNoneIsTriedAgain(t *testing.T) {
	for name, answer := range map[string][]byte{
		"that speaks HTTP":            []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"that wants TLS":              amqp10.AppendProtocol(nil, amqp10.ProtocolTLS),
		"that speaks another version": {'A', 'M', 'Q', 'P', 3, 0, 9, 1},
		"that offers no mechanism":    append(amqp10.AppendProtocol(nil, amqp10.ProtocolSASL), saslFrame((&amqp10.SASLMechanisms{}).AppendTo(nil))...),
		"that refuses SASL":           append(amqp10.AppendProtocol(nil, amqp10.ProtocolSASL), saslFrame((&amqp10.SASLOutcome{Code: amqp10.SASLAuth}).AppendTo(nil))...),
		"that wants small frames":     append(amqp10.AppendProtocol(nil, amqp10.ProtocolSASL), openFrame(&amqp10.Open{MaxFrameSize: amqp10.Some[uint32](10)})...),
		"that says nothing":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				var ofConn states
				p.greet = func(c *peerConn) bool {
					if p.dialled() > 2 {
						return false
					}
					c.raw(answer)
					return true
				}
				c := p.conn(func(o *Options) { o.OnState = ofConn.on })
				e, s := p.device(c, "d1", nil)
				opened(t, e)
				sent(t, s, "one")
				if p.dialled() != 3 {
					t.Errorf("%d connections", p.dialled())
				}
				synctest.Wait()
				if ofConn.reason(0) == nil || fmt.Sprint(ofConn.seen()) != "[connecting connecting connected]" {
					t.Errorf("%v, %v", ofConn.seen(), ofConn.reason(0))
				}
			})
		})
	}
}

func saslFrame(body []byte) []byte {
	return amqp10.CloseFrame(append(amqp10.OpenFrame(nil, amqp10.FrameSASL, 0), body...), 0)
}

func openFrame(o *amqp10.Open) []byte {
	return amqp10.CloseFrame(o.AppendTo(amqp10.OpenFrame(nil, amqp10.FrameAMQP, 0)), 0)
}

func TestAnEndInTheMidstOfAnAttach(t *testing.T) {
	for name, end := range map[string]func(c *peerConn, channel uint16, body []byte){
		"of the link, attached first": func(c *peerConn, channel uint16, body []byte) {
			c.attach(channel, body)
			c.detach(c.link(eventsOf1), amqp.DetachForced)
		},
		"of the session":    func(c *peerConn, _ uint16, _ []byte) { c.end(c.link(eventsOf1), amqp.InternalError) },
		"of the connection": func(c *peerConn, _ uint16, _ []byte) { c.close(amqp.ConnectionForced) },
		"of the network":    func(c *peerConn, _ uint16, _ []byte) { c.nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(t *testing.T, p *peer) {
				var times atomic.Int32
				p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
					if what != amqp10.DescAttach || linkOf(channel, body).address != eventsOf1 || times.Add(1) > 2 {
						return false
					}
					end(c, channel, body)
					return true
				}
				c := p.conn(nil)
				e, s := p.device(c, "d1", nil)
				opened(t, e)
				time.Sleep(time.Minute)
				sent(t, s, "one")
				if times.Load() != 3 {
					t.Errorf("%d attaches", times.Load())
				}
			})
		})
	}
}
