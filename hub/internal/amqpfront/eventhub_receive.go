package amqpfront

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Reading events imitates Event Hubs: a link reads a partition for a consumer group, from where its filter
// says, and takes nothing away: events go out settled unless the link asks otherwise. Nothing is read ahead of what the peer has
// room for, so one that is slow holds nothing back. Left out: prefetch hints, geo-replication,
// and the partition key, which IoT Hub does not set either.

// eventHub is the Event Hubs-compatible name: the first label of the host's.
func (s *Server) eventHub() string {
	name, _, _ := strings.Cut(s.opt.HostName, ".")
	return name
}

// maxReaderName bounds what is kept of the name that a reader gives itself.
const maxReaderName = 64

// checkEventHub refuses another name.
func (c *conn) checkEventHub(name string) error {
	if name != "" && !strings.EqualFold(name, c.server.eventHub()) {
		return &hubwire.Error{Op: "attach", Code: hubwire.AMQPAddressNotFound, Outcome: hubwire.Refused, Message: "there is no such Event Hub"}
	}
	return nil
}

// events is the node that events come from.
type events struct {
	serving
	reader    *core.Consumer
	partition int
	metrics   bool // each event says how far the log is
}

func (c *conn) attachPartition(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	if err := c.checkEventHub(to.EventHub); err != nil {
		return nil, err
	}
	path := "/" + to.EventHub + "/ConsumerGroups/" + to.ConsumerGroup + "/Partitions/" + to.Partition
	s, err := c.serve(a, to, eventsPath(to, path))
	if err != nil {
		return nil, err
	}
	n := &events{serving: s, metrics: wants(a.Peer.DesiredCapabilities, amqp.RuntimeMetric)}
	o, err := consumerOptions(a.Peer, to)
	if err == nil {
		n.partition = o.Partition
		n.reader, err = c.server.core.Consume(c.ctx, o, n)
	}
	if err != nil {
		s.leave()
		return nil, err
	}
	if n.metrics {
		a.Reply.OfferedCapabilities = amqp10.ValueOf(amqp10.AppendSymbolArray(nil, amqp.RuntimeMetric))
	}
	return n, nil
}

// consumerOptions is what an attach asks for.
func consumerOptions(a *amqp10.Attach, to *amqp.Address) (*core.ConsumerOptions, error) {
	p, err := amqp.ParseLinkProperties(a.Properties)
	if err != nil {
		return nil, err
	}
	start, _, err := amqp.ParseFilter(a.Source.Value.Filter)
	if err != nil {
		return nil, err
	}
	o := &core.ConsumerOptions{Group: to.ConsumerGroup, Level: p.Epoch, Name: p.ReceiverName[:min(len(p.ReceiverName), maxReaderName)]}
	if o.Start, err = startOf(start); err != nil {
		return nil, err
	}
	var ok bool
	if o.Partition, ok = partitionOf(to.Partition); !ok {
		return nil, &hubwire.Error{Op: "attach", Code: hubwire.PartitionNotFound, Outcome: hubwire.Refused, Message: "the partition is not a number"}
	}
	return o, nil
}

// partitionOf returns the number that the id of a partition is: as $management lists them, so not "01".
func partitionOf(id string) (n int, ok bool) {
	n, err := strconv.Atoi(id)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == id
}

// startOf is where a filter begins. Without one it is the beginning, as with Event Hubs.
func startOf(s amqp.Start) (core.Start, error) {
	after := int64(1)
	if s.Inclusive {
		after = 0
	}
	switch s.At {
	case amqp.Latest:
		return core.Start{Latest: true}, nil
	case amqp.AtOffset:
		n, err := strconv.ParseInt(s.Offset, 10, 62)
		if err != nil {
			return core.Start{}, &hubwire.Error{Op: "attach", Code: hubwire.ArgumentInvalid, Outcome: hubwire.Refused, Message: "the offset is none of this hub's"}
		}
		return core.Start{Offset: n + after}, nil
	case amqp.AtSequence:
		if s.Sequence < 0 {
			return core.Start{}, nil
		}
		return core.Start{Sequence: min(s.Sequence, math.MaxInt64-1) + after}, nil
	case amqp.AtTime:
		return core.Start{Time: s.Time.Add(time.Duration(after) * time.Millisecond)}, nil
	}
	return core.Start{}, nil
}

// wants reports whether symbols include one.
func wants(symbols amqp10.Value, one string) bool {
	for r := symbols.Items(); r.More(); {
		if s := r.Value(); !s.IsNull() {
			if text, _ := s.Text(); string(text) == one {
				return true
			}
		}
	}
	return false
}

// Arrived implements [core.ConsumerLink].
func (n *events) Arrived() { n.link.Wake() }

// Displaced implements [core.ConsumerLink].
func (n *events) Displaced(why *hubwire.Error) { n.link.Detach(failure(why)) }

// Detached implements [amqpserver.Node].
func (n *events) Detached(error) {
	n.reader.Close()
	n.leave()
}

// Settled implements [amqpserver.Sender]: whatever becomes of an event, it stays in the log.
func (n *events) Settled(uint64, amqp10.State, bool) amqp10.State { return amqp10.Accepted() }

// Next implements [amqpserver.Sender].
func (n *events) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	ev, err := n.reader.Next(n.conn.ctx)
	if err != nil {
		n.link.Detach(failure(err))
	}
	if ev == nil {
		return dst, amqpserver.Outgoing{}, false
	}
	return n.append(dst, ev), amqpserver.Outgoing{Settled: true}, true
}

// append appends an event as Event Hubs sends it.
func (n *events) append(dst []byte, ev *core.Event) []byte {
	e := amqp.Event{
		Received: ev.Received, Offset: ev.OffsetText, AuthMethod: ev.AuthMethod,
		GenerationID: ev.GenerationID, MessageSource: amqp.EventSource(ev.MessageSource), ModelID: ev.ModelID,
	}
	if n.metrics {
		e.Metric = n.metric()
	}
	return amqp.AppendEvent(dst, &e)
}

// metric is how far the log of the partition is.
func (n *events) metric() *amqp.PartitionMetric {
	b, err := n.conn.server.core.PartitionBounds(n.conn.ctx, n.partition)
	if err != nil {
		return nil
	}
	return &amqp.PartitionMetric{
		LastSequence: b.Last.Sequence, LastOffset: strconv.FormatInt(b.Last.Offset, 10),
		LastTime: b.Last.Time, Retrieved: time.Now(),
	}
}
