package service

import (
	"context"
	"encoding/json"
	"iter"
	"strconv"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// QueryOptions adjust a query. nil means the defaults.
type QueryOptions struct {
	// PageSize is how many rows a request is answered with at most. 0 leaves it to the hub.
	PageSize int

	// Continuation is where to begin: that of a [Page]. Empty means at the beginning.
	Continuation string
}

// Page is a part of the rows of a query.
type Page struct {
	Rows     []json.RawMessage // as the hub wrote them
	ItemType ItemType          // "Twin", "Raw", "DeviceJob": what the rows are

	// Continuation is where the next page begins, for [QueryOptions]; empty after the last. It can
	// be kept, and used again.
	Continuation string
}

// QueryPage returns one page of the rows of a query, and there may be none on it though more follow.
// Codes: ArgumentInvalid for a query that the hub does not understand, with where.
func (c *Client) QueryPage(ctx context.Context, query string, o *QueryOptions) (*Page, error) {
	r := named(httpsx.Query, "").with(&httpsx.QueryText{Query: query})
	if o != nil {
		r.MaxItems, r.Continuation = o.PageSize, o.Continuation
	}
	return c.page(ctx, r)
}

func (c *Client) page(ctx context.Context, r *request) (*Page, error) {
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	p := &Page{ItemType: a.ItemType, Continuation: a.Continuation}
	if err := a.Decode(r.Op, &p.Rows); err != nil {
		return nil, err
	}
	if p.Continuation != "" && p.Continuation == r.Continuation {
		return nil, &hubwire.Error{Op: r.Op.String(), Message: "the hub says that the page goes on where it began"}
	}
	return p, nil
}

// Query gives the rows of a query, and gets them page by page while they are ranged over:
//
//	for row, err := range c.Query(ctx, "SELECT deviceId, tags.room AS room FROM devices", nil) { … }
//
// It ends after an error. Each row owns its bytes. The IoT Hub developer guide, "Query language for
// device and module twins, jobs, and message routing", has the language; [Quote] puts a text into it.
func (c *Client) Query(ctx context.Context, query string, o *QueryOptions) iter.Seq2[json.RawMessage, error] {
	return QueryAs[json.RawMessage](ctx, c, query, o)
}

// QueryAs is [Client.Query] with each row read into a T, as [json.Unmarshal] does: a struct of
// what the query selects, [Twin] for SELECT * FROM devices, [DeviceJob] for
// SELECT * FROM devices.jobs. It ends after a row that is no T.
func QueryAs[T any](ctx context.Context, c *Client, query string, o *QueryOptions) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		r := named(httpsx.Query, "").with(&httpsx.QueryText{Query: query})
		if o != nil {
			r.MaxItems, r.Continuation = o.PageSize, o.Continuation
		}
		rowsOf(ctx, c, r, yield)
	}
}

// rowsOf gives the rows of all pages from where r begins.
func rowsOf[T any](ctx context.Context, c *Client, r *request, yield func(T, error) bool) {
	for {
		p, err := c.page(ctx, r)
		if err != nil {
			yield(*new(T), err)
			return
		}
		for _, row := range p.Rows {
			v, err := rowAs[T](r.Op, row)
			if !yield(v, err) || err != nil {
				return
			}
		}
		if r.Continuation = p.Continuation; r.Continuation == "" {
			return
		}
	}
}

func rowAs[T any](op httpsx.Operation, row json.RawMessage) (v T, err error) {
	if raw, ok := any(&v).(*json.RawMessage); ok {
		*raw = row
		return v, nil
	}
	err = (&httpsx.Answer{Body: row}).Decode(op, &v)
	return v, err
}

// Quote returns text as a string of the query language, in single quotes, with what would end it escaped.
func Quote(text string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range text {
		switch {
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u` + strconv.FormatInt(0x10000|int64(r), 16)[1:])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// DeviceIn returns the condition that holds for these devices, for queries and jobs:
//
//	deviceId IN ['a','b']
func DeviceIn(ids ...string) string {
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = Quote(id)
	}
	return "deviceId IN [" + strings.Join(quoted, ",") + "]"
}
