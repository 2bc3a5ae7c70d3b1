package device

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/sas"
)

// Upload is where a file goes: a blob in the hub's storage account. Module upload
// (github.com/hubwire/hubwire/upload) does all that follows [Client.InitiateUpload] in one call.
type Upload struct {
	// CorrelationID is the hub's name for the upload. It is no secret.
	CorrelationID string

	// BlobName is the blob's, {device id}/{name}.
	BlobName string

	// URL is the blob's, with a token to read and write it, for any client of Azure Blob Storage. It
	// does not print; its Reveal gives the text.
	URL sas.Secret

	// Expires is when the token ends, and with it the upload. Zero: the URL does not say.
	Expires time.Time
}

// InitiateUpload asks the hub for a place where the device may upload a file, whatever
// protocol the Client speaks: this goes over HTTPS beside it (see [Options].HTTPSPort). A
// device has ten uploads under way at most, so each must be ended, by [Client.CompleteUpload]
// or [Client.FailUpload]; one that is not ends with its URL.
//
// blobName has 1 to 1024 bytes with the device's id, which the hub puts in front, and may
// have slashes. Trouble that can pass is retried until ctx ends, or OperationTimeout has
// passed when it has no deadline; where an answer was lost, an upload remains that nobody can
// end. Codes: MaxActiveFileUploadExceeded, DefaultStorageEndpointNotConfigured,
// ArgumentInvalid. Modules have no uploads.
func (c *Client) InitiateUpload(ctx context.Context, blobName string) (*Upload, error) {
	const op = "initiate upload"
	doc := &httpsx.UploadRequest{BlobName: blobName}
	err := doc.Check()
	if e, ok := errors.AsType[*hubwire.Error](err); ok {
		return nil, invalid(op, "%s", e.Message)
	}
	answer, err := c.askUpload(ctx, op, httpsx.InitUpload, doc)
	if err != nil {
		return nil, withOp(op, err)
	}
	slot := new(httpsx.UploadSlot)
	if err = httpsx.Decode(httpsx.InitUpload, answer.body, slot); err == nil {
		err = slot.Check()
	}
	if e, ok := errors.AsType[*hubwire.Error](err); ok {
		return nil, &hubwire.Error{Op: op, Code: hubwire.DeserializationError, Outcome: hubwire.Unknown, Message: "the answer: " + e.Message}
	}
	return &Upload{CorrelationID: slot.CorrelationID, BlobName: slot.BlobName, URL: slot.URL(), Expires: expiry(slot.SASToken)}, nil
}

// expiry returns when a token ends that is the query of a URL.
func expiry(token sas.Secret) time.Time {
	q, _ := url.ParseQuery(strings.TrimPrefix(token.Reveal(), "?"))
	t, _ := time.Parse(time.RFC3339, q.Get("se"))
	return t
}

// CompleteUpload tells the hub that the file of an upload is in its place, which the hub's
// service side may then hear of. Codes: InvalidFileUploadCorrelationID for an upload that is
// not under way, ExpiredFileUploadCorrelationID, InvalidStorageEndpointOrBlob when there is
// no such blob. Trouble that can pass is retried as [Client.InitiateUpload] does.
func (c *Client) CompleteUpload(ctx context.Context, correlationID string) error {
	return c.notifyUpload(ctx, "complete upload", &httpsx.UploadResult{CorrelationID: correlationID, IsSuccess: true, StatusCode: http.StatusOK, Description: "OK"})
}

// FailUpload tells the hub that an upload failed, or was given up, so that it does not count any
// more. status is that of the storage account, or -1; description is for people, at most 1024
// bytes. Otherwise it is as CompleteUpload.
func (c *Client) FailUpload(ctx context.Context, correlationID string, status int, description string) error {
	return c.notifyUpload(ctx, "fail upload", &httpsx.UploadResult{CorrelationID: correlationID, StatusCode: status, Description: description})
}

func (c *Client) notifyUpload(ctx context.Context, op string, r *httpsx.UploadResult) error {
	if r.CorrelationID == "" {
		return invalid(op, "the correlation id is empty")
	}
	_, err := c.askUpload(ctx, op, httpsx.NotifyUpload, r)
	// That there is no such upload under way is what an attempt whose answer was lost has achieved.
	if e, ok := errors.AsType[*hubwire.Error](err); ok && e.Code == hubwire.InvalidFileUploadCorrelationID && e.Outcome == hubwire.Unknown {
		return nil
	}
	return withOp(op, err)
}

// askUpload sends a document to the hub, and returns its answer.
func (c *Client) askUpload(ctx context.Context, op string, what httpsx.Operation, doc any) (*reply, error) {
	if _, err := c.ready(ctx, op); err != nil {
		return nil, err
	}
	if c.cred.Identity.IsModule() {
		return nil, &hubwire.Error{
			Op: op, Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent,
			Message: "modules do not upload files", Err: errors.ErrUnsupported,
		}
	}
	w, err := c.beside.ways()
	if err != nil {
		return nil, err
	}
	x, err := w.hub.exchange(what, "")
	if err != nil {
		return nil, err
	}
	if x.body, err = httpsx.Marshal(doc); err != nil {
		return nil, invalid(op, "%v", err)
	}
	x.request.Header["Content-Type"] = []string{"application/json; charset=utf-8"}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return w.hub.insist(ctx, &x)
}

// StorageTransport returns a way to the storage account for clients of Azure Blob Storage,
// which goes through [Options].Dial, or the proxy of the Client's protocol, as all that the
// Client does, with the roots of [Options].TLSConfig and without the device's certificate. A
// connection that does not get on for AckTimeout is lost. It works until the Client has
// ended; its errors then match [net.ErrClosed].
//
// It follows no redirect, and its errors quote no URL, where those of [http.Client] do, token and all.
func (c *Client) StorageTransport() http.RoundTripper { return storageTransport{c} }

type storageTransport struct{ c *Client }

// RoundTrip implements [http.RoundTripper].
func (s storageTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	fail := func(err error) (*http.Response, error) {
		if r != nil && r.Body != nil {
			r.Body.Close()
		}
		return nil, withOp("storage", err)
	}
	if r == nil {
		return fail(invalid("storage", "there is no request"))
	}
	if _, err := s.c.ready(r.Context(), "storage"); err != nil {
		return fail(err)
	}
	w, err := s.c.beside.ways()
	if err != nil {
		return fail(err)
	}
	answer, err := w.account.RoundTrip(r)
	if err == nil {
		answer.Body = steady(answer.Body, s.c.o.AckTimeout)
	} else if w.hub.over.Err() != nil {
		err = &hubwire.Error{Op: "storage", Outcome: hubwire.Unknown, Err: context.Cause(w.hub.over)}
	}
	return answer, err
}
