package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// c2dFlags are the flags of hubwire service send.
type c2dFlags struct {
	messageFlags
	module, bodyFile, ack, expiry string
	waitFeedback                  bool
}

func newServiceSend(f *serviceFlags) *cobra.Command {
	var m c2dFlags
	c := f.does(&cobra.Command{
		Use:   "send DEVICE [BODY]",
		Short: "Send a message to a device or module",
		Long: `Send a cloud-to-device message, and wait for what the hub says of it: that it is in the
device's queue, where it waits until it expires, or why it is not. The body is the
argument, or what --body-file has; without either, or with "-", it is what stdin has.

With --wait-feedback it waits until the device is done with it, and prints how that went:
the exit code is 0 for Success only. Feedback comes out of one queue for all
devices, so what it reads of other messages meanwhile is printed too.`,
		Example: `  hubwire service send pump '{"open":true}' --property door=front --ack full
  hubwire service send pump --body-file firmware.json --expiry 10m --wait-feedback`,
		Args: arguments("DEVICE", "[BODY]"),
	}, func(ctx context.Context, s *session, args []string) error {
		if err := m.read(s, args[1:]); err != nil {
			return err
		}
		to := hubwire.Identity{DeviceID: args[0], ModuleID: m.module}
		if err := s.SendC2D(ctx, to, &m.message); err != nil {
			return err
		}
		if m.waitFeedback {
			return s.awaitFeedback(ctx, to, m.message.ID)
		}
		return s.say(queuedJSON{to.DeviceID, to.ModuleID, m.message.ID},
			"queued %s for %s", plural(len(m.message.Body), "byte"), to)
	})
	m.add(c)
	fs := c.Flags()
	fs.StringVar(&m.bodyFile, "body-file", "", "send what this file has")
	fs.StringVar(&m.ack, "ack", "", "the feedback to ask for: none, positive, negative or full (default none, with --wait-feedback full)")
	fs.StringVar(&m.expiry, "expiry", "", "when it expires: a time such as 2026-01-31T08:00:00Z, or in how long, such as 10m; the hub's own when empty")
	fs.BoolVar(&m.waitFeedback, "wait-feedback", false, "wait until the device is done with it")
	f.addTransport(c)
	serviceModuleFlag(c, &m.module)
	return c
}

// queuedJSON is what --json prints of a message that the hub has.
type queuedJSON struct {
	DeviceID  string `json:"deviceId"`
	ModuleID  string `json:"moduleId,omitempty"`
	MessageID string `json:"messageId,omitempty"`
}

// read makes the message of flags, arguments, file and stdin.
func (m *c2dFlags) read(s *session, args []string) (err error) {
	if err := m.readProperties(); err != nil {
		return err
	}
	m.message.Ack = hubwire.Ack(m.ack)
	if m.expiry != "" {
		if m.message.Expiry, err = momentOf("expiry", m.expiry); err != nil {
			return err
		}
	}
	if m.waitFeedback {
		if m.ack == "" {
			m.message.Ack = hubwire.AckFull
		}
		if m.message.Ack == hubwire.AckNone {
			return errors.New("--wait-feedback and --ack none exclude each other")
		}
		if m.message.ID == "" {
			m.message.ID = rand.Text() // what feedback is told by
		}
	}
	if m.message.Body, err = m.body(s, args); err != nil {
		return err
	}
	return m.message.CheckC2D()
}

func (m *c2dFlags) body(s *session, args []string) ([]byte, error) {
	if m.bodyFile == "" {
		return argumentOrStdin(s.cmd, args, hubwire.MaxC2DSize, s.f.connectionString == "-")
	}
	if len(args) > 0 {
		return nil, errors.New("BODY and --body-file exclude each other")
	}
	file, err := os.Open(m.bodyFile)
	if err != nil {
		return nil, fmt.Errorf("--body-file: %w", err)
	}
	defer file.Close()
	return readBounded(file, "--body-file", hubwire.MaxC2DSize)
}

// awaitFeedback prints feedback until it is of that message.
func (s *session) awaitFeedback(ctx context.Context, to hubwire.Identity, messageID string) error {
	for {
		batch, err := s.ReceiveFeedback(ctx)
		if err != nil {
			return err
		}
		var own *service.FeedbackRecord
		for i, r := range batch.Records {
			if err := printLine(s.out, r); err != nil {
				return err
			}
			if r.OriginalMessageID == messageID && r.DeviceID == to.DeviceID {
				own = &batch.Records[i]
			}
		}
		if err := settling(ctx, batch, (*service.Feedback).Complete); err != nil {
			return err
		}
		if own == nil {
			continue
		}
		if !own.Status.Is(service.FeedbackSuccess) {
			return fmt.Errorf("the message ended with %s", printable(string(own.Status)))
		}
		return nil
	}
}
