package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire/service"
)

const containerUsage = "the URL of a container of blobs, with a signature" + secretUsage

func newJobExport(f *serviceFlags) *cobra.Command {
	var container string
	var job service.ImportExportJob
	var withKeys bool
	c := f.does(&cobra.Command{
		Use:   "export",
		Short: "Export the registry into a blob, and wait for it",
		Args:  noArgs,
	}, func(ctx context.Context, s *session, _ []string) error {
		url, err := readSecret(s.cmd, "--container", container)
		if err != nil {
			return err
		}
		job.Type, job.OutputContainer, job.ExcludeKeys = service.JobExport, url, !withKeys
		return s.transfer(ctx, &job)
	})
	fs := c.Flags()
	fs.StringVar(&container, "container", "", containerUsage)
	fs.StringVar(&job.OutputBlob, "blob", "devices.txt", "the name of the blob")
	fs.BoolVar(&withKeys, "with-keys", false, "export the keys too")
	_ = c.MarkFlagRequired("container")
	return c
}

func newJobImport(f *serviceFlags) *cobra.Command {
	var container, output string
	var job service.ImportExportJob
	c := f.does(&cobra.Command{
		Use:   "import",
		Short: "Import identities from a blob, and wait for it",
		Long: `Import identities from a blob, which has one a line, in the form of hubwire service
device bulk, and wait for it. Those that fail are in the blob importErrors.log.`,
		Args: noArgs,
	}, func(ctx context.Context, s *session, _ []string) error {
		url, err := readSecret(s.cmd, "--container", container)
		if err != nil {
			return err
		}
		job.Type, job.InputContainer, job.OutputContainer = service.JobImport, url, url
		if output != "" {
			if job.OutputContainer, err = readSecret(s.cmd, "--output-container", output); err != nil {
				return err
			}
		}
		return s.transfer(ctx, &job)
	})
	fs := c.Flags()
	fs.StringVar(&container, "container", "", containerUsage)
	fs.StringVar(&output, "output-container", "", "where importErrors.log goes, if not into --container"+secretUsage)
	fs.StringVar(&job.InputBlob, "blob", "devices.txt", "the name of the blob")
	_ = c.MarkFlagRequired("container")
	return c
}

// transfer runs an import or export to its end.
func (s *session) transfer(ctx context.Context, job *service.ImportExportJob) error {
	j, err := s.CreateImportExport(ctx, job)
	if err != nil {
		return err
	}
	if j, err = s.WaitImportExport(ctx, j.ID, time.Second); err != nil {
		return err
	}
	err = s.print(j, false, func(w io.Writer) {
		sheet(w, "job", j.ID, "type", string(j.Type), "status", string(j.Status), "progress", fmt.Sprint(j.Progress), "why", j.FailureReason)
	})
	if !j.Status.Is(service.JobCompleted) {
		err = errors.Join(err, fmt.Errorf("the %s is %s: %s", j.Type, j.Status, printable(j.FailureReason)))
	}
	return err
}
