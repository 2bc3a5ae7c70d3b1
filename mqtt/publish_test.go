package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A topic written in place must give the bytes that AppendTo gives, whatever
// the guess about the length of the header was worth.
func TestPublishWithItsTopicInPlace(t *testing.T) {
	big := append(make([]byte, 0, 3<<20), "before"...)
	for _, payload := range []int{0, 1, 126, 300, 16187, 16383, 2096958} {
		for _, topic := range []int{1, 120, 126, 192, 193, 16383, MaxString} {
			for qos := range ExactlyOnce + 1 {
				p := Publish{
					Topic: bytes.Repeat([]byte{'t'}, topic), Payload: bytes.Repeat([]byte{'p'}, payload),
					QoS: qos, ID: 0x1234, Dup: qos > 0, Retain: true,
				}
				want := p.AppendTo([]byte("before"))
				// One buffer with no room at all, one with all of it.
				for _, dst := range [][]byte{[]byte("before"), big} {
					dst = OpenPublish(dst, payload)
					dst = append(dst, p.Topic...)
					got, err := ClosePublish(dst, len("before"), &p)
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("payload %d, topic %d, QoS %d: %v, or the bytes differ", payload, topic, qos, err)
					}
				}
			}
		}
	}
}

func TestClosePublishRefusesWithoutATrace(t *testing.T) {
	tests := []struct {
		name  string
		topic int
		want  error
	}{
		{"no topic", 0, ErrEmpty},
		{"a topic too long", MaxString + 1, ErrTooLong},
	}
	for _, tt := range tests {
		dst := OpenPublish([]byte("before"), 3)
		dst = append(dst, strings.Repeat("t", tt.topic)...)
		dst, err := ClosePublish(dst, len("before"), &Publish{Payload: []byte("abc")})
		if string(dst) != "before" || !errors.Is(err, tt.want) {
			t.Errorf("%s: %d bytes left, %v", tt.name, len(dst), err)
		}
	}
	// More than a packet can hold, without the memory: the payload is only measured.
	huge := make([]byte, MaxRemaining)
	dst := append(OpenPublish([]byte("before"), 0), make([]byte, 3)...) // room for a payload's longer header
	dst, err := ClosePublish(append(dst, "topic"...), len("before"), &Publish{Payload: huge})
	if string(dst) != "before" || !errors.Is(err, ErrTooLarge) {
		t.Errorf("a payload too long: %d bytes left, %v", len(dst), err)
	}
}

func TestSetDup(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"\x30\x03\x00\x01t", "\x30\x03\x00\x01t"},
		{"\x32\x05\x00\x01t\x00\x01", "\x3a\x05\x00\x01t\x00\x01"},
		{"\x35\x05\x00\x01t\x00\x01", "\x3d\x05\x00\x01t\x00\x01"},
		{"\x62\x02\x00\x01", "\x62\x02\x00\x01"},
		{"", ""},
	} {
		p := Packet(tt.in)
		p.SetDup()
		if diff := cmp.Diff(tt.want, string(p)); diff != "" {
			t.Errorf("%x (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestFiltersInOrder(t *testing.T) {
	p := (&Subscribe{ID: 1, Filters: filters(t, "a/#", AtLeastOnce, "+", AtMostOnce, "a/#", ExactlyOnce)}).AppendTo(nil)
	s, err := ParseSubscribe(p)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for f, qos := range s.Filters.All() {
		got = append(got, fmt.Sprintf("%s %d", f, qos))
	}
	if diff := cmp.Diff([]string{"a/# 1", "+ 0", "a/# 2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for range s.Filters.All() {
		break // an early end must not be driven on
	}
	u, err := ParseUnsubscribe((&Unsubscribe{ID: 1, Filters: filterNames(t, "b", "a/+/c")}).AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for f := range u.Filters.All() {
		got = append(got, string(f))
	}
	if diff := cmp.Diff([]string{"b", "a/+/c"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Lists that no parser made end where they stop making sense.
	if n := (Filters{0, 1, 'a', 0, 0, 5, 'b'}).Len(); n != 1 {
		t.Errorf("a broken list has %d filters, want 1", n)
	}
	if n := (FilterNames{0, 1, 'a', 0, 5, 'b'}).Len(); n != 1 {
		t.Errorf("a broken list has %d filters, want 1", n)
	}
}
