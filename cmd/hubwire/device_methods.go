package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// methodFlags are the flags of hubwire device methods.
type methodFlags struct {
	count   int
	status  int
	payload string
	echo    bool
}

func newDeviceMethods(d *deviceFlags) *cobra.Command {
	var f methodFlags
	c := &cobra.Command{
		Use:   "methods [NAME…]",
		Short: "Answer direct methods and print each call",
		Long: `Answer direct methods and print each call: those named, while others get status 501;
or all, when none is named.`,
		Example: `  hubwire device methods --device-id dev-1 --payload '{"done":true}' reboot`,
		RunE: func(c *cobra.Command, names []string) (err error) {
			if err := f.check(); err != nil {
				return err
			}
			client, err := d.dial(c, device.FeatureMethods)
			if err != nil {
				return err
			}
			defer closing(client, &err)
			return untilInterrupted(c.Context(), f.count == 0, f.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), client, names))
		},
	}
	fs := c.Flags()
	fs.IntVar(&f.count, "count", 0, "end after so many calls; 0 means when interrupted")
	fs.IntVar(&f.status, "status", 200, "the status of each answer")
	fs.StringVar(&f.payload, "payload", "", "the payload of each answer, JSON")
	fs.BoolVar(&f.echo, "echo", false, "answer with the payload of the call")
	return c
}

func (f *methodFlags) check() error {
	switch {
	case f.count < 0:
		return fmt.Errorf("--count is %d", f.count)
	case f.status < 0:
		return fmt.Errorf("--status is %d", f.status)
	case f.echo && f.payload != "":
		return errors.New("--echo and --payload exclude each other")
	case f.payload != "" && !json.Valid([]byte(f.payload)):
		return errors.New("--payload is not JSON")
	}
	return nil
}

// run answers until count calls were answered, ctx ends or the client does.
func (f *methodFlags) run(ctx context.Context, w, stderr io.Writer, client *device.Client, names []string) error {
	var (
		mu       sync.Mutex
		answered int
		enough   = make(chan struct{})
	)
	answer := func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		resp := hubwire.MethodResponse{Status: f.status, Payload: json.RawMessage(f.payload)}
		if f.echo {
			resp.Payload = r.Payload
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, "%s %s -> %d %s\n", printable(r.Name), bodyText(r.Payload), resp.Status, bodyText(resp.Payload))
		if answered++; answered == f.count {
			close(enough) // Close still sends the answer
		}
		return resp, nil
	}
	if len(names) == 0 {
		names = []string{""} // whatever has no handler of its own
	}
	for _, name := range names {
		if err := client.HandleMethod(ctx, name, answer); err != nil {
			return err
		}
	}
	fmt.Fprintln(stderr, "waiting for calls")
	select {
	case <-enough:
		return nil
	case <-client.Done():
		return client.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
