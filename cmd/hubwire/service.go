package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

// serviceFlags are the flags that all commands of hubwire service have.
type serviceFlags struct {
	connectionString string
	envFile          string
	caFile           string
	timeout          time.Duration
	transport        string // "": REST alone
	json             bool
	trace            bool
}

func newService() *cobra.Command {
	f := new(serviceFlags)
	c := group(&cobra.Command{
		Use:   "service",
		Short: "Be the back end: devices, modules, twins, queries, methods, jobs, configurations, messages",
		Long: `Be the back end of a hub, over its REST API, and over AMQP for messages to devices and
what comes back, by a shared access policy: the one of --connection-string, or
of HUBWIRE_CONNECTION_STRING.

A hub that hubwire hub runs is found by the variables of its env file, which
--env-file reads:
  hubwire hub --mqtt-port 0 --amqp-port 0 --https-port 0 --env-file hub.env &
  hubwire service device create pump --show-keys --env-file hub.env

Where something is changed, --etag is what it must still be; without it, or with
"*", it is changed whatever happened to it since. Keys are shown with --show-keys only.`,
	}, newServiceDevice(f), newServiceModule(f), newServiceTwin(f), newServiceQuery(f), newServiceMethod(f), newServiceJob(f), newServiceConfiguration(f),
		newServiceSend(f), newServiceFeedback(f), newServiceNotifications(f))
	fs := c.PersistentFlags()
	f.addHub(fs)
	fs.DurationVar(&f.timeout, "timeout", time.Minute, "how long a call may take, with all that is tried again; methods have their own")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	fs.BoolVar(&f.trace, "trace", false, "show each request on stderr, and what became of it")
	return c
}

// addHub adds the flags that say which hub.
func (f *serviceFlags) addHub(fs *pflag.FlagSet) {
	fs.StringVar(&f.connectionString, "connection-string", "", "of a shared access policy of the hub (default HUBWIRE_CONNECTION_STRING)"+secretUsage)
	fs.StringVar(&f.envFile, "env-file", "", envFileUsage)
	fs.StringVar(&f.caFile, "ca-file", "", "PEM file of an authority to trust beside the system's (default HUBWIRE_CA_FILE, for that hub)")
}

// addTransport adds the flag that says how to speak AMQP.
func (f *serviceFlags) addTransport(c *cobra.Command) {
	c.Flags().StringVar(&f.transport, "transport", overAMQP, "the protocol: amqp, or amqp-ws, for networks that let nothing but HTTPS out")
}

// session is a client of the hub, and where to print.
type session struct {
	*service.Client
	f   *serviceFlags
	cmd *cobra.Command
	out io.Writer
}

// does makes do what c does, with a client that is closed at its end.
func (f *serviceFlags) does(c *cobra.Command, do func(ctx context.Context, s *session, args []string) error) *cobra.Command {
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		client, err := f.client(c)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		return do(c.Context(), &session{client, f, c, c.OutOrStdout()}, args)
	}
	return c
}

func (f *serviceFlags) client(c *cobra.Command) (*service.Client, error) {
	if f.transport != "" && f.transport != overAMQP && f.transport != overAMQPWS {
		return nil, fmt.Errorf("--transport %q is neither %s nor %s", f.transport, overAMQP, overAMQPWS)
	}
	if f.timeout <= 0 {
		return nil, fmt.Errorf("--timeout is %v, it has to be more than 0", f.timeout)
	}
	local, err := findPlace(f.envFile)
	if err != nil {
		return nil, err
	}
	policy, source := local.owner, "HUBWIRE_CONNECTION_STRING"
	if c.Flags().Changed("connection-string") {
		source = "--connection-string"
		text, err := readSecret(c, source, f.connectionString)
		if err != nil {
			return nil, err
		}
		policy = text.Reveal()
	} else if policy == "" {
		return nil, errors.New("which hub? Say --connection-string, or --env-file, or set HUBWIRE_CONNECTION_STRING")
	}
	cs, err := sas.ParseConnectionString(policy)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	way, err := reachHub(local, cs.HostName, f.caFile)
	if err != nil {
		return nil, err
	}
	o := way.serviceOptions(f.transport == overAMQPWS)
	o.OperationTimeout, o.RequestTimeout = f.timeout, min(f.timeout, time.Minute)
	if f.trace {
		o.Hooks = &service.Hooks{Attempt: func(a service.Attempt) { traceAttempt(c.ErrOrStderr(), a) }}
	}
	client, err := service.New(policy, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return client, nil
}

func traceAttempt(w io.Writer, a service.Attempt) {
	text := fmt.Sprintf("%s %s: %d after %v", a.Method, a.Path, a.Status, a.Duration.Round(10*time.Microsecond))
	if a.Err != nil {
		text += ": " + oneLine(a.Err)
	}
	if a.Next >= 0 && a.Err != nil {
		text += fmt.Sprintf("; again after %v", a.Next.Round(time.Millisecond))
	}
	fmt.Fprintln(w, text)
}

// arguments lets a command have these arguments; those in brackets can be left
// out, and the last, when it ends with "…", can be there more than once.
func arguments(names ...string) cobra.PositionalArgs {
	least, most := 0, len(names)
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			least++
		}
	}
	if most > 0 && strings.Contains(names[most-1], "…") {
		most = 1 << 20
	}
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("%s takes %s, and there are %s; see %s --help",
				c.CommandPath(), strings.Join(names, " "), plural(len(args), "argument"), c.CommandPath())
		}
		return nil
	}
}

// etagFlag adds the flag --etag.
func etagFlag(c *cobra.Command, etag *string) {
	c.Flags().StringVar(etag, "etag", service.Any, "what its ETag must still be")
}

// object is the JSON object that a flag holds, nil where that was not given.
func (s *session) object(flag, value string) (json.RawMessage, error) {
	if !s.cmd.Flags().Changed(flag) {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(value), &members) != nil || members == nil {
		return nil, fmt.Errorf("--%s is not a JSON object", flag)
	}
	return json.RawMessage(value), nil
}

// print writes doc, as JSON when that was asked for and else by text. JSON has
// the keys in it only when show is set.
func (s *session) print(doc any, show bool, text func(w io.Writer)) error {
	if !s.f.json {
		text(s.out)
		return nil
	}
	if !show {
		return printJSON(s.out, doc)
	}
	b, err := httpsx.Marshal(doc)
	if err != nil {
		return err
	}
	return printJSON(s.out, json.RawMessage(b))
}

// say prints a line where no JSON was asked for, which then is doc.
func (s *session) say(doc any, format string, args ...any) error {
	return s.print(doc, false, func(w io.Writer) { fmt.Fprintf(w, format+"\n", args...) })
}

// sheet writes names and values, those that are not empty.
func sheet(w io.Writer, pairs ...string) {
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			fmt.Fprintf(w, "%-19s %s\n", pair[0], printable(pair[1]))
		}
	}
}

// columns writes rows in columns, below their heads.
func columns(w io.Writer, heads []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{heads}, rows...) {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	_ = t.Flush() // stdout tells by itself when it is lost
}

// collect makes a slice of what seq gives, until its first error.
func collect[T any](seq func(yield func(T, error) bool)) ([]T, error) {
	all := []T{}
	for v, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
