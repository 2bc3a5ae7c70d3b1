package service

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// MaxBulk is how many identities one [Client.Bulk] may have.
const MaxBulk = httpsx.MaxBulk

// Bulk does with each of 1 to [MaxBulk] identities what its ImportMode says. The result names those
// that failed, while the others are done all the same; the error is for when none was looked at.
// Codes: DeviceDefinedMultipleTimes, TooManyDevices, ArgumentInvalid.
func (c *Client) Bulk(ctx context.Context, devices []ImportDevice) (*BulkResult, error) {
	all := httpsx.ImportDevices(devices)
	if err := all.Check(); err != nil {
		return nil, unsent(err)
	}
	return ask[BulkResult](ctx, c, named(httpsx.BulkDevices, "").with(all))
}

// BulkAll is Bulk for any number of identities: in one request after another, of [MaxBulk] each.
// done is how many the hub has answered for. After an error BulkAll can go on with devices[done:];
// where its Outcome is Unknown the first MaxBulk of those may be done already, and then fail with
// a code such as DeviceAlreadyExists.
func (c *Client) BulkAll(ctx context.Context, devices []ImportDevice) (result *BulkResult, done int, err error) {
	result = &BulkResult{IsSuccessful: true}
	if len(devices) == 0 {
		return result, 0, c.ready(ctx, httpsx.BulkDevices.String())
	}
	for done < len(devices) {
		end := min(done+MaxBulk, len(devices))
		part, err := c.Bulk(ctx, devices[done:end])
		if err != nil {
			return result, done, err
		}
		done = end
		result.IsSuccessful = result.IsSuccessful && part.IsSuccessful
		result.Errors = append(result.Errors, part.Errors...)
		result.Warnings = append(result.Warnings, part.Warnings...)
	}
	return result, done, nil
}

// RegenerateKeys has the hub make new keys for devices and modules. The result has
// the new ones, and names the identities that it failed for. It is in
// api-version 2024-03-31 and later.
func (c *Client) RegenerateKeys(ctx context.Context, which PolicyKey, ids ...hubwire.Identity) (*RegeneratedKeys, error) {
	body := &httpsx.KeyRegeneration{PolicyKey: which}
	op := httpsx.RegenerateKeys.String()
	if which == "" || len(ids) == 0 {
		return nil, invalid(op, "there is nothing to regenerate: %q of %d identities", which, len(ids))
	}
	for _, id := range ids {
		if err := id.Check(); err != nil {
			return nil, withOp(op, err)
		}
		body.Devices = append(body.Devices, httpsx.IdentityID{ID: id.DeviceID, ModuleID: id.ModuleID})
	}
	return ask[RegeneratedKeys](ctx, c, named(httpsx.RegenerateKeys, "").with(body))
}
