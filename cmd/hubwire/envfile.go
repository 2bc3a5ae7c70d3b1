package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// place is where a running hub is and what leads to it. The hub command gives
// it to other programs as variables of the environment, and the client commands
// read them.
type place struct {
	host                          string
	mqttPort, amqpPort, httpsPort string // empty: not served, or not known
	caFile                        string
	owner, events                 string // connection strings
}

// envVar is a variable of the environment and the field that it is for.
type envVar struct {
	name  string
	value *string
}

func (p *place) vars() []envVar {
	return []envVar{
		{"HUBWIRE_HOST", &p.host},
		{"HUBWIRE_MQTT_PORT", &p.mqttPort},
		{"HUBWIRE_AMQP_PORT", &p.amqpPort},
		{"HUBWIRE_HTTPS_PORT", &p.httpsPort},
		{"HUBWIRE_CA_FILE", &p.caFile},
		{"HUBWIRE_CONNECTION_STRING", &p.owner},
		{"HUBWIRE_EVENTHUB_CONNECTION_STRING", &p.events},
	}
}

// maxEnvFile bounds what is read of a file to see whether it is an env file, in bytes.
const maxEnvFile = 64 << 10

var errNoEnvFile = errors.New("what is there is not an env file, so it is left alone: choose another path")

// oldEnvFile returns what an env file at path holds, and nil when nothing is
// there. Anything but a regular file of HUBWIRE_* lines is [errNoEnvFile]: a
// path that was mistyped must not cost its owner a file. It is not followed
// when it is a link, nor opened when it is a pipe.
func oldEnvFile(path string) ([]byte, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxEnvFile {
		return nil, fmt.Errorf("env file %s: %w", path, errNoEnvFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	for line := range bytes.Lines(b) {
		if !bytes.HasPrefix(line, []byte("HUBWIRE_")) || !bytes.Contains(line, []byte("=")) {
			return nil, fmt.Errorf("env file %s: %w", path, errNoEnvFile)
		}
	}
	return b, nil
}

// checkEnvFile reports why an env file cannot stand at path: its folder is
// missing, or something else is there.
func checkEnvFile(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	_, err := oldEnvFile(path)
	return err
}

// clearEnvFile removes what an earlier hub left at path, which must not pass for this one's.
func clearEnvFile(path string) error {
	if err := checkEnvFile(path); err != nil {
		return err
	}
	return ignoreMissing(os.Remove(path))
}

// removeEnvFile removes the env file of p, and not what another hub, or
// somebody else, has put in its place since.
func removeEnvFile(path string, p *place) error {
	b, err := oldEnvFile(path)
	switch {
	case errors.Is(err, errNoEnvFile):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(b, p.envFile()):
		return nil
	}
	return ignoreMissing(os.Remove(path))
}

// envFile returns p as NAME='value' lines, for a shell to source.
func (p *place) envFile() []byte {
	var b bytes.Buffer
	for _, v := range p.vars() {
		fmt.Fprintf(&b, "%s=%s\n", v.name, shellQuote(*v.value))
	}
	return b.Bytes()
}

// writeEnvFile writes the env file of p, under a temporary name first: who sees
// the file sees all of it. It holds keys, so only its owner may read it.
func writeEnvFile(path string, p *place) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(p.envFile())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	return nil
}

// readEnvFile reads what writeEnvFile has written.
func (p *place) readEnvFile(path string) error {
	b, err := oldEnvFile(path)
	if errors.Is(err, errNoEnvFile) {
		return fmt.Errorf("--env-file %s: it is not the env file of a hub", path)
	}
	if err == nil && b == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("--env-file %s: %w", path, err)
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		for _, v := range p.vars() {
			if v.name == name {
				*v.value = shellUnquote(value)
			}
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// shellQuote makes s one word for a POSIX shell: single quotes around it, and
// each single quote in it as '\”.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// shellUnquote undoes shellQuote. What is not quoted stays as it is.
func shellUnquote(s string) string {
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		return s
	}
	return strings.ReplaceAll(s[1:len(s)-1], `'\''`, "'")
}
