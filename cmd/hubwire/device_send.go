package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// sendFlags are the flags of hubwire device send.
type sendFlags struct {
	messageFlags
	count    int
	interval time.Duration
}

// messageFlags are the flags of what can be said of a message in either direction.
type messageFlags struct {
	message    hubwire.Message
	properties []string
}

func (m *messageFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringArrayVar(&m.properties, "property", nil, "an application property, NAME=VALUE (repeatable, in order)")
	fs.StringVar(&m.message.ID, "message-id", "", "system property")
	fs.StringVar(&m.message.CorrelationID, "correlation-id", "", "system property")
	fs.StringVar(&m.message.UserID, "user-id", "", "system property")
	fs.StringVar(&m.message.ContentType, "content-type", "", `system property, such as "application/json"`)
	fs.StringVar(&m.message.ContentEncoding, "content-encoding", "", `system property, such as "utf-8"`)
}

// readProperties puts the application properties into the message.
func (m *messageFlags) readProperties() error {
	for _, p := range m.properties {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return fmt.Errorf("--property %q is not NAME=VALUE", p)
		}
		m.message.Properties = append(m.message.Properties, hubwire.Property{Name: name, Value: value})
	}
	return nil
}

func newDeviceSend(d *deviceFlags) *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use:   "send [BODY]",
		Short: "Send telemetry, and wait until the hub has acknowledged it",
		Long: `Send telemetry, and wait until the hub has acknowledged it. The body is the
argument; without one, or with "-", it is what stdin has.

With --count and no --interval the messages go out one on the heels of the other.`,
		Example: `  hubwire device send --device-id dev-1 --property alert=true '{"temperature":21}'`,
		Args:    maxArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			if err := f.read(d, c, args); err != nil {
				return err
			}
			client, err := d.dial(c)
			if err != nil {
				return err
			}
			defer closing(client, &err)
			return f.run(c, client)
		},
	}
	f.add(c)
	fs := c.Flags()
	fs.IntVar(&f.count, "count", 1, "how many times to send it")
	fs.DurationVar(&f.interval, "interval", 0, "how long to wait between two messages")
	fs.StringVar(&f.message.Component, "component", "", "the Plug and Play component")
	fs.StringVar(&f.message.Output, "output", "", "the output of a module")
	return c
}

// read makes the message of flags, arguments and stdin.
func (f *sendFlags) read(d *deviceFlags, c *cobra.Command, args []string) error {
	if f.count < 1 {
		return fmt.Errorf("--count is %d, the least is 1", f.count)
	}
	if f.interval < 0 {
		return fmt.Errorf("--interval is %v, the least is 0", f.interval)
	}
	if err := f.readProperties(); err != nil {
		return err
	}
	body, err := argumentOrStdin(c, args, hubwire.MaxTelemetrySize, d.connectionString == "-")
	if err != nil {
		return err
	}
	f.message.Body = body
	return f.message.CheckTelemetry()
}

// errStdinTwice is for two things that "-" has both come from stdin.
var errStdinTwice = errors.New("the connection string and what to send cannot both come from stdin")

// argumentOrStdin returns the argument, or without one, or when it is "-",
// what stdin has, which may not be longer than limit, unless it is taken.
func argumentOrStdin(c *cobra.Command, args []string, limit int, taken bool) ([]byte, error) {
	if len(args) > 0 && args[0] != "-" {
		return []byte(args[0]), nil
	}
	if taken {
		return nil, errStdinTwice
	}
	return readBounded(c.InOrStdin(), "stdin", limit)
}

// readBounded reads all that r has, which is limit bytes at most.
func readBounded(r io.Reader, what string, limit int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s has more than %d bytes, which is the limit", what, limit)
	}
	return b, err
}

func (f *sendFlags) run(c *cobra.Command, client *device.Client) error {
	switch {
	case f.count == 1:
		return f.once(c, client)
	case f.interval > 0:
		return f.oneByOne(c, client)
	}
	return f.burst(c, client)
}

func (f *sendFlags) once(c *cobra.Command, client *device.Client) error {
	took, err := f.send(c.Context(), client)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "sent %s, acknowledged after %v\n", plural(len(f.message.Body), "byte"), took)
	return err
}

func (f *sendFlags) oneByOne(c *cobra.Command, client *device.Client) error {
	for i := range f.count {
		var err error
		if i > 0 {
			err = pause(c.Context(), f.interval)
		}
		var took time.Duration
		if err == nil {
			took, err = f.send(c.Context(), client)
		}
		if err != nil {
			return f.brokenOff(i, err)
		}
		fmt.Fprintf(c.OutOrStdout(), "sent %d of %d, acknowledged after %v\n", i+1, f.count, took)
	}
	return nil
}

// send sends the message once and returns how long its acknowledgement took.
func (f *sendFlags) send(ctx context.Context, client *device.Client) (time.Duration, error) {
	start := time.Now()
	err := client.Send(ctx, &f.message)
	return time.Since(start).Round(10 * time.Microsecond), err
}

// brokenOff is err with how far the sending had come.
func (f *sendFlags) brokenOff(acknowledged int, err error) error {
	return fmt.Errorf("%d of %d were acknowledged: %w", acknowledged, f.count, err)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// burst sends without waiting for each acknowledgement.
func (f *sendFlags) burst(c *cobra.Command, client *device.Client) error {
	start := time.Now()
	var acknowledged atomic.Int64
	stop := progress(c.ErrOrStderr(), func() string {
		return fmt.Sprintf("acknowledged %d of %d", acknowledged.Load(), f.count)
	})
	defer stop()
	if err := f.sendAll(c.Context(), client, &acknowledged); err != nil {
		return f.brokenOff(int(acknowledged.Load()), err)
	}
	took := time.Since(start)
	fmt.Fprintf(c.OutOrStdout(), "sent %d messages of %s, all acknowledged after %v (%.0f/s)\n",
		f.count, plural(len(f.message.Body), "byte"), took.Round(time.Millisecond), float64(f.count)/took.Seconds())
	return nil
}

// sendAll returns when all are acknowledged, or at the first that fails.
func (f *sendFlags) sendAll(ctx context.Context, client *device.Client, acknowledged *atomic.Int64) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	all := make(chan struct{})
	done := func(err error) {
		switch {
		case err != nil:
			fail(err)
		case acknowledged.Add(1) == int64(f.count):
			close(all)
		}
	}
	for range f.count {
		if err := client.SendAsync(ctx, &f.message, done); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
	}
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// progress writes what text returns as a line to w, each second until stop is called.
func progress(w io.Writer, text func() string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, time.Second) == nil {
			fmt.Fprintln(w, text())
		}
	}()
	return func() { cancel(); <-done }
}
