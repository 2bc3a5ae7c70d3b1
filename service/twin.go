package service

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// Twin returns the twin of a device or module, with tags, metadata, version and ETag. Codes:
// DeviceNotFound, ModuleNotFound.
func (c *Client) Twin(ctx context.Context, id hubwire.Identity) (*Twin, error) {
	return ask[Twin](ctx, c, of(httpsx.GetTwin, id))
}

// PatchTwin merges u into a twin (RFC 7396: a null deletes) and returns the whole. A section that is
// nil is left alone. etag is that of the Twin which was got, or [Any]. Codes:
// DeviceNotFound, ModuleNotFound, PreconditionFailed, and ArgumentInvalid for what is over a limit.
func (c *Client) PatchTwin(ctx context.Context, id hubwire.Identity, u *TwinUpdate, etag string) (*Twin, error) {
	return c.putTwin(ctx, httpsx.PatchTwin, id, u, etag)
}

// ReplaceTwin writes tags and desired properties anew; a section that is nil becomes empty.
// Otherwise it is [Client.PatchTwin].
func (c *Client) ReplaceTwin(ctx context.Context, id hubwire.Identity, u *TwinUpdate, etag string) (*Twin, error) {
	return c.putTwin(ctx, httpsx.PutTwin, id, u, etag)
}

func (c *Client) putTwin(ctx context.Context, op httpsx.Operation, id hubwire.Identity, u *TwinUpdate, etag string) (*Twin, error) {
	if u == nil {
		return nil, invalid(op.String(), "there is no update")
	}
	return askIf[Twin](ctx, c, of(op, id).with(u), etag)
}
