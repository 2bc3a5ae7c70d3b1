package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/topics"
)

// refusal is bad input, beside the good one of about the same length that it
// was made from: whoever sends rubbish must not cost more than who does not.
type refusal struct {
	name      string
	good, bad string
	want      error
}

// refusalRows: the floor is the cost of accepting, by the same call.
func refusalRows() ([]*row, error) {
	publish, err := newPublishWork(256)
	if err != nil {
		return nil, err
	}
	var rows []*row
	for _, set := range []struct {
		parse    func(string) error
		loop     func(string) func(n int)
		refusals []refusal
	}{
		{parseTopic, topicLoop, topicRefusals()},
		{parsePublish, publishLoop, publishRefusals(string(publish.wire))},
		{parseToken, tokenLoop, tokenRefusals()},
	} {
		for _, r := range set.refusals {
			if err := set.parse(r.good); err != nil {
				return nil, fmt.Errorf("%s: the good one: %w", r.name, err)
			}
			if err := set.parse(r.bad); !errors.Is(err, r.want) {
				return nil, fmt.Errorf("%s: got %v, want %w", r.name, err, r.want)
			}
			rows = append(rows, &row{
				name:  "refuse " + r.name,
				floor: &work{name: "accept", run: set.loop(r.good)},
				ours:  &work{run: set.loop(r.bad)},
				gates: []bound{atMost(1)},
			})
		}
	}
	return rows, nil
}

func topicRefusals() []refusal {
	changed := func(name, good, from, to string, want error) refusal {
		return refusal{name, good, replaceLast(good, from, to), want}
	}
	return []refusal{
		changed("telemetry topic, '#' at its end", telemetryTopic, "0", "#", topics.ErrWildcard),
		changed("telemetry topic, of another family", telemetryTopic, "/events/", "/avents/", topics.ErrUnknown),
		changed("telemetry topic, '#' in its last property", telemetryTopic, "v", "#", topics.ErrWildcard),
		changed("C2D topic, '#' in its last property", c2dTopic, "f", "#", topics.ErrWildcard),
		changed("C2D topic, bad UTF-8 in its last property", c2dTopic, "f", "\xff", topics.ErrUTF8),
		changed("C2D topic, NUL in its last property", c2dTopic, "f", "\x00", topics.ErrNUL),
		changed("C2D topic, bad UTF-8 at its end", c2dTopic, "t", "\xff", topics.ErrUTF8),
		changed("method request, no $rid", methodRequest, "$rid", "$rib", topics.ErrMissing),
		changed("method request, '#' at its end", methodRequest, "2", "#", topics.ErrWildcard),
		changed("twin response, no $rid", twinResponse, "$rid", "$rib", topics.ErrMissing),
		changed("twin response, status no number", twinResponse, "200", "20x", topics.ErrNumber),
	}
}

// replaceLast replaces the last from in s.
func replaceLast(s, from, to string) string {
	i := strings.LastIndex(s, from)
	return s[:i] + to + s[i+len(from):]
}

func parseTopic(s string) error {
	_, err := topics.Parse([]byte(s))
	return err
}

func topicLoop(s string) func(n int) {
	topic := placed(s)
	return func(n int) {
		sum := 0
		for range n {
			t, err := topics.Parse(topic)
			if err != nil {
				sum++
				continue
			}
			sum += int(t.Kind)
		}
		sink.n = sum
	}
}

func publishRefusals(wire string) []refusal {
	const topicAt = 5
	end := topicAt + len(publishTopic)
	set := func(name string, at int, c byte, want error) refusal {
		bad := []byte(wire)
		bad[at] = c
		return refusal{"PUBLISH, " + name, wire, string(bad), want}
	}
	return []refusal{
		set("QoS 3", 0, 0x36, mqtt.ErrQoS),
		set("topic longer than the packet", topicAt-2, 0xff, mqtt.ErrTruncated),
		set("identifier 0", end+1, 0, mqtt.ErrPacketID),
		set("wildcard at the topic's end", end-1, '#', mqtt.ErrWildcard),
		set("NUL at the topic's end", end-1, 0, mqtt.ErrNUL),
		set("bad UTF-8 at the topic's end", end-1, 0xff, mqtt.ErrUTF8),
		set("bad UTF-8 at the topic's start", topicAt, 0xff, mqtt.ErrUTF8),
		{"packet of reserved type", wire, "\xf0" + wire[1:], mqtt.ErrType},
		{"packet, length of five bytes", wire, wire[:1] + strings.Repeat("\xff", 4) + wire[5:], mqtt.ErrLength},
	}
}

func parsePublish(s string) error {
	packet, _, err := mqtt.Split([]byte(s), 0)
	if err != nil {
		return err
	}
	_, err = mqtt.ParsePublish(packet)
	return err
}

func publishLoop(s string) func(n int) {
	wire := placed(s)
	return func(n int) {
		sum := 0
		for range n {
			packet, _, err := mqtt.Split(wire, 0)
			if err != nil {
				sum++
				continue
			}
			v, err := mqtt.ParsePublish(packet)
			if err != nil {
				sum++
				continue
			}
			sum += int(v.ID) + len(v.Topic) + len(v.Payload)
		}
		sink.n = sum
	}
}

func tokenRefusals() []refusal {
	cut := func(name, at string, want error) refusal {
		bad, _, _ := strings.Cut(sasToken, at)
		return refusal{"SAS token, " + name, sasToken, bad, want}
	}
	return []refusal{
		cut("cut off in its signature", "M%3D", sas.ErrMissingSE),
		cut("cut off at its expiry", "&se=", sas.ErrMissingSE),
		{"SAS token, expiry no number", sasToken, replaceLast(sasToken, "0", "x"), sas.ErrBadSE},
	}
}

func parseToken(s string) error {
	_, err := sas.ParseToken(s)
	return err
}

func tokenLoop(s string) func(n int) {
	return func(n int) {
		sum := 0
		for range n {
			t, err := sas.ParseToken(s)
			if err != nil {
				sum++
				continue
			}
			sum += len(t.Resource)
		}
		sink.n = sum
	}
}
