package device

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/hubwire/hubwire"
)

// Twin reads the desired and reported properties. When the connection is lost
// meanwhile, it asks again on the next one, until ctx or [Options].OperationTimeout ends it.
//
// What the hub refuses has its code and tracking id: [hubwire.Throttled] and
// the like are Retryable. So is a first use that cost the connection three times: by
// a bad network, or by a hub of the basic tier, which has no twins.
func (c *Client) Twin(ctx context.Context) (*hubwire.Twin, error) {
	l, err := c.ready(ctx, "twin get")
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	t, err := l.twin(ctx)
	if err != nil {
		return nil, withOp("twin get", err)
	}
	t.Identity = c.cred.Identity
	return t, nil
}

// Report patches the reported properties (RFC 7396; null deletes) and returns
// their new version. patch is anything that [json.Marshal] makes a JSON object
// of; a [json.RawMessage] is sent as it is. What is not an object is refused
// with [hubwire.ArgumentInvalid].
//
// When the connection is lost before the answer, the patch is sent again on
// the next one: merging it twice gives the same properties as once (the version may count
// twice). Reports one after another are merged in that order; those that overlap have none. When
// ctx ends first, the Outcome says whether the patch never left ([hubwire.NotSent]) or may have
// been merged, or may still be ([hubwire.Unknown]). Other errors are those of [Client.Twin].
func (c *Client) Report(ctx context.Context, patch any) (version int64, err error) {
	l, err := c.ready(ctx, "twin report")
	if err != nil {
		return 0, err
	}
	raw, ok := patch.(json.RawMessage)
	if !ok {
		if raw, err = json.Marshal(patch); err != nil {
			e := invalid("twin report", "the patch cannot be made JSON")
			e.Err = err
			return 0, e
		}
	}
	if t := bytes.TrimLeft(raw, " \t\r\n"); len(t) == 0 || t[0] != '{' || !json.Valid(raw) {
		return 0, invalid("twin report", "the patch is not a JSON object")
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	version, err = l.report(ctx, raw)
	return version, withOp("twin report", err)
}
