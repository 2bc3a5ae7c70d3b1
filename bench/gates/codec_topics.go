package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/hubwire/hubwire/topics"
)

// topicRows: the peer is what one writes with the standard library alone.
func topicRows() ([]*row, error) {
	if err := checkTopics(); err != nil {
		return nil, err
	}
	w := newTopicWork()
	return []*row{
		{
			name:  "telemetry topic, 7 properties, escaped",
			floor: memcpyWork(telemetryTopic),
			peer:  &work{name: "url.Values", run: telemetryStd},
			ours:  &work{run: w.telemetry},
			gates: []bound{atLeast(10)}, targets: []bound{atLeast(20), atMost(20)},
		},
		{
			name:  "C2D topic to 6 unescaped properties",
			floor: memcpyWork(c2dTopic),
			peer:  &work{name: "url.ParseQuery", run: c2dStd},
			ours:  &work{run: w.c2d},
			gates: []bound{atLeast(5)}, targets: []bound{atLeast(10)},
		},
		{
			name:  "method request, parse",
			floor: memcpyWork(methodRequest),
			peer:  &work{name: "Split, ParseQuery", run: methodRequestStd},
			ours:  &work{run: w.methodRequest},
			gates: []bound{atLeast(15)}, targets: []bound{atMost(2)},
		},
		{
			name:  "method response, build",
			floor: memcpyWork(methodResponse),
			peer:  &work{name: "+, Itoa", run: methodResponseStd},
			ours:  &work{run: w.methodResponse},
			gates: []bound{atLeast(4)}, targets: []bound{atMost(3)},
		},
		{
			name:  "twin response, parse",
			floor: memcpyWork(twinResponse),
			peer:  &work{name: "Split, ParseQuery", run: twinResponseStd},
			ours:  &work{run: w.twinResponse},
			gates: []bound{atLeast(15)}, targets: []bound{atMost(3)},
		},
	}, nil
}

// topicWork is our way, with what has come in and the buffers that it needs.
type topicWork struct {
	c2dIn, requestIn, twinIn []byte

	buf   *space
	pairs [8]topics.Pair
}

func newTopicWork() *topicWork {
	return &topicWork{c2dIn: placed(c2dTopic), requestIn: placed(methodRequest), twinIn: placed(twinResponse), buf: newSpace(512)}
}

func (w *topicWork) telemetry(n int) {
	dst := w.buf.next()
	for range n {
		dst = appendTelemetry(dst[:0])
	}
	sink.bytes = dst
}

func appendTelemetry(dst []byte) []byte {
	dst = topics.AppendTelemetry(dst, identity)
	for i := range telemetrySystem {
		dst = topics.AppendSystem(dst, telemetrySystem[i].key, telemetrySystem[i].value)
	}
	for i := range telemetryApp {
		dst = topics.AppendProperty(dst, telemetryApp[i].Name, telemetryApp[i].Value)
	}
	return dst
}

func telemetryStd(n int) {
	for range n {
		sink.text = formatTelemetry()
	}
}

// formatTelemetry needs ReplaceAll, as a '+' for a blank would be a wildcard.
func formatTelemetry() string {
	v := url.Values{}
	for i := range telemetrySystem {
		v.Set(telemetrySystem[i].name, telemetrySystem[i].value)
	}
	for i := range telemetryApp {
		v.Set(telemetryApp[i].Name, telemetryApp[i].Value)
	}
	return fmt.Sprintf("devices/%s/messages/events/%s", identity.DeviceID, strings.ReplaceAll(v.Encode(), "+", "%20"))
}

func (w *topicWork) c2d(n int) {
	topic, room, sum := w.c2dIn, w.buf.next(), 0
	for range n {
		pairs, err := w.readC2D(topic, room)
		if err != nil {
			return
		}
		sum += len(pairs)
	}
	sink.n = sum
}

func (w *topicWork) readC2D(topic, room []byte) ([]topics.Pair, error) {
	t, err := topics.Parse(topic)
	if err != nil {
		return nil, err
	}
	pairs, _ := t.Bag().AppendDecoded(w.pairs[:0], room)
	return pairs, nil
}

func c2dStd(n int) {
	for range n {
		sink.values, _ = url.ParseQuery(strings.TrimPrefix(c2dTopic, c2dPrefix))
	}
}

func (w *topicWork) methodRequest(n int) {
	topic, sum := w.requestIn, 0
	for range n {
		t, err := topics.Parse(topic)
		if err != nil {
			return
		}
		sum += len(t.Name()) + len(t.RequestID())
	}
	sink.n = sum
}

func methodRequestStd(n int) {
	sum := 0
	for range n {
		name, rid := parseMethodRequest(methodRequest)
		sum += len(name) + len(rid)
	}
	sink.n = sum
}

func parseMethodRequest(topic string) (name, rid string) {
	s := strings.Split(topic, "/")
	v, _ := url.ParseQuery(s[4][1:])
	return s[3], v.Get("$rid")
}

func (w *topicWork) methodResponse(n int) {
	dst := w.buf.next()
	for range n {
		dst = topics.AppendMethodResponse(dst[:0], methodStatus, methodRID)
	}
	sink.bytes = dst
}

func methodResponseStd(n int) {
	for range n {
		sink.text = formatMethodResponse()
	}
}

func formatMethodResponse() string {
	return "$iothub/methods/res/" + strconv.Itoa(methodStatus) + "/?$rid=" + methodRID
}

func (w *topicWork) twinResponse(n int) {
	topic, sum := w.twinIn, 0
	for range n {
		t, err := topics.Parse(topic)
		if err != nil {
			return
		}
		version, _ := t.Version()
		sum += t.Status() + len(t.RequestID()) + int(version)
	}
	sink.n = sum
}

func twinResponseStd(n int) {
	sum := 0
	for range n {
		status, rid, version := parseTwinResponse(twinResponse)
		sum += status + len(rid) + int(version)
	}
	sink.n = sum
}

func parseTwinResponse(topic string) (status int, rid string, version int64) {
	s := strings.Split(topic, "/")
	status, _ = strconv.Atoi(s[3])
	v, _ := url.ParseQuery(s[4][1:])
	version, _ = strconv.ParseInt(v.Get("$version"), 10, 64)
	return status, v.Get("$rid"), version
}
