package mqtt

import (
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestPacketsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for _, g := range goldens(t) {
		wire := Packet(unhex(t, g.hex))
		testkit.NoAllocs(t, g.name+": parse", func() {
			if err := parseOne(wire); err != nil {
				t.Fatal(err)
			}
		})
		testkit.NoAllocs(t, g.name+": check and append", func() {
			if err := g.packet.Check(); err != nil {
				t.Fatal(err)
			}
			buf = g.packet.AppendTo(buf[:0])
		})
	}
}

func TestListsDoNotAllocate(t *testing.T) {
	list, names := make(Filters, 0, 64), make(FilterNames, 0, 64)
	testkit.NoAllocs(t, "append and range over filters", func() {
		list, _ = AppendFilter(list[:0], "a/#", AtLeastOnce)
		list, _ = AppendFilter(list, []byte("b"), AtMostOnce)
		n := 0
		for f, qos := range list.All() {
			n += len(f) + int(qos)
		}
		if n != 5 {
			t.Fatal(n)
		}
	})
	testkit.NoAllocs(t, "append and range over filter names", func() {
		names, _ = AppendFilterName(names[:0], "a/#")
		n := 0
		for f := range names.All() {
			n += len(f)
		}
		if n != 3 {
			t.Fatal(n)
		}
	})
}

func TestAPublishWithItsTopicInPlaceDoesNotAllocate(t *testing.T) {
	p := benchPublish(256)
	buf := make([]byte, 0, 4096)
	testkit.NoAllocs(t, "OpenPublish and ClosePublish", func() {
		b := OpenPublish(buf[:0], len(p.Payload))
		b = append(b, benchTopic...)
		if _, err := ClosePublish(b, 0, &p); err != nil {
			t.Fatal(err)
		}
	})
}

func TestABufferOfTheSizeOfAPublishIsEnough(t *testing.T) {
	for _, n := range []int{0, 256, 4096, 1 << 15} {
		p := benchPublish(n)
		buf := make([]byte, 0, p.Size())
		testkit.NoAllocs(t, "AppendTo", func() { p.AppendTo(buf) })
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	p := benchPublish(256)
	var burst []byte
	for range 40 {
		burst = p.AppendTo(burst)
	}
	w := new(wire)
	c := NewConn(w, nil)
	testkit.NoAllocs(t, "ReadPacket of bursts", func() {
		w.in, w.asked, w.before = burst, w.asked[:0], w.before[:0]
		for range 40 {
			if _, err := c.ReadPacket(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
