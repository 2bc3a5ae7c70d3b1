package service

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// ask performs r and reads the answer's body into a document.
func ask[T any](ctx context.Context, c *Client, r *request) (*T, error) {
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	doc := new(T)
	if err := a.Decode(r.Op, doc); err != nil {
		return nil, err
	}
	return doc, nil
}

// askAll is ask for an array, whose type is A.
func askAll[A ~[]T, T any](ctx context.Context, c *Client, r *request) ([]T, error) {
	all, err := ask[A](ctx, c, r)
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// conditional gives r the ETag that it depends on, which may have its quotes.
func (r *request) conditional(etag string) (*request, error) {
	r.IfMatch = httpsx.ParseETag(etag)
	if r.IfMatch == "" {
		return nil, invalid(r.Op.String(), "the ETag is empty; service.Any is the one that every ETag matches")
	}
	return r, nil
}

// askIf is ask on the condition that the ETag is this one.
func askIf[T any](ctx context.Context, c *Client, r *request, etag string) (*T, error) {
	r, err := r.conditional(etag)
	if err != nil {
		return nil, err
	}
	return ask[T](ctx, c, r)
}

// of is an operation on a device or module.
func of(op httpsx.Operation, id hubwire.Identity) *request {
	return &request{Request: httpsx.Request{Op: op, Target: httpsx.Target{Identity: id}}}
}

// ofDevice is an operation on a device.
func ofDevice(op httpsx.Operation, id string) *request {
	return of(op, hubwire.Identity{DeviceID: id})
}

// named is an operation on what has a name: a job, a configuration, or the hub itself, whose is empty.
func named(op httpsx.Operation, name string) *request {
	return &request{Request: httpsx.Request{Op: op, Target: httpsx.Target{Name: name}}}
}

// with gives r a body.
func (r *request) with(body any) *request {
	r.Body = body
	return r
}
