// Command hubwire is the toolkit's face for people: a hub on loopback, a tour
// of what works, and each thing one at a time, from both ends.
//
//	hubwire hub       run the hub on loopback until interrupted
//	hubwire sas       make, read and check shared access signatures
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
	"github.com/spf13/pflag"
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
	fmt.Fprintln(os.Stderr, "hubwire:", oneLine(err))
	return 1
}

// oneLine is err's text without the prefix that main prints anyway; joined
// errors, which stand on lines of their own, have semicolons between them.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "hubwire: "), "\n", "; ")
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "hubwire",
		Short:         "Azure IoT Hub's wire, both ends of it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	return group(root, newHub(), newSAS())
}

// group makes c a command that does nothing but lead to others.
func group(c *cobra.Command, members ...*cobra.Command) *cobra.Command {
	c.AddCommand(members...)
	c.Args = noArgs
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// What is not understood may be a secret in the wrong place, so errors do not
// repeat it, other than cobra's.

func noArgs(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case c.HasSubCommands():
		return fmt.Errorf("%s has no such command; see %s --help", c.CommandPath(), c.CommandPath())
	}
	return fmt.Errorf("%s takes no arguments; see %s --help", c.CommandPath(), c.CommandPath())
}

func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	dashes := "--"
	if unknown.GetSpecifiedShortnames() != "" {
		dashes = "-"
	}
	return fmt.Errorf("%s has no flag %s%s; see %s --help", c.CommandPath(), dashes, unknown.GetSpecifiedName(), c.CommandPath())
}
