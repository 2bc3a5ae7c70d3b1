package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// maxBulkFile bounds what bulk reads, in bytes.
const maxBulkFile = 256 << 20

func newDeviceBulk(f *serviceFlags) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "bulk FILE",
		Short: "Create, update or delete many devices",
		Long: `Create, update or delete many devices, as a file says, or stdin where it is "-": JSON
objects, one a line or in an array, of the form of IoT Hub's bulk operations and
exports. What to do with each is its importMode: create, update, updateIfMatchETag,
createOrUpdate, delete, updateTwin and so on. Those that fail are named, and do not
keep the others from being done.`,
		Example: `  printf '{"id":"dev-%d","importMode":"create"}\n' 1 2 3 | hubwire service device bulk -`,
		Args:    arguments("FILE"),
	}, func(ctx context.Context, s *session, args []string) error {
		devices, err := s.readBulk(args[0])
		if err != nil {
			return err
		}
		result, done, err := s.BulkAll(ctx, devices)
		if err != nil {
			return fmt.Errorf("the hub has answered for %d of %d: %w", done, len(devices), err)
		}
		err = s.print(result, false, func(w io.Writer) {
			for _, e := range result.Errors {
				fmt.Fprintf(w, "%s: %s %s\n", printable(hubwire.Identity{DeviceID: e.DeviceID, ModuleID: e.ModuleID}.String()), hubwire.Code(e.Code).Name(), printable(e.Status))
			}
			fmt.Fprintf(w, "%d done, %d failed\n", len(devices)-len(result.Errors), len(result.Errors))
		})
		if n := len(result.Errors); n > 0 {
			err = errors.Join(err, fmt.Errorf("%d of %d failed", n, len(devices)))
		}
		return err
	})
}

// readBulk reads the elements of a bulk operation from a file, or from stdin.
func (s *session) readBulk(name string) ([]service.ImportDevice, error) {
	in := s.cmd.InOrStdin()
	if name == "-" && s.f.connectionString == "-" {
		return nil, errStdinTwice
	}
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxBulkFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxBulkFile:
		return nil, fmt.Errorf("there are more than %d bytes, which is the limit", maxBulkFile)
	}
	devices := []service.ImportDevice{}
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("[")) {
		if err := json.Unmarshal(text, &devices); err != nil {
			return nil, fmt.Errorf("the array is not one of devices: %w", err)
		}
	} else {
		for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
			var x service.ImportDevice
			if err := d.Decode(&x); err != nil {
				return nil, fmt.Errorf("element %d is not a device: %w", len(devices)+1, err)
			}
			devices = append(devices, x)
		}
	}
	if len(devices) == 0 {
		return nil, errors.New("there is no device to do something with")
	}
	return devices, nil
}
