// Chart draws what the gates found as an SVG: the CPU time that a message takes,
// at the least, with the toolkit and with a peer.
//
//	go run ./bench/gates -only mqtt -strict -json results.json
//	go run ./bench/chart results.json > bench/mqtt.svg
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hubwire/hubwire/bench/results"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("want one argument, a file that gates has written with -json")
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	r, err := results.Read(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	svg, err := draw(r)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	_, err = out.Write(svg)
	return err
}
