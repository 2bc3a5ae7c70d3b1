// Command hubwire is the toolkit's face for people: a hub on loopback, a tour
// of what works, and each thing one at a time, from both ends.
//
//	hubwire demo      the whole tour on an embedded hub, as a table
//	hubwire hub       run the hub on loopback until interrupted
//	hubwire device    be a device: send, receive, twin, methods, upload
//	hubwire service   be the back end: devices, modules, twins, queries, methods, jobs, configurations, messages
//	hubwire events    print what devices send
//	hubwire sas       make, read and check shared access signatures
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup wants it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second signal ends the program where it stands
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	whole, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	root := newRoot()
	root.SetOut(&output{os.Stdout, fail})
	err := root.ExecuteContext(whole)
	if err == nil || errors.Is(err, context.Canceled) {
		var lost *outputError
		if errors.As(context.Cause(whole), &lost) {
			err = lost
		}
	}
	if err == nil {
		return 0
	}
	text := oneLine(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		text = strings.NewReplacer(context.Canceled.Error(), "interrupted", context.Cause(ctx).Error(), "interrupted").Replace(text)
		fmt.Fprintln(os.Stderr, "hubwire:", text)
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, "hubwire:", text)
	return 1
}

// output is stdout. What cannot be written ends the command, whose result
// nobody would see, and then the program with an error.
type output struct {
	w    io.Writer
	fail context.CancelCauseFunc // with an *outputError
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		err = &outputError{err}
		o.fail(err)
	}
	return n, err
}

// outputError is why stdout does not take what a command prints.
type outputError struct{ err error }

func (e *outputError) Error() string { return "the output is lost: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// oneLine is err's text without the prefix that main prints anyway, wherever an
// error was wrapped; joined errors, which stand on lines of their own, have
// semicolons between them.
func oneLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "hubwire: ")
	return strings.NewReplacer("\nhubwire: ", "; ", "\n", "; ", ": hubwire: ", ": ").Replace(text)
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
	return group(root, newDemo(), newHub(), newSAS(), newDevice(), newService(), newEvents())
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

// maxArgs lets a command have up to n arguments.
func maxArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return fmt.Errorf("%s takes at most %s, not %d; see %s --help", c.CommandPath(), plural(n, "argument"), len(args), c.CommandPath())
		}
		return nil
	}
}

func flagError(c *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
	)
	if errors.As(err, &invalid) {
		return fmt.Errorf("--%s takes %s; see %s --help", invalid.GetFlag().Name, valueText(invalid.GetFlag().Value.Type()), c.CommandPath())
	}
	if !errors.As(err, &unknown) {
		return err
	}
	dashes := "--"
	if unknown.GetSpecifiedShortnames() != "" {
		dashes = "-"
	}
	return fmt.Errorf("%s has no flag %s%s; see %s --help", c.CommandPath(), dashes, unknown.GetSpecifiedName(), c.CommandPath())
}

// valueText says what a flag of one of pflag's types takes.
func valueText(flagType string) string {
	switch flagType {
	case "uint16":
		return "a number from 0 to 65535"
	case "int":
		return "a whole number"
	case "duration":
		return "a time, such as 500ms, 10s or 1h30m"
	case "bool":
		return "true or false"
	}
	return "another value"
}
