package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestAShellReadsBackWhatTheEnvFileHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub env")
	want := "HostName=localhost;Key=a'b$(id)`x`\"\\ =="
	if err := writeEnvFile(path, &place{host: "localhost", owner: want}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", "-c", `. "$0" && printf '%s|%s|%s' "$HUBWIRE_HOST" "$HUBWIRE_AMQP_PORT" "$HUBWIRE_CONNECTION_STRING"`, path).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out); got != "localhost||"+want {
		t.Errorf("the shell read %q, want %q", got, "localhost||"+want)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600: the file holds keys", st.Mode().Perm())
	}
}

func TestAnEnvFileThatCannotBeWrittenLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeEnvFile(path, &place{host: "localhost"}); err == nil {
		t.Fatal("a folder was replaced by the env file")
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatIsNoEnvFileIsLeftAlone(t *testing.T) {
	tests := []struct {
		name string
		make func(path string) error
		want error
	}{
		{"nothing", func(string) error { return nil }, nil},
		{"an empty file", func(p string) error { return os.WriteFile(p, nil, 0o600) }, nil},
		{"an env file", func(p string) error { return writeEnvFile(p, &place{host: "h"}) }, nil},
		{"a text", func(p string) error { return os.WriteFile(p, []byte("myhost\n"), 0o600) }, errNoEnvFile},
		{"an env file with something more", func(p string) error { return os.WriteFile(p, []byte("HUBWIRE_HOST='h'\nPATH=x\n"), 0o600) }, errNoEnvFile},
		{"a large file", func(p string) error { return os.WriteFile(p, make([]byte, maxEnvFile+1), 0o600) }, errNoEnvFile},
		{"a link", func(p string) error { return os.Symlink(filepath.Dir(p), p) }, errNoEnvFile},
		{"a link to nothing", func(p string) error { return os.Symlink("nowhere", p) }, errNoEnvFile},
		{"a pipe", func(p string) error { return exec.Command("mkfifo", p).Run() }, errNoEnvFile},
		{"a folder", func(p string) error { return os.Mkdir(p, 0o700) }, errNoEnvFile},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "hub.env")
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			for _, op := range []func(string) error{checkEnvFile, func(p string) error { return removeEnvFile(p, &place{host: "other"}) }} {
				if err := op(path); tt.want == nil && err != nil {
					t.Error(err)
				}
				if after, _ := os.Lstat(path); before != nil && (after == nil || !os.SameFile(before, after)) {
					t.Fatal("it is gone")
				}
			}
			if err := clearEnvFile(path); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if _, err := os.Lstat(path); (err == nil) != (tt.want != nil) {
				t.Errorf("cleared, it is there: %t", err == nil)
			}
		})
	}
}
