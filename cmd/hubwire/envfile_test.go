package main

import (
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
