package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

// file is what is made, in the root of the module.
const file = "CONFORMANCE.md"

// conformance are the tables of the file.
var conformance = []*table{&devices, &services}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errFailed = errors.New("conformance: there are failures")

// command does what the arguments say.
func command(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("conformance", flag.ContinueOnError)
	read := fs.Bool("results", false, "write "+file+" from the results in these files of go test -json")
	check := fs.Bool("check", false, "compare "+file+" with the results in these files")
	count := fs.Bool("count", false, "print what became of each package's tests in these files")
	if err := fs.Parse(args); err != nil {
		return err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	named := fs.Args()
	run := !*read && !*check && !*count
	if run {
		if len(named) > 0 {
			return fmt.Errorf("conformance: %q without -results, -check or -count", named)
		}
		dir, err := os.MkdirTemp("", "conformance-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if named, err = runTests(ctx, root, dir, conformance); err != nil {
			return err
		}
	}
	got, err := readFiles(named)
	if err != nil {
		return fmt.Errorf("conformance: %w", err)
	}
	if *count {
		if !got.count(out) {
			return errFailed
		}
		return nil
	}
	if run {
		got.count(out) // with what those that failed have said
	}
	return compare(root, conformance, got, !*check, out)
}

// compare makes the file of the results, and writes it or holds the one that is there against it.
func compare(root string, tables []*table, got *results, write bool, out io.Writer) error {
	all, wrong := fill(tables, got)
	in, missing := sources(root, tables)
	if wrong = append(wrong, missing...); len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	name := filepath.Join(root, file)
	old, err := os.ReadFile(name)
	if err != nil && !(write && errors.Is(err, os.ErrNotExist)) {
		return err
	}
	now := report(all, in)
	wrong = append(failures(all), lost(string(old), all)...)
	if write {
		if err := os.WriteFile(name, []byte(now), 0o644); err != nil {
			return err
		}
	} else if d := difference(string(old), now); d != "" {
		wrong = append(wrong, fmt.Errorf("%s is stale; go run ./conformance makes it anew:\n%s", file, d))
	}
	fmt.Fprintln(out, strings.Trim(summary(all), "*"))
	return errors.Join(wrong...)
}

// moduleRoot is the folder of the root module.
func moduleRoot(ctx context.Context) (string, error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("conformance: where is the module? %w", err)
	}
	return strings.TrimSpace(string(dir)), nil
}
