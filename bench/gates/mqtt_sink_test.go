package main

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/mqtt"
)

func TestTheSinkAnswersInWhateverPiecesItIsAsked(t *testing.T) {
	login := mqtt.Connect{ClientID: []byte("d"), CleanSession: true}
	filters, err := mqtt.AppendFilter(nil, "a/#", mqtt.AtLeastOnce)
	if err != nil {
		t.Fatal(err)
	}
	at1 := mqtt.Publish{Topic: []byte("t"), Payload: payload(300), QoS: mqtt.AtLeastOnce, ID: 0x1234}
	at0 := mqtt.Publish{Topic: []byte("t")}
	in := login.AppendTo(nil)
	in = at1.AppendTo(in)
	in = at0.AppendTo(in)
	in = (&mqtt.Subscribe{ID: 0x0203, Filters: filters}).AppendTo(in)
	in = (*mqtt.Pingreq)(nil).AppendTo(in)
	want := (&mqtt.Connack{}).AppendTo(nil)
	want = (&mqtt.Puback{ID: 0x1234}).AppendTo(want)
	want = (&mqtt.Suback{ID: 0x0203, Codes: []byte{1}}).AppendTo(want)
	want = (*mqtt.Pingresp)(nil).AppendTo(want)
	for _, size := range []int{1, 2, 7, len(in)} {
		var messages atomic.Int64
		got := converse(t, in, size, func(nc net.Conn) { serveSink(nc, &messages) })
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d bytes at a time (-want +got):\n%s", size, d)
		}
		if messages.Load() != 2 {
			t.Errorf("%d bytes at a time: %d messages, want 2", size, messages.Load())
		}
	}
}

func TestTheFloorAnswersByLength(t *testing.T) {
	in := bytes.Repeat([]byte{1}, 5*wireSize)
	for _, size := range []int{1, 100, wireSize + 1, len(in)} {
		a, err := floorRole(setup{})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := net.Dial("tcp", a.door.TCP)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for b := range slices.Chunk(in, size) {
				nc.Write(b)
			}
		}()
		got := make([]byte, 5*ackSize)
		if _, err := io.ReadFull(nc, got); err != nil {
			t.Error(err)
		}
		if a.count() != 5 {
			t.Errorf("%d bytes at a time: %d messages, want 5", size, a.count())
		}
		nc.Close()
	}
}

func TestTheSinkHangsUpOnWhatItDoesNotKnow(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"DISCONNECT", "\xe0\x00"},
		{"a packet of no type", "\x00\x00"},
		{"a PUBLISH without a topic", "\x32\x00"},
		{"one whose topic is longer than it", "\x32\x04\x00\x09ab"},
		{"one without an identifier", "\x32\x03\x00\x01a"},
		{"a SUBSCRIBE of nothing", "\x82\x00"},
		{"a packet that never ends", "\x32\xff\xff\xff\x7f" + strings.Repeat("x", readSize)},
	} {
		var messages atomic.Int64
		if got := converse(t, []byte(tt.in), len(tt.in), func(nc net.Conn) { serveSink(nc, &messages) }); len(got) > 0 {
			t.Errorf("%s: it answers % x", tt.name, got)
		}
	}
}

// converse sends in to a server in pieces, and returns all that it says until it
// hangs up, which is asked for with a DISCONNECT.
func converse(t *testing.T, in []byte, size int, serve func(net.Conn)) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		serve(server)
	}()
	go func() {
		for b := range slices.Chunk(append(in[:len(in):len(in)], 0xe0, 0), size) {
			client.Write(b)
		}
	}()
	got, err := io.ReadAll(client)
	if err != nil {
		t.Error(err)
	}
	return got
}
