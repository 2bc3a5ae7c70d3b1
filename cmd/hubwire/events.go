package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// eventFlags are the flags of hubwire events.
type eventFlags struct {
	deviceID, moduleID string
	group              string
	partitions         []string
	since              string
	earliest           bool
	count              int
}

func newEvents() *cobra.Command {
	f := &serviceFlags{timeout: time.Minute}
	var e eventFlags
	c := f.does(&cobra.Command{
		Use:   "events",
		Short: "Print what devices send, a line of JSON each",
		Long: `Print what devices send, from now on, a line of JSON each: telemetry, and other
events that the hub is set up to have. It reads the hub's built-in endpoint
and takes nothing away from other readers.

A body of a JSON content type is JSON in the line, other text is a string, and what is not
text is bodyBase64.`,
		Example: `  hubwire events --device-id pump --since 1h
  hubwire events --from-start --count 100 | jq .body.temperature`,
		Args: noArgs,
	}, func(ctx context.Context, s *session, _ []string) error {
		o, err := e.options()
		if err != nil {
			return err
		}
		return untilInterrupted(ctx, e.count == 0, e.run(ctx, s, o))
	})
	f.addHub(c.Flags())
	f.addTransport(c)
	fs := c.Flags()
	fs.StringVar(&e.deviceID, "device-id", "", "only of this device, and of its modules")
	fs.StringVar(&e.moduleID, "module-id", "", "with --device-id: only of this module")
	fs.StringVar(&e.group, "consumer-group", "", "the consumer group (default $Default)")
	fs.StringSliceVar(&e.partitions, "partition", nil, "only this partition (repeatable); all without it")
	fs.StringVar(&e.since, "since", "", "begin with what came since a time such as 2026-01-31T08:00:00Z, or in the last so long, such as 10m")
	fs.BoolVar(&e.earliest, "from-start", false, "begin with the oldest that is still there")
	fs.IntVar(&e.count, "count", 0, "end after so many events; 0 means when interrupted")
	return c
}

// options makes the options of the reader of the flags.
func (e *eventFlags) options() (*service.EventOptions, error) {
	o := &service.EventOptions{ConsumerGroup: e.group, Partitions: e.partitions, Start: service.EventStart{At: service.Latest}}
	switch {
	case e.moduleID != "" && e.deviceID == "":
		return nil, errors.New("--module-id needs --device-id")
	case e.count < 0:
		return nil, fmt.Errorf("--count is %d", e.count)
	case e.earliest && e.since != "":
		return nil, errors.New("--from-start and --since exclude each other")
	case e.earliest:
		o.Start = service.EventStart{At: service.Earliest}
	case e.since != "":
		from, err := momentBefore("since", e.since)
		if err != nil {
			return nil, err
		}
		o.Start = service.EventStart{At: service.AtTime, Time: from}
	}
	return o, nil
}

func (e *eventFlags) run(ctx context.Context, s *session, o *service.EventOptions) error {
	n := 0
	for ev, err := range s.Events(ctx, o) {
		if err != nil {
			return err
		}
		if !e.wants(ev.Source) {
			continue
		}
		if err := printLine(s.out, lineOf(ev)); err != nil {
			return err
		}
		if n++; n == e.count {
			break
		}
	}
	return nil
}

// wants reports whether the events of id are to be printed.
func (e *eventFlags) wants(id hubwire.Identity) bool {
	return (e.deviceID == "" || id.DeviceID == e.deviceID) && (e.moduleID == "" || id.ModuleID == e.moduleID)
}

// eventLine is an event as it is printed.
type eventLine struct {
	EnqueuedTime    time.Time         `json:"enqueuedTime"`
	DeviceID        string            `json:"deviceId,omitempty"`
	ModuleID        string            `json:"moduleId,omitempty"`
	MessageSource   string            `json:"messageSource,omitempty"`
	Partition       string            `json:"partition"`
	SequenceNumber  int64             `json:"sequenceNumber"`
	Offset          string            `json:"offset"`
	MessageID       string            `json:"messageId,omitempty"`
	CorrelationID   string            `json:"correlationId,omitempty"`
	UserID          string            `json:"userId,omitempty"`
	ContentType     string            `json:"contentType,omitempty"`
	ContentEncoding string            `json:"contentEncoding,omitempty"`
	CreationTime    time.Time         `json:"creationTime,omitzero"`
	Output          string            `json:"output,omitempty"`
	Component       string            `json:"component,omitempty"`
	Schema          string            `json:"schema,omitempty"`
	ModelID         string            `json:"modelId,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"` // of a name that comes twice, the last
	Body            json.RawMessage   `json:"body,omitempty"`
	BodyBase64      []byte            `json:"bodyBase64,omitempty"`
}

func lineOf(ev *service.Event) *eventLine {
	m := &ev.Message
	l := &eventLine{
		EnqueuedTime: ev.EnqueuedTime.UTC(), DeviceID: ev.Source.DeviceID, ModuleID: ev.Source.ModuleID, MessageSource: string(ev.MessageSource),
		Partition: ev.Partition, SequenceNumber: ev.SequenceNumber, Offset: ev.Offset,
		MessageID: m.ID, CorrelationID: m.CorrelationID, UserID: m.UserID, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding,
		CreationTime: m.CreationTime.UTC(), Output: m.Output, Component: m.Component, Schema: m.Schema, ModelID: ev.ModelID,
		Properties: map[string]string{},
	}
	for _, p := range m.Properties {
		l.Properties[p.Name] = p.Value
	}
	switch {
	case isJSON(m.ContentType) && json.Valid(m.Body):
		l.Body = m.Body
	case utf8.Valid(m.Body):
		l.Body, _ = json.Marshal(string(m.Body)) // text always can
	default:
		l.BodyBase64 = m.Body
	}
	return l
}

// isJSON reports whether a content type is that of JSON.
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}
