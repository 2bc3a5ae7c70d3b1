package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire/service"
)

func newServiceFeedback(f *serviceFlags) *cobra.Command {
	return newNotices(f, &cobra.Command{
		Use:   "feedback",
		Short: "Print what became of messages to devices, a line of JSON each",
		Long: `Print what became of messages to devices that were sent with --ack, a line of JSON
each, and take it off the hub's queue. A batch of records is settled as a whole,
so there can be some more than --count.`,
		Example: `  hubwire service feedback | jq -r '"\(.originalMessageId) \(.statusCode)"'`,
	}, "records", (*service.Client).ReceiveFeedback, func(b *service.Feedback) []any {
		lines := make([]any, len(b.Records))
		for i, r := range b.Records {
			lines[i] = r
		}
		return lines
	})
}

func newServiceNotifications(f *serviceFlags) *cobra.Command {
	return newNotices(f, &cobra.Command{
		Use:   "notifications",
		Short: "Print which files devices have uploaded, a line of JSON each",
		Long: `Print which files devices have uploaded, a line of JSON each, and take it off the
hub's queue.`,
	}, "notifications", (*service.Client).ReceiveFileNotification, func(n *service.FileNotification) []any { return []any{n.FileNotification} })
}

// notice is a batch of feedback or a file notification.
type notice interface {
	Complete(context.Context) error
	Abandon(context.Context) error
}

// settleTime bounds the settlement of what is printed already, which an interrupt does not break off.
const settleTime = 5 * time.Second

func settling[N notice](ctx context.Context, x N, how func(N, context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	return how(x, ctx)
}

// noticeFlags are the flags of who reads notices.
type noticeFlags struct {
	count  int
	settle string
}

// newNotices makes c print what receive gives, in the lines that it has, and settle it.
func newNotices[N notice](f *serviceFlags, c *cobra.Command, what string, receive func(*service.Client, context.Context) (N, error), lines func(N) []any) *cobra.Command {
	var n noticeFlags
	settle := map[string]func(N, context.Context) error{
		"complete": N.Complete, "abandon": N.Abandon, "leave": func(N, context.Context) error { return nil },
	}
	c.Args = noArgs
	c = f.does(c, func(ctx context.Context, s *session, _ []string) error {
		how, ok := settle[n.settle]
		switch {
		case !ok:
			return fmt.Errorf("--settle %q is none of complete, abandon, leave", n.settle)
		case n.count < 0:
			return fmt.Errorf("--count is %d", n.count)
		}
		for printed := 0; n.count == 0 || printed < n.count; {
			x, err := receive(s.Client, ctx)
			if err != nil {
				return untilInterrupted(ctx, n.count == 0, err)
			}
			for _, line := range lines(x) {
				if err := printLine(s.out, line); err != nil {
					return err
				}
				printed++
			}
			if err := settling(ctx, x, how); err != nil {
				return err
			}
		}
		return nil
	})
	fs := c.Flags()
	fs.IntVar(&n.count, "count", 0, "end after so many "+what+"; 0 means when interrupted")
	fs.StringVar(&n.settle, "settle", "complete", "what to do with what is printed: complete, which takes it off the queue; abandon or leave, with which it comes again, at once or when its lock ends")
	f.addTransport(c)
	return c
}
