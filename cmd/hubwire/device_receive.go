package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// dispositions are the values of --settle. 0 leaves the message as it is.
var dispositions = map[string]hubwire.Disposition{
	"complete": hubwire.Complete, "reject": hubwire.Reject, "abandon": hubwire.Abandon, "leave": 0,
}

// whatSettlingNeeds are the features that a disposition needs.
var whatSettlingNeeds = map[hubwire.Disposition][]device.Feature{
	hubwire.Reject: {device.FeatureReject}, hubwire.Abandon: {device.FeatureAbandon},
}

// receiveFlags are the flags of hubwire device receive.
type receiveFlags struct {
	count  int
	settle string
}

func newDeviceReceive(d *deviceFlags) *cobra.Command {
	var f receiveFlags
	c := &cobra.Command{
		Use:   "receive",
		Short: "Print cloud-to-device messages, and what comes to a module's inputs",
		Long: `Print each cloud-to-device message, and for a module what comes to its inputs,
then settle it. MQTT can only complete and leave: reject and abandon are refused.
What is left comes again with the next connection, over HTTPS when its lock has run
out. Over HTTPS the hub is asked again and again, see --poll-interval, and modules
have no inputs.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			how, ok := dispositions[f.settle]
			switch {
			case !ok:
				return fmt.Errorf("--settle %q is none of complete, reject, abandon, leave", f.settle)
			case f.count < 0:
				return fmt.Errorf("--count is %d", f.count)
			}
			client, err := d.dial(c, whatSettlingNeeds[how]...)
			if err != nil {
				return err
			}
			defer closing(client, &err)
			return untilInterrupted(c.Context(), f.count == 0, f.run(c, client, how))
		},
	}
	fs := c.Flags()
	fs.IntVar(&f.count, "count", 0, "end after so many messages; 0 means when interrupted")
	fs.StringVar(&f.settle, "settle", "complete", "what to do with a message: complete, reject, abandon, or leave")
	return c
}

func (f *receiveFlags) run(c *cobra.Command, client *device.Client, how hubwire.Disposition) error {
	fmt.Fprintln(c.ErrOrStderr(), "waiting for messages")
	for n := 1; f.count == 0 || n <= f.count; n++ {
		m, err := client.Receive(c.Context())
		if err != nil {
			return err
		}
		if err := printMessage(c.OutOrStdout(), m); err != nil {
			return err
		}
		if how == 0 {
			continue
		}
		if err := m.Settle(c.Context(), how); err != nil {
			return err
		}
	}
	return nil
}

// printMessage writes what a message has, one a line, then its body.
func printMessage(w io.Writer, m *hubwire.Received) error {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-18s%s\n", printable(name), value) }
	field := func(name, value string) {
		if value != "" {
			line(name, printable(value))
		}
	}
	field("input", m.Input)
	field("message id", m.ID)
	field("correlation id", m.CorrelationID)
	field("user id", m.UserID)
	field("to", m.To)
	field("content type", m.ContentType)
	field("content encoding", m.ContentEncoding)
	field("ack", string(m.Ack))
	field("created", timeText(m.CreationTime))
	field("expires", timeText(m.Expiry))
	if m.Source != (hubwire.Identity{}) {
		field("from", m.Source.String())
	}
	if m.Redelivered || m.DeliveryCount > 0 {
		field("delivered before", "yes")
	}
	for _, p := range m.Properties {
		line("property "+p.Name, printable(p.Value))
	}
	line("body", bodyText(m.Body))
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
