package core

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
)

// Queries imitate the REST API's "Query - Get Twins" over the language of package
// query. They see what is there at the moment that each row is looked at, where the
// service answers from an index that is minutes old. Where it is silent: rows are in
// the order of their identities, device jobs in that of their jobs' ids, and groups in
// that of the JSON of what they are grouped by. A page ends when it is full, and also
// when it has taken its time or its memory, so that it can be short or even empty with
// more to come, which the service does too; but a small registry is never cut short by a
// machine that is busy.

// Bounds of a page of a query. Sources differ on the first two; documentation has
// pages of up to 1000.
const (
	defaultQueryPage = 100
	maxQueryPage     = 1000

	queryTime  = 10 * time.Millisecond // after which a page ends,
	queryLeast = 500                   // but not before it has looked at so many rows
	queryBytes = 4 << 20               // of JSON, after which a page ends
	queryBatch = 64                    // rows that are fetched at once
)

// ItemType says what the rows of a [QueryPage] are.
type ItemType uint8

// The item types.
const (
	ItemTwin      ItemType = iota + 1 // whole twins
	ItemRaw                           // JSON objects: what a projection or aggregates gave
	ItemDeviceJob                     // whole rows of devices.jobs
)

// QueryPage is a page of a query's result. Only the member that Type names has rows.
type QueryPage struct {
	Type  ItemType
	Twins []*TwinDocument
	Raw   []json.RawMessage
	Jobs  []*DeviceJob

	// Continuation is the token of the next page, or empty on the last.
	Continuation string
}

func (p *QueryPage) rows() int { return len(p.Twins) + len(p.Raw) + len(p.Jobs) }

// Query returns a page of up to limit rows of a query; 0 means 100, and 1000 is
// the most there is. token is empty for the first page, and else the continuation of
// another page of the same text: it stays good when the registry changes, can be
// shown again, and ends with the Core. A page looks at rows one by one: what changes
// meanwhile is in it or not, and no row comes twice or is left out that was there
// all the time. Code ArgumentInvalid: a text that does not parse, with the place; a limit
// below 0; a token of another query or hub; too many groups.
func (c *Core) Query(ctx context.Context, text string, limit int, token string) (*QueryPage, error) {
	const op = "query"
	if err := c.Open(op); err != nil {
		return nil, err
	}
	if limit < 0 {
		return nil, refuse(op, hubwire.ArgumentInvalid, "a page of %d rows, the least is 1", limit)
	}
	if limit == 0 {
		limit = defaultQueryPage
	}
	q, err := query.Parse(text)
	if err != nil {
		return nil, refuse(op, hubwire.ArgumentInvalid, "%v", err)
	}
	at, err := c.readPlace(op, text, token)
	if err != nil {
		return nil, err
	}
	run := &queryRun{core: c, q: q, at: at, limit: min(limit, maxQueryPage), begun: time.Now()}
	if err := run.page(ctx); err != nil {
		return nil, err
	}
	if run.more {
		run.out.Continuation = c.placeToken(text, &run.at)
	}
	return &run.out, nil
}

// queryRun makes one page.
type queryRun struct {
	core  *Core
	q     *query.Query
	limit int
	begun time.Time
	row   twinRow

	seen  int        // rows that were looked at
	at    queryPlace // of the last one
	out   QueryPage
	bytes int  // of out, about
	more  bool // rows that match may follow at
}

func (r *queryRun) page(ctx context.Context) (err error) {
	top, limited := r.q.Top()
	if limited {
		r.limit = min(r.limit, top-r.at.given)
	}
	source := r.twins
	switch {
	case r.q.Grouped():
		r.out.Type, source = ItemRaw, r.groups
	case r.q.Source() == query.Jobs:
		r.out.Type, source = ItemDeviceJob, r.jobs
	case r.q.Whole():
		r.out.Type = ItemTwin
	default:
		r.out.Type = ItemRaw
	}
	if r.limit > 0 {
		err = source(ctx)
	}
	r.at.given += r.out.rows()
	r.more = r.more && !(limited && r.at.given >= top)
	return err
}

// late reports whether the page has taken its time.
func (r *queryRun) late() bool { return r.seen >= queryLeast && time.Since(r.begun) > queryTime }

// full reports whether the page has all the rows it can have.
func (r *queryRun) full() bool { return r.out.rows() >= r.limit || r.bytes >= queryBytes }

// twins looks at devices or modules.
func (r *queryRun) twins(ctx context.Context) error {
	for e := range r.core.candidates(&r.q.Condition, r.at.id) {
		if r.more = r.late(); r.more {
			return nil
		}
		if r.twin(e); r.more {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// twin takes in e if it matches, and else goes past it. When there is no room for
// it, it is the one that the next page begins with.
func (r *queryRun) twin(e *entity) {
	e.mu.Lock()
	defer e.unlock()
	if r.row.point(e); !e.deleted && r.q.Match(&r.row) {
		if r.more = r.full(); r.more {
			return
		}
		r.addTwin()
	}
	r.at.id = e.id
	r.seen++
}

func (r *queryRun) addTwin() {
	if !r.q.Whole() {
		r.addRaw(r.q.AppendRow(nil, &r.row))
		return
	}
	d := r.row.e.document(r.row.t)
	r.out.Twins = append(r.out.Twins, d)
	for _, s := range [...]hubwire.TwinSection{d.Twin.Desired, d.Twin.Reported} {
		r.bytes += len(s.JSON) + len(s.Metadata)
	}
	r.bytes += len(d.Twin.Tags)
}

func (r *queryRun) addRaw(row json.RawMessage) {
	r.out.Raw = append(r.out.Raw, row)
	r.bytes += len(row)
}

// jobs looks at rows of devices.jobs.
func (r *queryRun) jobs(ctx context.Context) error {
	for {
		js := r.core.deviceJobs(r.at.job, r.at.id, queryBatch)
		for _, j := range js {
			if r.more = r.late(); r.more {
				return nil
			}
			if r.q.Match(j) {
				if r.more = r.full(); r.more {
					return nil
				}
				r.addJob(j)
			}
			r.at.job, r.at.id = j.JobID, j.ID
			r.seen++
		}
		if err := ctx.Err(); err != nil || len(js) == 0 {
			return err
		}
	}
}

func (r *queryRun) addJob(j *DeviceJob) {
	r.out.Jobs = append(r.out.Jobs, j)
	if j.Response != nil {
		r.bytes += len(j.Response.Payload)
	}
}

// groups looks at all devices or modules, for each page anew.
func (r *queryRun) groups(ctx context.Context) error {
	groups := r.q.Group()
	for e := range r.core.candidates(&r.q.Condition, hubwire.Identity{}) {
		if err := r.group(groups, e); err != nil {
			return refuse("query", hubwire.ArgumentInvalid, "%v", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for _, g := range groups.Sorted() {
		if r.at.group != "" && g.Key() <= r.at.group {
			continue
		}
		if r.more = r.full(); r.more {
			return nil
		}
		r.at.group = g.Key()
		r.addRaw(g.AppendJSON(nil))
	}
	return nil
}

func (r *queryRun) group(groups *query.Groups, e *entity) error {
	e.mu.Lock()
	defer e.unlock()
	if r.row.point(e); e.deleted || !r.q.Match(&r.row) {
		return nil
	}
	return groups.Add(&r.row)
}
