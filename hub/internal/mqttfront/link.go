package mqttfront

import (
	"strconv"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// What the hub sends by itself, other than messages: direct methods and changes
// of desired properties. Both go out at QoS 0, which the SDKs of all languages
// take, and are lost with the connection.

// conn is the [core.Link] of its session.
var _ core.Link = (*conn)(nil)

// Method implements [core.Link]. The request goes out at QoS 0, which every
// SDK takes; its id is the core's in hexadecimal.
func (c *conn) Method(call core.MethodCall) {
	c.push(len(call.Payload), func() {
		c.send(core.OpMethod, call.Name, call.Payload, func(dst []byte) []byte {
			at := len(dst)
			dst = mqtt.OpenPublish(dst, len(call.Payload))
			var rid [16]byte
			dst = topics.AppendMethodRequest(dst, call.Name, strconv.AppendUint(rid[:0], call.RequestID, 16))
			dst, _ = mqtt.ClosePublish(dst, at, &mqtt.Publish{Payload: call.Payload}) // the core bounds both
			return dst
		})
	})
}

// Desired implements [core.Link].
func (c *conn) Desired(d hubwire.DesiredChange) {
	body := core.WithVersion(d.JSON, d.Version)
	c.push(len(body), func() {
		c.send(core.OpTwinDesired, "", body, func(dst []byte) []byte {
			at := len(dst)
			dst = mqtt.OpenPublish(dst, len(body))
			dst = topics.AppendTwinDesired(dst, d.Version)
			dst, _ = mqtt.ClosePublish(dst, at, &mqtt.Publish{Payload: body}) // far below any limit
			return dst
		})
	})
}

// C2DReady implements [core.Link].
func (c *conn) C2DReady() {
	if !c.server.core.Intercepts() {
		c.pump(true) // without the function that push wants
		return
	}
	if c.pumpWaits.CompareAndSwap(false, true) { // one will see them all
		c.push(0, func() {
			c.pumpWaits.Store(false)
			c.pump(true)
		})
	}
}

// Close implements [core.Link]: over MQTT the hub says nothing, it cuts.
func (c *conn) Close(reason *hubwire.Error) {
	c.mu.Lock()
	c.closed = reason
	c.mu.Unlock()
	c.cut()
}

// send pushes a packet to the peer, when the intercept function lets it.
func (c *conn) send(kind core.OpKind, name string, body []byte, add func([]byte) []byte) {
	v, err := c.intercept(kind, name, nil, body)
	if err != nil {
		if refusal(err) == nil {
			c.cut()
		}
		return
	}
	c.out.push(true, add)
	c.dropAfter(v)
}

// dropAfter cuts the connection behind what was pushed, when the verdict says
// so. It may wait for the peer: there is a verdict only on the goroutine of pushes.
func (c *conn) dropAfter(v core.Verdict) {
	if v.DropAfter {
		c.out.drain()
		c.cut()
	}
}

// push calls f, which sends something of that many bytes that nobody asked for. With an intercept
// function, which may take its time where a link must not, it does so on a
// goroutine that lives as long as there is something to push.
func (c *conn) push(size int, f func()) {
	if !c.server.core.Intercepts() {
		f()
		return
	}
	if !c.pushes.add(size, f) {
		c.cut()
	}
}

// Bounds of what waits for the intercept function of one connection. There is room for the calls
// that the core lets be in flight, 4096 with 4 MiB, and as much again.
const (
	maxPushes    = 8192
	maxPushBytes = 8 << 20
)

// pushes calls functions in order, on a goroutine that lives while there are some.
type pushes struct {
	mu      sync.Mutex
	queue   []pushed
	bytes   int // of queue
	running bool
	closed  bool
	gone    chan struct{} // closed when the last goroutine is gone; made by close
}

type pushed struct {
	size int
	f    func()
}

// add adds a function, and reports whether there was room.
func (p *pushes) add(size int, f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return true
	}
	if len(p.queue) >= maxPushes || p.bytes > maxPushBytes {
		return false
	}
	p.queue = append(p.queue, pushed{size, f})
	p.bytes += size
	if !p.running {
		p.running = true
		go p.run()
	}
	return true
}

func (p *pushes) run() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 && !p.closed {
		next := p.queue[0]
		p.queue[0] = pushed{}
		p.queue = p.queue[1:]
		p.bytes -= next.size
		p.mu.Unlock()
		next.f()
		p.mu.Lock()
	}
	p.queue, p.running = nil, false
	if p.gone != nil {
		close(p.gone)
	}
}

// close drops what waits, and returns when nothing runs any more.
func (p *pushes) close() {
	p.mu.Lock()
	p.closed = true
	if !p.running {
		p.mu.Unlock()
		return
	}
	p.gone = make(chan struct{})
	p.mu.Unlock()
	<-p.gone
}
