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

// writeEnvFile writes p as NAME='value' lines, for a shell to source, under
// a temporary name first: who sees the file sees all of it. It holds keys, so
// only its owner may read it.
func writeEnvFile(path string, p *place) (err error) {
	var b bytes.Buffer
	for _, v := range p.vars() {
		fmt.Fprintf(&b, "%s=%s\n", v.name, shellQuote(*v.value))
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(b.Bytes())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("env file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("env file: %w", err)
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
