package httpfront

import (
	"strings"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// File uploads imitate what devices ask for: a place for a file, and to be rid of it when the
// file is there, or will never be. The file itself goes to the storage account.

func (s *Server) initUpload(r *request) (*httpsx.Answer, error) {
	var v httpsx.UploadRequest
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	if err := v.Check(); err != nil {
		return nil, err
	}
	host := strings.TrimSuffix(r.http.Host, ":443") // some clients write the port, and read it as part of the name
	u, err := s.core.InitiateUpload(r.http.Context(), r.grant.Identity, core.UploadRequest{BlobName: v.BlobName, Host: host})
	if err != nil {
		return nil, err
	}
	return r.with(&httpsx.UploadSlot{
		CorrelationID: u.CorrelationID, HostName: u.HostName, ContainerName: u.ContainerName, BlobName: u.BlobName, SASToken: u.SASToken,
	}, "")
}

func (s *Server) notifyUpload(r *request) (*httpsx.Answer, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}
	v, err := httpsx.ReadUploadResult(r.Target.Name, body)
	if err != nil {
		return nil, err
	}
	err = s.core.CompleteUpload(r.http.Context(), r.grant.Identity, core.UploadResult{
		CorrelationID: v.CorrelationID, Success: v.IsSuccess, StatusCode: v.StatusCode, Description: v.Description,
	})
	if err != nil {
		return nil, err
	}
	return noContent, nil
}
