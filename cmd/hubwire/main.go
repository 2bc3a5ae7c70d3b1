// Command hubwire is the toolkit's face for people: a hub on loopback, a tour
// of what works, and each thing one at a time, from both ends.
//
//	hubwire hub       run the hub on loopback until interrupted
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// exitInterrupted is how shells report a program that SIGINT ended.
const exitInterrupted = 130

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program where it stands
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	err := newRoot().ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, "hubwire:", strings.TrimPrefix(err.Error(), "hubwire: "))
	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "hubwire",
		Short:         "Azure IoT Hub's wire, both ends of it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	return group(root, newHub())
}

// group makes c a command that does nothing but lead to others.
func group(c *cobra.Command, members ...*cobra.Command) *cobra.Command {
	c.AddCommand(members...)
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}
