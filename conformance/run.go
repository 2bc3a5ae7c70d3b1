package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// runTests runs the tests that tables name, and no others, and returns the files with their
// results, in dir. That tests fail is no error, but there.
func runTests(ctx context.Context, root, dir string, tables []*table) ([]string, error) {
	functions, packages := map[string]bool{}, map[string]bool{}
	judging := map[string]bool{}
	for test := range citations(tables) {
		pkg, function, _ := cutTest(test)
		if judges(test) {
			judging[function] = true
			continue
		}
		functions[function], packages["./"+pkg] = true, true
	}
	ours, theirs := filepath.Join(dir, "ours.json"), filepath.Join(dir, "theirs.json")
	args := append([]string{"go", "test", "-json", "-run", either(functions)}, slices.Sorted(maps.Keys(packages))...)
	if err := into(ctx, root, ours, args...); err != nil {
		return nil, err
	}
	return []string{ours, theirs}, into(ctx, root, theirs, "bash", "interop/run", "-json", "-run", either(judging))
}

// either matches any of some names.
func either(names map[string]bool) string {
	return "^(" + strings.Join(slices.Sorted(maps.Keys(names)), "|") + ")$"
}

// into runs a command whose output goes to a file.
func into(ctx context.Context, dir, name string, args ...string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, f, os.Stderr
	fmt.Fprintln(os.Stderr, "conformance:", strings.Join(args[:3], " "), "…")
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return err
	}
	return ctx.Err()
}
