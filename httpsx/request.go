package httpsx

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
)

// APIVersion is the api-version of a request that does not name another.
const APIVersion = "2021-04-12"

const jsonType = "application/json; charset=utf-8"

// Request is a request as both ends see it: a client makes an [http.Request] of it,
// and a server reads it from one. Fields that an operation has no use for are ignored.
type Request struct {
	Op     Operation // what is asked for
	Target Target    // of whom, or of what

	// APIVersion is a date, with -preview behind it or not. Empty means the one that the operation
	// needs.
	APIVersion string

	// IfMatch is the ETag that must be the current one, without its quotes; "*" for any; empty for
	// no condition, with which [PutDevice], [PutModule] and [PutConfiguration] only create.
	IfMatch string

	RequestID string // the header Request-Id, which means nothing; empty for none

	MaxItems     int    // of a page of Query, ListJobs, ListScope; 0 for the hub's own
	Continuation string // where the page begins; empty for the first
	Top          int    // the most that ListDevices and ListConfigurations give; 0 for the hub's own

	JobType   JobType   // of ListJobs; empty for all
	JobStatus JobStatus // of ListJobs; empty for all

	// ConnectTimeout and ResponseTimeout are those of InvokeCommand, as they are of
	// [MethodCall]. A server gets a negative one for a value that is none.
	ConnectTimeout, ResponseTimeout time.Duration

	// Caller is the module that invokes a method; zero for a service.
	Caller hubwire.Identity

	Scope hubwire.Identity // whom GetInScope is for

	// Body is what a client sends: nil for nothing, []byte as it is, else a document, written as
	// JSON. A server leaves it nil: see [ReadBody] and [Decode].
	Body any
}

// version returns the api-version of r.
func (r *Request) version() string {
	switch {
	case r.APIVersion != "":
		return r.APIVersion
	case r.Op == RegenerateKeys:
		return "2024-03-31"
	case r.Op == ListScope || r.Op == GetInScope:
		return "2018-08-30-preview"
	case r.Op > GetInScope:
		return "2020-06-30-preview"
	}
	return APIVersion
}

// NewHTTP makes the request that r is, to https and the host, "name" or "name:port". The caller adds
// Authorization. Its body can be sent again ([http.Request.GetBody]); it aliases a Body of []byte.
//
// The error is an [*hubwire.Error] with code [hubwire.ArgumentInvalid] and outcome [hubwire.NotSent].
func (r *Request) NewHTTP(ctx context.Context, host string) (*http.Request, error) {
	switch {
	case r == nil:
		return nil, notSent(0, hubwire.ArgumentInvalid, "there is no request")
	case ctx == nil:
		return nil, notSent(r.Op, hubwire.ArgumentInvalid, "the context is nil")
	}
	if err := r.Op.Check(r.Target); err != nil {
		return nil, err
	}
	for _, v := range [...]string{r.IfMatch, r.Continuation, r.RequestID, r.Caller.String()} {
		if strings.ContainsFunc(v, isControl) {
			return nil, notSent(r.Op, hubwire.ArgumentInvalid, "%.100q cannot be in a header", v)
		}
	}
	body, isJSON, err := r.body()
	if err != nil {
		return nil, notSent(r.Op, hubwire.ArgumentInvalid, "the body cannot be written: %v", err)
	}
	u := append(make([]byte, 0, 200), "https://"...)
	u = append(u, host...)
	u = r.appendQuery(r.Op.AppendPath(u, r.Target))
	var reader io.Reader // nil, not a nil *bytes.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Op.Method(), string(u), reader)
	if err != nil || host == "" || req.URL.Host != host || req.URL.User != nil {
		return nil, notSent(r.Op, hubwire.ArgumentInvalid, "the host is no name of a host, with a port or not")
	}
	r.setHeader(req.Header, isJSON)
	return req, nil
}

// body returns the bytes of r's body, nil for none.
func (r *Request) body() (b []byte, isJSON bool, err error) {
	switch v := r.Body.(type) {
	case nil:
		return nil, false, nil
	case []byte:
		return v, false, nil
	}
	b, err = marshal(r.Body, false)
	return b, true, err
}

func (r *Request) setHeader(h http.Header, isJSON bool) {
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	if isJSON {
		set("Content-Type", jsonType)
	}
	set("Accept", "application/json")
	set("Request-Id", r.RequestID)
	if r.IfMatch != "" {
		set("If-Match", QuoteETag(r.IfMatch))
	}
	if r.Op == Query || r.Op == ListJobs {
		if r.MaxItems > 0 {
			set("X-Ms-Max-Item-Count", strconv.Itoa(r.MaxItems))
		}
		set("X-Ms-Continuation", r.Continuation)
	}
	if r.Caller != (hubwire.Identity{}) {
		set("X-Ms-Edge-Moduleid", r.Caller.String())
	}
}

// appendQuery appends the part of the URL behind the path.
func (r *Request) appendQuery(u []byte) []byte {
	u = append(append(u, "?api-version="...), url.QueryEscape(r.version())...)
	add := func(name, value string) {
		u = append(append(append(append(u, '&'), name...), '='), url.QueryEscape(value)...)
	}
	switch r.Op {
	case RejectC2D:
		u = append(u, "&reject"...)
	case ListDevices, ListConfigurations:
		if r.Top > 0 {
			add("top", strconv.Itoa(r.Top))
		}
	case ListJobs:
		if r.JobType != "" {
			add("jobType", string(r.JobType))
		}
		if r.JobStatus != "" {
			add("jobStatus", string(r.JobStatus))
		}
	case InvokeCommand:
		if r.ConnectTimeout > 0 {
			add("connectTimeoutInSeconds", strconv.FormatInt(toSeconds(r.ConnectTimeout), 10))
		}
		if r.ResponseTimeout > 0 {
			add("responseTimeoutInSeconds", strconv.FormatInt(toSeconds(r.ResponseTimeout), 10))
		}
	case ListScope:
		if r.MaxItems > 0 {
			add("deviceCount", strconv.Itoa(r.MaxItems))
		}
		add("continuationToken", r.Continuation)
	case GetInScope:
		add("targetDeviceId", r.Scope.DeviceID)
		if r.Scope.ModuleID != "" {
			add("targetModuleId", r.Scope.ModuleID)
		}
	}
	return u
}

// ReadRequest reads all of a request but its body and its Authorization. The error
// is an [*hubwire.Error] with outcome [hubwire.Refused]: those of [Match], and
// [hubwire.InvalidProtocolVersion] for an api-version that is none; a module that calls
// a method may leave it out, as the Node SDK does. Numbers that are none count as left out.
func ReadRequest(req *http.Request) (*Request, error) {
	op, target, err := Match(req)
	if err != nil {
		return nil, err
	}
	r := &Request{Op: op, Target: target, IfMatch: ParseETag(valueOf(req.Header, "If-Match")), RequestID: valueOf(req.Header, "Request-Id")}
	query := queryOf(req.URL.RawQuery)
	r.APIVersion = query.get("api-version")
	r.readOptions(req.Header, query)
	calls := r.Caller != (hubwire.Identity{})
	if !isVersion(r.APIVersion) && (r.APIVersion != "" || !calls) {
		return nil, refused(op, hubwire.InvalidProtocolVersion, "api-version %.40q is not a version", r.APIVersion)
	}
	return r, nil
}

func (r *Request) readOptions(h http.Header, query queryOf) {
	switch r.Op {
	case ListDevices, ListConfigurations:
		r.Top = atoi(query.get("top"))
	case Query:
		r.readPage(h)
	case ListJobs:
		r.readPage(h)
		r.JobType, r.JobStatus = JobType(query.get("jobType")), JobStatus(query.get("jobStatus"))
	case InvokeMethod:
		r.Caller.DeviceID, r.Caller.ModuleID, _ = strings.Cut(h.Get("X-Ms-Edge-Moduleid"), "/")
	case InvokeCommand:
		r.ConnectTimeout = timeout(query.get("connectTimeoutInSeconds"))
		r.ResponseTimeout = timeout(query.get("responseTimeoutInSeconds"))
	case ListScope:
		r.MaxItems, r.Continuation = atoi(query.get("deviceCount")), query.get("continuationToken")
	case GetInScope:
		r.Scope = hubwire.Identity{DeviceID: query.get("targetDeviceId"), ModuleID: query.get("targetModuleId")}
	}
}

func (r *Request) readPage(h http.Header) {
	r.MaxItems, r.Continuation = atoi(h.Get("X-Ms-Max-Item-Count")), h.Get("X-Ms-Continuation")
}

// valueOf is [http.Header.Get] for a name that is in its canonical form.
func valueOf(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// atoi is 0 for what is no number of things.
func atoi(s string) int {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}

// timeout is negative for what is none.
func timeout(s string) time.Duration {
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return -1
	}
	return fromSeconds(n)
}

// queryOf is the part of a URL behind the question mark, still encoded.
type queryOf string

// get returns the first value of that name, which is compared without case, decoded. What is badly
// encoded is not there.
func (q queryOf) get(name string) string {
	for more := q != ""; more; {
		var pair, rest string
		pair, rest, more = strings.Cut(string(q), "&")
		q = queryOf(rest)
		key, value, _ := strings.Cut(pair, "=")
		if equalFold(key, name) {
			value, _ = url.QueryUnescape(value)
			return value
		}
	}
	return ""
}

// isVersion reports whether s has the form of an api-version: 2021-04-12, with
// -preview behind it or not.
func isVersion(s string) bool {
	s = strings.TrimSuffix(s, "-preview")
	if len(s) != len("2021-04-12") {
		return false
	}
	for i := range len(s) {
		if i == 4 || i == 7 {
			if s[i] != '-' {
				return false
			}
		} else if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ParseETag returns an ETag as it stands in If-Match or ETag, without its decoration: spaces
// around it, a W/ in front, one pair of quotes. "*" and "\"*\"" are both "*".
func ParseETag(value string) string {
	value = strings.TrimPrefix(strings.TrimSpace(value), "W/")
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	return value
}

// QuoteETag returns an ETag with its quotes, as both If-Match and ETag have it. That
// of "*" has them too: all servers take it.
func QuoteETag(etag string) string { return `"` + etag + `"` }
