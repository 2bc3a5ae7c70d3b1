package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire/sas"
)

// secretUsage is what the usage of each flag that takes a secret ends with.
const secretUsage = `; "-" reads it from stdin, "env:NAME" from the environment`

// maxSecret bounds what is read from stdin as a secret, in bytes.
const maxSecret = 64 << 10

// readSecret returns the secret that a flag or argument gives or leads to. A
// secret given as it is can be seen by others on this machine, hence the
// other two ways. The errors do not hold it.
func readSecret(c *cobra.Command, what, value string) (sas.Secret, error) {
	if name, ok := strings.CutPrefix(value, "env:"); ok {
		s := os.Getenv(name)
		if s == "" {
			return sas.Secret{}, fmt.Errorf("%s: the environment variable %s is empty or not set", what, name)
		}
		return sas.NewSecret(s), nil
	}
	if value != "-" {
		return sas.NewSecret(value), nil
	}
	b, err := io.ReadAll(io.LimitReader(c.InOrStdin(), maxSecret+1))
	if err != nil {
		return sas.Secret{}, fmt.Errorf("%s: %w", what, err)
	}
	s := strings.TrimSpace(string(b))
	switch {
	case s == "":
		return sas.Secret{}, fmt.Errorf("%s: stdin is empty", what)
	case len(b) > maxSecret:
		return sas.Secret{}, fmt.Errorf("%s: stdin has more than %d bytes", what, maxSecret)
	}
	return sas.NewSecret(s), nil
}
