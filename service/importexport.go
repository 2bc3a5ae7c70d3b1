package service

import (
	"context"
	"time"

	"github.com/hubwire/hubwire/httpsx"
)

// CreateImportExport starts an import of identities from a blob container, or an export into one.
// There is only one at a time. Codes: JobQuotaExceeded, BlobContainerValidationError,
// ArgumentInvalid.
func (c *Client) CreateImportExport(ctx context.Context, j *ImportExportJob) (*ImportExportJob, error) {
	if err := j.Check(); err != nil {
		return nil, unsent(err)
	}
	return ask[ImportExportJob](ctx, c, named(httpsx.CreateImportExport, "").with(j))
}

// ImportExport returns an import or export, with its progress. Code: JobNotFound.
func (c *Client) ImportExport(ctx context.Context, jobID string) (*ImportExportJob, error) {
	return ask[ImportExportJob](ctx, c, named(httpsx.GetImportExport, jobID))
}

// ImportExports returns the imports and exports of late.
func (c *Client) ImportExports(ctx context.Context) ([]ImportExportJob, error) {
	return askAll[httpsx.ImportExportJobs](ctx, c, named(httpsx.ListImportExports, ""))
}

// CancelImportExport ends an import or export. Code: JobNotFound.
func (c *Client) CancelImportExport(ctx context.Context, jobID string) error {
	_, err := c.do(ctx, named(httpsx.CancelImportExport, jobID))
	return err
}

// WaitImportExport is [Client.WaitJob] for an import or export.
func (c *Client) WaitImportExport(ctx context.Context, jobID string, every time.Duration) (*ImportExportJob, error) {
	return wait(ctx, c, named(httpsx.GetImportExport, jobID), every, func(j *ImportExportJob) bool { return j.Status.Done() })
}
