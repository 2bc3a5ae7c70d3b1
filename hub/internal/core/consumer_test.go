package core

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/testkit"
)

// consumerLink counts what it hears.
type consumerLink struct {
	arrived   atomic.Int32
	displaced atomic.Pointer[hubwire.Error]
}

func (l *consumerLink) Arrived()                   { l.arrived.Add(1) }
func (l *consumerLink) Displaced(e *hubwire.Error) { l.displaced.Store(e) }

func consume(t testing.TB, c *Core, o ConsumerOptions) (*Consumer, *consumerLink) {
	t.Helper()
	if o.Group == "" {
		o.Group = DefaultGroup
	}
	l := &consumerLink{}
	r, err := c.Consume(ctx, &o, l)
	must(t, err)
	t.Cleanup(r.Close)
	return r, l
}

// unread reads what there is, as the ids of the messages.
func unread(t testing.TB, r *Consumer) (got string) {
	t.Helper()
	for {
		ev, err := r.Next(ctx)
		must(t, err)
		if ev == nil {
			return got
		}
		got += ev.ID
	}
}

func TestAConsumerBeginsWhereItSays(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start func(began time.Time, offsets []int64) Start
		want  string
	}{
		{"at the beginning", func(time.Time, []int64) Start { return Start{} }, "0123"},
		{"at the end", func(time.Time, []int64) Start { return Start{Latest: true} }, ""},
		{"at a sequence number", func(time.Time, []int64) Start { return Start{Sequence: 2} }, "23"},
		{"at the sequence number that is next", func(time.Time, []int64) Start { return Start{Sequence: 4} }, ""},
		{"at an offset", func(_ time.Time, o []int64) Start { return Start{Offset: o[2]} }, "23"},
		{"behind an offset", func(_ time.Time, o []int64) Start { return Start{Offset: o[2] + 1} }, "3"},
		{"behind the last offset", func(_ time.Time, o []int64) Start { return Start{Offset: o[3] + 1} }, ""},
		{"at a time", func(at time.Time, _ []int64) Start { return Start{Time: at.Add(time.Second)} }, "123"},
		{"behind a time", func(at time.Time, _ []int64) Start { return Start{Time: at.Add(time.Second + 1)} }, "23"},
		{"at a time to come", func(at time.Time, _ []int64) Start { return Start{Time: at.Add(time.Hour)} }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCore(t, nil)
				p, began := c.partitionOf("dev"), time.Now()
				emit(t, c, 4, "dev") // 0 to 3, a second apart
				all, _ := consume(t, c, ConsumerOptions{Partition: p})
				var offsets []int64
				for range 4 {
					ev, err := all.Next(ctx)
					must(t, err)
					offsets = append(offsets, ev.Offset)
				}
				r, l := consume(t, c, ConsumerOptions{Partition: p, Start: tt.start(began, offsets)})
				if got := unread(t, r); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
				emit(t, c, 2, "dev")
				if got := unread(t, r); got != "01" || l.arrived.Load() != 1 {
					t.Errorf("then %q, after %d calls", got, l.arrived.Load())
				}
			})
		})
	}
}

func TestAConsumerIsRefused(t *testing.T) {
	c := newCore(t, &Config{ConsumerGroups: []string{"other"}})
	emitNow(t, c, 3)
	p := c.partitionOf("dev")
	level := int64(7)
	owner, _ := consume(t, c, ConsumerOptions{Group: "OTHER", Partition: p, Level: &level})
	lower := level - 1
	for _, tt := range []struct {
		name string
		o    ConsumerOptions
		want hubwire.Code
	}{
		{"of a group that there is not", ConsumerOptions{Group: "nobody", Partition: p}, hubwire.AMQPAddressNotFound},
		{"of a partition that there is not", ConsumerOptions{Group: DefaultGroup, Partition: 4}, hubwire.PartitionNotFound},
		{"of a partition below 0", ConsumerOptions{Group: DefaultGroup, Partition: -1}, hubwire.PartitionNotFound},
		{"behind the end by number", ConsumerOptions{Group: "$default", Partition: p, Start: Start{Sequence: 4}}, hubwire.ArgumentInvalid},
		{"behind the end by offset", ConsumerOptions{Group: DefaultGroup, Partition: p, Start: Start{Offset: math.MaxInt64}}, hubwire.ArgumentInvalid},
		{"without a level where there is an owner", ConsumerOptions{Group: "other", Partition: p}, hubwire.ConnectionClosedOnNew},
		{"with a lower level", ConsumerOptions{Group: "Other", Partition: p, Level: &lower}, hubwire.ConnectionClosedOnNew},
	} {
		_, err := c.Consume(ctx, &tt.o, &consumerLink{})
		wantCode(t, tt.name, err, tt.want)
	}
	if got := unread(t, owner); got != "012" {
		t.Errorf("the owner reads %q", got)
	}
	must(t, c.Close())
	_, err := c.Consume(ctx, &ConsumerOptions{Group: DefaultGroup}, &consumerLink{})
	wantCode(t, "of a closed hub", err, hubwire.ServiceUnavailable)
	_, err = owner.Next(ctx)
	wantCode(t, "reading from a closed hub", err, hubwire.ServiceUnavailable)
}

func TestAnOwnerDisplacesWhoIsNotHigher(t *testing.T) {
	c := newCore(t, &Config{ConsumerGroups: []string{"other"}})
	level := func(n int64) *int64 { return &n }
	_, plain := consume(t, c, ConsumerOptions{})
	_, elsewhere := consume(t, c, ConsumerOptions{Group: "other"})
	_, beside := consume(t, c, ConsumerOptions{Partition: 1})
	_, first := consume(t, c, ConsumerOptions{Level: level(0)})
	wantDisplaced(t, "who has no level", plain, true)
	_, same := consume(t, c, ConsumerOptions{Level: level(0)})
	wantDisplaced(t, "who has the same level", first, true)
	last, higher := consume(t, c, ConsumerOptions{Level: level(1)})
	wantDisplaced(t, "who has a lower level", same, true)
	wantDisplaced(t, "who has the highest level", higher, false)
	wantDisplaced(t, "who reads for another group", elsewhere, false)
	wantDisplaced(t, "who reads another partition", beside, false)
	last.Close()
	last.Close()
	consume(t, c, ConsumerOptions{}) // nobody owns it any more
}

func wantDisplaced(t *testing.T, who string, l *consumerLink, want bool) {
	t.Helper()
	if why := l.displaced.Load(); (why != nil) != want || want && why.Code != hubwire.ConnectionClosedOnNew {
		t.Errorf("%s is displaced: %v", who, why)
	}
}

func TestFiveConsumersWithoutALevel(t *testing.T) {
	c := newCore(t, nil)
	var five []*Consumer
	for range maxReaders {
		r, _ := consume(t, c, ConsumerOptions{})
		five = append(five, r)
	}
	_, err := c.Consume(ctx, &ConsumerOptions{Group: DefaultGroup}, &consumerLink{})
	wantCode(t, "the sixth", err, hubwire.QuotaExceeded)
	consume(t, c, ConsumerOptions{Partition: 1})
	five[2].Close()
	consume(t, c, ConsumerOptions{})
}

func TestAConsumerThatIsSlowPassesOverWhatIsGone(t *testing.T) {
	c := newCoreOn(t, nil, store.NewMemory(&store.MemoryOptions{Partitions: 1, LogEntries: 100}))
	r, _ := consume(t, c, ConsumerOptions{})
	emitNow(t, c, 1)
	if ev, err := r.Next(ctx); err != nil || ev.SequenceNumber != 0 {
		t.Fatal(ev, err)
	}
	emitNow(t, c, 300) // 1 to 300
	for want := int64(201); want <= 300; want++ {
		if ev, err := r.Next(ctx); err != nil || ev == nil || ev.SequenceNumber != want {
			t.Fatalf("%+v, %v; want %d", ev, err, want)
		}
	}
	if got := unread(t, r); got != "" {
		t.Errorf("then %q", got)
	}
}

func TestAnEventIsTheSameAsAView(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connectWith(t, c, grant(t, c, mod), &ConnectOptions{ModelID: "dtmi:x;1"})
	p := c.partitionOf("dev")
	for i := range 100 {
		m := &hubwire.Message{ID: fmt.Sprint(i), Body: make([]byte, i), ContentType: "t", Expiry: time.Unix(int64(i), 5).UTC()}
		for n := range i % 5 {
			m.Properties = append(m.Properties, hubwire.Property{Name: fmt.Sprint("n", n), Value: fmt.Sprint("v", i)})
		}
		must(t, s.Telemetry(ctx, m))
		emitNow(t, c, 1)
	}
	copies, err := c.Events(ctx, p, Start{})
	must(t, err)
	r, _ := consume(t, c, ConsumerOptions{Partition: p})
	for range 200 {
		want, err := copies.TryNext(ctx)
		must(t, err)
		got, err := r.Next(ctx)
		must(t, err)
		if got.OffsetText != strconv.FormatInt(want.Offset, 10) {
			t.Fatalf("offset %q, want %d", got.OffsetText, want.Offset)
		}
		got.OffsetText = ""
		opts := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Received" }, cmp.Ignore())
		if diff := cmp.Diff(want, got, opts); diff != "" {
			t.Fatalf("stamps (-want +got):\n%s", diff)
		}
		if len(got.Message.Properties) == 0 {
			got.Message.Properties = nil
		}
		if len(got.Message.Body) == 0 {
			got.Message.Body, want.Message.Body = nil, nil
		}
		if diff := cmp.Diff(want.Message, got.Message); diff != "" {
			t.Fatalf("message (-want +got):\n%s", diff)
		}
		if got.Source != want.Source || got.SequenceNumber != want.SequenceNumber || !got.EnqueuedTime.Equal(want.EnqueuedTime) {
			t.Fatalf("got %+v, want %+v", got.Received, want.Received)
		}
	}
}

func TestConsumersMissNothingAndAreCalled(t *testing.T) {
	const senders, each = 4, 500
	c := newCore(t, nil)
	p := c.partitionOf("dev")
	g := grant(t, c, dev)
	var wg sync.WaitGroup
	for range 3 {
		arrived := make(chan struct{}, 1)
		r, err := c.Consume(ctx, &ConsumerOptions{Group: DefaultGroup, Partition: p}, wakes(arrived))
		must(t, err)
		wg.Go(func() {
			defer r.Close()
			for want := int64(0); want < senders*each; {
				ev, err := r.Next(ctx)
				switch {
				case err != nil || ev != nil && ev.SequenceNumber != want:
					t.Errorf("%+v, %v; want %d", ev, err, want)
					return
				case ev != nil:
					want++
				default:
					<-arrived
				}
			}
		})
	}
	for range senders {
		wg.Go(func() {
			for range each {
				if err := c.Telemetry(ctx, g, &hubwire.Message{Body: []byte("x")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b := &c.consumers[p].bell
	if b.armed.Load() != 0 || len(b.all) != 0 {
		t.Errorf("%d armed, %d at the bell", b.armed.Load(), len(b.all))
	}
}

type wakes chan struct{}

func (w wakes) Arrived() {
	select {
	case w <- struct{}{}:
	default:
	}
}
func (w wakes) Displaced(*hubwire.Error) {}

func TestAConsumerDoesNotAllocateForEachEvent(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connectWith(t, c, grant(t, c, dev), nil)
	m := &hubwire.Message{ID: "id", ContentType: "t", Body: make([]byte, 256), Properties: []hubwire.Property{{Name: "a", Value: "b"}}}
	for range 3000 {
		must(t, s.Telemetry(ctx, m))
	}
	r, _ := consume(t, c, ConsumerOptions{Partition: c.partitionOf("dev")})
	testkit.NoAllocs(t, "Consumer.Next", func() {
		if ev, err := r.Next(ctx); err != nil || ev == nil {
			t.Fatal(ev, err)
		}
	})
}

func TestAConsumerGoesOnBehindWhatIsDamaged(t *testing.T) {
	c := newCoreOn(t, nil, store.NewMemory(&store.MemoryOptions{Partitions: 1}))
	emitNow(t, c, 1)
	var page store.Page
	must(t, c.store.Read(ctx, 0, 0, 1, &page))
	whole := bytes.Clone(page.Entries[0].Value)
	for n := range whole {
		_, err := c.store.Append(ctx, 0, time.Now(), whole[:n])
		must(t, err)
	}
	emitNow(t, c, 1)
	r, _ := consume(t, c, ConsumerOptions{Start: Start{Sequence: 1}})
	for n := range whole {
		_, err := r.Next(ctx)
		wantCode(t, fmt.Sprintf("%d of %d bytes", n, len(whole)), err, hubwire.ServerError)
	}
	if got := unread(t, r); got != "0" {
		t.Errorf("then %q", got)
	}
}

// emitNow sends n messages 0, 1, … as dev at once.
func emitNow(t testing.TB, c *Core, n int) {
	t.Helper()
	g := grant(t, c, dev)
	for i := range n {
		must(t, c.Telemetry(ctx, g, &hubwire.Message{ID: fmt.Sprint(i)}))
	}
}
