package site

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/hubwire/hubwire/hub"
)

// Limit bounds an example.
const Limit = 5 * time.Minute

// Main is the main function of an example: play is both of its sides, and prints what happens.
func Main(play func(ctx context.Context, out io.Writer, s *Site) error) { MainOn(nil, play) }

// MainOn is Main for an example whose embedded hub has a configuration.
func MainOn(cfg *hub.Config, play func(ctx context.Context, out io.Writer, s *Site) error) {
	owner := flag.String("connection-string", os.Getenv("HUBWIRE_CONNECTION_STRING"),
		"of the hub's policy iothubowner; without it, and without HUBWIRE_CONNECTION_STRING, an embedded hub is started")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := open(ctx, *owner, cfg, play); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func open(ctx context.Context, owner string, cfg *hub.Config, play func(context.Context, io.Writer, *Site) error) error {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	var s *Site
	var err error
	if owner == "" {
		s, err = Embedded(ctx, cfg)
	} else {
		s, err = At(owner)
	}
	if err != nil {
		return err
	}
	if err := play(ctx, os.Stdout, s); err != nil {
		_ = s.Close() // there is an error already, which is why
		return err
	}
	return s.Close()
}
