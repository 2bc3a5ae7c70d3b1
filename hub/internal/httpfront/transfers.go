package httpfront

import (
	"bytes"
	"encoding/json"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Import and export jobs imitate the REST API's "Jobs - Create, Get, Cancel Import Export
// Job", of which the lines in blobs are those documents that bulk operations and
// configurations have.

func (s *Server) createTransfer(r *request) (*httpsx.Answer, error) {
	var v httpsx.ImportExportJob
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	if err := v.Check(); err != nil {
		return nil, err
	}
	return r.withTransfer(s.core.CreateTransfer(r.http.Context(), fromTransfer(&v)))
}

func (s *Server) getTransfer(r *request) (*httpsx.Answer, error) {
	return r.withTransfer(s.core.Transfer(r.Target.Name))
}

func (s *Server) cancelTransfer(r *request) (*httpsx.Answer, error) {
	if _, err := s.core.CancelTransfer(r.Target.Name); err != nil {
		return nil, err
	}
	return noContent, nil
}

func (s *Server) listTransfers(r *request) (*httpsx.Answer, error) {
	list, err := s.core.Transfers()
	if err != nil {
		return nil, err
	}
	doc := make(httpsx.ImportExportJobs, len(list))
	for i, t := range list {
		doc[i] = *transferDoc(t)
	}
	return r.with(doc, "")
}

func (r *request) withTransfer(t *core.Transfer, err error) (*httpsx.Answer, error) {
	if err != nil {
		return nil, err
	}
	return r.with(transferDoc(t), "")
}

// fromTransfer is a job as the core takes it. The document has passed its Check.
func fromTransfer(v *httpsx.ImportExportJob) *core.Transfer {
	t := &core.Transfer{
		Type: core.JobExport, Input: v.InputContainer, Output: v.OutputContainer, InputBlob: v.InputBlob, OutputBlob: v.OutputBlob,
		ExcludeKeys: v.ExcludeKeys, ManagedIdentity: v.StorageAuthentication.Is(httpsx.StorageByIdentity),
		IncludeConfigurations: v.IncludeConfigurations, ConfigurationsBlob: v.ConfigurationsBlob,
	}
	if v.Type.Is(httpsx.JobImport) {
		t.Type = core.JobImport
	}
	return t
}

// transferDoc is a job as the REST API has it.
func transferDoc(t *core.Transfer) *httpsx.ImportExportJob {
	doc := &httpsx.ImportExportJob{
		ID: t.ID, Type: httpsx.JobType(t.Type), Status: httpsx.JobStatus(t.Status), Progress: t.Progress,
		Start: httpsx.NewTime(t.Start), End: httpsx.NewTime(t.End), FailureReason: t.FailureReason,
		InputContainer: t.Input, OutputContainer: t.Output, InputBlob: t.InputBlob, OutputBlob: t.OutputBlob,
		ExcludeKeys: t.ExcludeKeys, StorageAuthentication: httpsx.StorageByKey,
		IncludeConfigurations: t.IncludeConfigurations, ConfigurationsBlob: t.ConfigurationsBlob,
	}
	if t.ManagedIdentity {
		doc.StorageAuthentication = httpsx.StorageByIdentity
	}
	return doc
}

// Lines returns the form of what import and export jobs have in blobs.
func Lines() *core.Lines {
	return &core.Lines{
		AppendDevice: func(dst []byte, d *core.TwinDocument, excludeKeys bool) []byte {
			return appendLine(dst, exportDoc(d, excludeKeys))
		},
		ParseDevice: func(line []byte) (*core.BulkOperation, error) {
			var v httpsx.ImportDevice
			if err := httpsx.Decode(httpsx.BulkDevices, line, &v); err != nil {
				return nil, err
			}
			op := bulkOperation(&v)
			return &op, nil
		},
		AppendError: func(dst []byte, e *core.BulkError) []byte { return appendLine(dst, bulkErrorDoc(e)) },
		AppendConfiguration: func(dst []byte, c *core.Configuration) []byte {
			return appendLine(dst, configurationDoc(c))
		},
		ParseConfiguration: func(line []byte) (*core.Configuration, error) {
			var v httpsx.Configuration
			if err := httpsx.Decode(httpsx.PutConfiguration, line, &v); err != nil {
				return nil, err
			}
			return fromConfiguration(&v), nil
		},
	}
}

// appendLine appends a document on one line.
func appendLine(dst []byte, doc any) []byte {
	b, err := httpsx.Marshal(doc)
	if err != nil {
		return dst // raw JSON that is not: there is none in a core
	}
	line := bytes.NewBuffer(dst)
	if err := json.Compact(line, b); err != nil {
		return dst
	}
	return line.Bytes()
}

// exportDoc is an identity as an export has it.
func exportDoc(t *core.TwinDocument, excludeKeys bool) *httpsx.ImportDevice {
	d := t.Device
	doc := &httpsx.ImportDevice{
		ID: d.ID.DeviceID, ModuleID: d.ID.ModuleID, ETag: d.ETag, StatusReason: d.StatusReason,
		Authentication: authentication(d), TwinETag: t.Twin.ETag, Tags: t.Twin.Tags,
		Properties:   httpsx.TwinProperties{Desired: httpsx.SectionJSON(t.Twin.Desired), Reported: httpsx.SectionJSON(t.Twin.Reported)},
		Capabilities: httpsx.Capabilities{IotEdge: d.Edge}, Scope: d.Scope, ParentScopes: d.ParentScopes,
	}
	if !d.ID.IsModule() {
		doc.Status = status(d)
	}
	if excludeKeys {
		doc.Authentication.SymmetricKey = httpsx.SymmetricKey{}
	}
	return doc
}
