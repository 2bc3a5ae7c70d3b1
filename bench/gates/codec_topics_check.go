package main

import (
	"net/url"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

// checkTopics holds ours and the peer to the inputs.
func checkTopics() error {
	var c checker
	c.equal("telemetry topic", string(appendTelemetry(nil)), telemetryTopic)
	const prefix = "devices/dev-0001/messages/events/"
	c.equal("telemetry topic of the peer", values(strings.TrimPrefix(formatTelemetry(), prefix)), values(strings.TrimPrefix(telemetryTopic, prefix)))

	pairs, err := newTopicWork().readC2D([]byte(c2dTopic), nil)
	c.ok("C2D topic", err)
	c2dStd(1)
	var ours, peer []hubwire.Property
	for _, p := range pairs {
		ours = append(ours, hubwire.Property{Name: string(p.Name), Value: string(p.Value)})
		peer = append(peer, hubwire.Property{Name: string(p.Name), Value: sink.values.Get(string(p.Name))})
	}
	c.equal("C2D topic", ours, c2dProperties)
	c.equal("C2D topic of the peer", peer, c2dProperties)

	t, err := topics.Parse([]byte(methodRequest))
	c.ok("method request", err)
	c.equal("method request", [2]string{string(t.Name()), string(t.RequestID())}, [2]string{methodName, methodRID})
	name, rid := parseMethodRequest(methodRequest)
	c.equal("method request of the peer", [2]string{name, rid}, [2]string{methodName, methodRID})

	c.equal("method response", string(topics.AppendMethodResponse(nil, methodStatus, methodRID)), methodResponse)
	c.equal("method response of the peer", formatMethodResponse(), methodResponse)

	t, err = topics.Parse([]byte(twinResponse))
	c.ok("twin response", err)
	version, _ := t.Version()
	want := []any{twinStatus, twinRID, twinVersion}
	c.equal("twin response", []any{t.Status(), string(t.RequestID()), version}, want)
	status, rid, version := parseTwinResponse(twinResponse)
	c.equal("twin response of the peer", []any{status, rid, version}, want)
	return c.err
}

// values is a bag without the order of its properties.
func values(bag string) url.Values {
	v, _ := url.ParseQuery(bag)
	return v
}
