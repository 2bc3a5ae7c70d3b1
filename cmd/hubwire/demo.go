package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// feature is a row of the demo's table: something that IoT Hub does, and a
// check of it from both ends, over whatever protocol the stage has.
type feature struct {
	name string

	// needs is what it needs that not every hub has for the demo, or "": then it runs on any.
	needs string

	// partly is what is checked of it without what it needs, or "": then it is skipped.
	partly string

	// lacks are the protocols over which IoT Hub has no such thing.
	lacks []string

	// service are the protocols over which IoT Hub has it for back ends, when it is theirs. The
	// device's end of it is over the first protocol.
	service []string

	run func(context.Context, *stage) error
}

// features are the rows, in the order of the table.
var features = slices.Concat(
	telemetryFeatures, c2dFeatures, twinFeatures, methodFeatures, moduleFeatures, accessFeatures, connectionFeatures, amqpFeatures,
	uploadFeatures, registryFeatures, fleetFeatures, jobFeatures, commandFeatures, backEndFeatures)

var (
	// The lacks of what IoT Hub has for devices over all but some protocols, or over some alone.
	notHTTPS = []string{overHTTPS}
	notMQTT  = []string{overMQTT, overMQTTWS}
	onlyMQTT = []string{overAMQP, overAMQPWS, overHTTPS}
	onlyAMQP = []string{overMQTT, overMQTTWS, overHTTPS}

	// The protocols of what it has for back ends.
	byREST = []string{overHTTPS}
	byAMQP = []string{overAMQP, overAMQPWS}
)

// cellsAtOnce bounds the cells that play side by side.
const cellsAtOnce = 16

// demoFlags are the flags of hubwire demo.
type demoFlags struct {
	connectionString string
	caFile           string
	json             bool
	only             string
	protocol         string
	takeFeedback     bool
	consumerGroup    string
}

func newDemo() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "The whole tour: every feature over every protocol, as a table",
		Long: `Check every feature over every protocol and print a table: one row a feature, one
column a protocol, each cell ok, failed, skipped, or – where IoT Hub itself has no such
thing, and ok* where only a part could be checked; then "N passed, M failed". The exit code is not 0 when M is not 0.
Rows that begin with "service:" are of the back end, which does most over HTTPS, and over
AMQP what has to do with messages; the device at the other end of them speaks MQTT.

The hub runs inside this program, and all talk to it over TLS on loopback. With
--connection-string it is one that exists: devices are registered there for the time of
the demo, and what it does not have for the demo is skipped, such as a container for
exports. Its queues of feedback and of file notifications are left to those who read
them there, but with --take-feedback.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	fs := c.Flags()
	fs.StringVar(&f.connectionString, "connection-string", "", "of a hub that exists, of its policy iothubowner"+secretUsage)
	fs.StringVar(&f.caFile, "ca-file", "", "PEM file of an authority to trust beside the system's (default HUBWIRE_CA_FILE, for that hub)")
	fs.BoolVar(&f.json, "json", false, "print the table as JSON")
	fs.StringVar(&f.only, "only", "", "only the features with this in their name")
	fs.BoolVar(&f.takeFeedback, "take-feedback", false, "with --connection-string: read the hub's queues of feedback and of file notifications, that of other devices too")
	fs.StringVar(&f.consumerGroup, "consumer-group", "", "with --connection-string: in which consumer group to read events, which lets in five readers at a time (default $Default)")
	fs.StringVar(&f.protocol, "transport", "", "only this protocol: "+protocolNames(protocols))
	return c
}

func (f *demoFlags) run(c *cobra.Command) (err error) {
	t := &table{protocols: protocols}
	if f.protocol != "" {
		p, err := protocolOf(f.protocol)
		if err != nil {
			return err
		}
		t.protocols = []protocol{p}
	}
	chosen := slices.DeleteFunc(slices.Clone(features), func(x feature) bool { return !strings.Contains(x.name, f.only) })
	if len(chosen) == 0 {
		return fmt.Errorf("--only %q: no feature has that in its name", f.only)
	}
	v, err := f.openVenue(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	t.hub = v.host
	out := c.OutOrStdout()
	if f.json {
		out = io.Discard
	}
	fmt.Fprintln(out, v.describe())
	fmt.Fprintln(out)
	t.printHead(out)
	for r := range v.play(c.Context(), chosen, t.protocols) {
		t.rows = append(t.rows, r)
		t.printRow(out, r)
	}
	if err := c.Context().Err(); err != nil {
		return fmt.Errorf("the demo was broken off: %w", err)
	}
	fmt.Fprintln(out)
	t.printFoot(out)
	if f.json {
		if err := printJSON(c.OutOrStdout(), t.json()); err != nil {
			return err
		}
	}
	if n := t.count(statusFailed); n > 0 {
		return fmt.Errorf("%d of the demo's cells failed", n)
	}
	return nil
}

// play yields the rows in order, each as soon as it and those before it are
// complete, or until ctx ends. Cells of all rows run side by side.
func (v *venue) play(ctx context.Context, chosen []feature, columns []protocol) iter.Seq[row] {
	return func(yield func(row) bool) {
		var cells sync.WaitGroup
		defer cells.Wait()
		room := make(chan struct{}, cellsAtOnce)
		rows := make([]row, len(chosen))
		ready := make([]sync.WaitGroup, len(chosen))
		for i, x := range chosen {
			rows[i] = row{feature: x.name, cells: make([]cell, len(columns))}
			ready[i].Add(len(columns))
		}
		cells.Go(func() {
			for i, x := range chosen {
				for j, p := range columns {
					room <- struct{}{}
					cells.Go(func() {
						defer func() { <-room; ready[i].Done() }()
						rows[i].cells[j] = v.playCell(ctx, x, p)
					})
				}
			}
		})
		for i := range rows {
			ready[i].Wait()
			if ctx.Err() != nil || !yield(rows[i]) {
				return
			}
		}
	}
}

// playCell runs one feature over one protocol.
func (v *venue) playCell(ctx context.Context, x feature, p protocol) cell {
	switch {
	case slices.Contains(x.lacks, p.name), x.service != nil && !slices.Contains(x.service, p.name):
		return cell{status: statusImpossible}
	case v.lacks(x) && x.partly == "":
		return cell{status: statusSkipped, reason: "needs " + x.needs}
	case ctx.Err() != nil:
		return cell{status: statusFailed, reason: ctx.Err().Error()}
	}
	start := time.Now()
	err := v.perform(ctx, x, p)
	c := cell{status: statusOK, took: time.Since(start)}
	if skip, ok := errors.AsType[skipError](err); ok {
		c.status, c.reason = statusSkipped, string(skip)
	} else if err != nil {
		c.status, c.reason = statusFailed, oneLine(err)
	} else if v.lacks(x) {
		c.reason = "checked is only " + x.partly + "; the rest needs " + x.needs
	}
	return c
}

// skipError is why a feature turns out not to be to be had on this hub.
type skipError string

func (e skipError) Error() string { return string(e) }

// lacks reports whether what x needs is not to be had on v's hub.
func (v *venue) lacks(x feature) bool {
	if x.needs == noticeQueues {
		return v.feedback == nil
	}
	return x.needs != "" && v.embedded == nil
}

// perform gives up on a feature that does not end, even one that does not heed
// its context, and contains a panic in it.
func (v *venue) perform(ctx context.Context, x feature, p protocol) error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeoutCause(ctx, v.limit, fmt.Errorf("it took more than %v", v.limit))
		defer cancel()
		s := v.newStage(x, p)
		if x.service != nil {
			s.protocol = protocols[0]
		}
		err := contained(func() error { return x.run(ctx, s) })
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		done <- errors.Join(err, s.clear(context.WithoutCancel(ctx)))
	}()
	t := time.NewTimer(v.limit + 2*v.grace)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("it did not end within %v", v.limit+2*v.grace)
	}
}

func contained(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}
