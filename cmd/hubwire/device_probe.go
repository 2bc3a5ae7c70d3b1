package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/sas"
)

// probeFlags are the flags of hubwire device probe.
type probeFlags struct {
	host    string
	needs   []string
	timeout time.Duration
	json    bool
}

func newDeviceProbe(d *deviceFlags) *cobra.Command {
	var f probeFlags
	c := &cobra.Command{
		Use:   "probe",
		Short: "Find out which protocols reach the hub from here, and what is lost by each",
		Long: `Knock at the doors of a hub, without credentials and all at the same time: which protocols
does the hub answer from here, how soon, and what is in the way of the others? Then say which
one --transport auto would choose, and what is lost by that.

The hub is that of --host, of --connection-string, whose secret is not used, or of
HUBWIRE_CONNECTION_STRING. It exits with 0 when there is a protocol to choose.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, d) },
	}
	fs := c.Flags()
	fs.StringVar(&f.host, "host", "", "the hub's host name, in place of a connection string")
	fs.StringArrayVar(&f.needs, "need", nil, "a feature that the choice must have, by its name in hubwire device matrix (repeatable)")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "how long to wait for an answer")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	return c
}

// errNoDoor is how a probe ends that has shown why already.
var errNoDoor = errors.New("no protocol that would do reaches the hub from here")

func (f *probeFlags) run(c *cobra.Command, d *deviceFlags) error {
	if f.timeout <= 0 {
		return fmt.Errorf("--timeout is %v, not more than 0", f.timeout)
	}
	needs, err := featuresOf(f.needs)
	if err != nil {
		return err
	}
	local, err := findPlace(d.envFile)
	if err != nil {
		return err
	}
	hub, err := f.hub(c, d, local)
	if err != nil {
		return err
	}
	way, err := reachHub(local, hub, d.caFile)
	if err != nil {
		return err
	}
	doors, err := device.Probe(c.Context(), hub, everyTransport(transportOptions{}), &device.Options{Dial: way.dial, TLSConfig: way.tls, ConnectTimeout: f.timeout})
	if err != nil {
		return err
	}
	if err := c.Context().Err(); err != nil {
		return err
	}
	r := reportOf(hub, doors, needs)
	if f.json {
		err = printJSON(c.OutOrStdout(), r)
	} else {
		err = r.print(c.OutOrStdout())
	}
	if err == nil && r.Choice == "" {
		err = errNoDoor
	}
	return err
}

// hub is the name of the hub to probe.
func (f *probeFlags) hub(c *cobra.Command, d *deviceFlags, local *place) (string, error) {
	s, what := local.owner, "HUBWIRE_CONNECTION_STRING"
	switch {
	case f.host != "" && d.connectionString != "":
		return "", errors.New("--host and --connection-string exclude each other")
	case f.host != "":
		return f.host, nil
	case d.connectionString != "":
		secret, err := readSecret(c, "--connection-string", d.connectionString)
		if err != nil {
			return "", err
		}
		s, what = secret.Reveal(), "--connection-string"
	case s == "":
		return "", errors.New("which hub? Say --host or --connection-string, or set HUBWIRE_CONNECTION_STRING")
	}
	cs, err := sas.ParseConnectionString(s)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if cs.GatewayHostName != "" {
		return cs.GatewayHostName, nil
	}
	return cs.HostName, nil
}

// featuresOf returns the features of those names.
func featuresOf(names []string) ([]device.Feature, error) {
	var features []device.Feature
	for _, name := range names {
		i := slices.IndexFunc(device.Features(), func(f device.Feature) bool { return strings.EqualFold(f.String(), name) })
		if i < 0 {
			return nil, fmt.Errorf("--need %q is no feature; hubwire device matrix lists them", name)
		}
		features = append(features, device.Features()[i])
	}
	return features, nil
}

// probeReport is what hubwire device probe prints.
type probeReport struct {
	Hub    string      `json:"hub"`
	Doors  []probeDoor `json:"doors"`
	Choice string      `json:"choice,omitempty"` // what --transport auto would take
	Lost   []probeLoss `json:"lost,omitempty"`
}

type probeDoor struct {
	Transport string   `json:"transport"`
	Addr      string   `json:"addr"`
	Open      bool     `json:"open"`
	Millis    float64  `json:"ms"`
	Obstacle  string   `json:"obstacle,omitempty"`
	Error     string   `json:"error,omitempty"`
	Lacks     []string `json:"lacks,omitempty"` // of what is needed
}

type probeLoss struct {
	Feature string   `json:"feature"`
	Support string   `json:"support"`
	By      []string `json:"by"` // who has it
}

// reportOf says what was found, and which door would be taken by somebody with those needs.
func reportOf(hub string, doors []device.Door, needs []device.Feature) *probeReport {
	r := &probeReport{Hub: hub}
	all := make([]device.Transport, len(doors))
	for i, d := range doors {
		all[i] = d.Transport
		p := probeDoor{Transport: d.Transport.String(), Addr: d.Addr, Open: d.Open(), Millis: float64(d.Latency.Microseconds()) / 1000}
		if !d.Open() {
			p.Obstacle, p.Error = d.Obstacle.String(), oneLine(d.Err)
		}
		for _, f := range needs {
			if !d.Transport.Supports(f).Has {
				p.Lacks = append(p.Lacks, f.String())
			}
		}
		r.Doors = append(r.Doors, p)
	}
	i := slices.IndexFunc(r.Doors, func(p probeDoor) bool { return p.Open && len(p.Lacks) == 0 })
	if i < 0 {
		return r
	}
	r.Choice = r.Doors[i].Transport
	for _, l := range device.Lost(doors[i].Transport, all...) {
		loss := probeLoss{Feature: l.Feature.String(), Support: l.Support.String()}
		for _, t := range l.By {
			loss.By = append(loss.By, t.String())
		}
		r.Lost = append(r.Lost, loss)
	}
	return r
}

func (r *probeReport) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-9s%-8s%8s  %s\n", "protocol", "door", "ms", printable(r.Hub))
	for _, d := range r.Doors {
		door, note := "open", printable(d.Addr)
		if !d.Open {
			door, note = "closed", note+"  "+d.Obstacle+": "+printable(d.Error)
		}
		if len(d.Lacks) > 0 {
			note += "  lacks " + strings.Join(d.Lacks, ", ")
		}
		fmt.Fprintf(&b, "%-9s%-8s%8.1f  %s\n", d.Transport, door, d.Millis, note)
	}
	if r.Choice == "" {
		fmt.Fprintln(&b, "\nchoice: none")
	} else {
		fmt.Fprintf(&b, "\nchoice: %s\n", r.Choice)
	}
	if len(r.Lost) > 0 {
		fmt.Fprintln(&b, "lost by it:")
	}
	for _, l := range r.Lost {
		fmt.Fprintf(&b, "  %-29s%s; in full over %s\n", l.Feature, l.Support, strings.Join(l.By, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newDeviceMatrix() *cobra.Command {
	return &cobra.Command{
		Use:   "matrix",
		Short: "Print which protocol has which features",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return printMatrix(c.OutOrStdout()) },
	}
}

// printMatrix prints a feature a line, with the notes below.
func printMatrix(w io.Writer) error {
	var b strings.Builder
	var notes []string
	all := everyTransport(transportOptions{})
	line := func(feature string, cells []string) {
		text := fmt.Sprintf("%-30s", feature)
		for _, cell := range cells {
			text += fmt.Sprintf("%-9s", cell)
		}
		fmt.Fprintln(&b, strings.TrimRight(text, " "))
	}
	cells := make([]string, len(all))
	for i, t := range all {
		cells[i] = t.String()
	}
	line("feature", cells)
	for _, f := range device.Features() {
		for at, t := range all {
			s := t.Supports(f)
			cell, _, noted := strings.Cut(s.String(), ":")
			if noted {
				i := slices.Index(notes, s.Note)
				if i < 0 {
					i, notes = len(notes), append(notes, s.Note)
				}
				cell = fmt.Sprintf("%s (%d)", cell, i+1)
			}
			cells[at] = cell
		}
		line(f.String(), cells)
	}
	b.WriteByte('\n')
	for i, note := range notes {
		fmt.Fprintf(&b, "(%d) %s\n", i+1, note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
