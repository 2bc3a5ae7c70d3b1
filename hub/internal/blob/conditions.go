package blob

import (
	"net/http"
	"strings"
	"time"
)

// conditions are the conditional headers of a request.
// Source: "Specifying conditional headers for Blob service operations".
type conditions struct {
	match, noneMatch              string // an ETag without quotes, "*", or empty
	modifiedSince, unchangedSince time.Time
	read                          bool
}

func conditionsOf(r *http.Request) (*conditions, error) {
	c := &conditions{
		match: tag(r.Header.Get("If-Match")), noneMatch: tag(r.Header.Get("If-None-Match")),
		read: r.Method == http.MethodGet || r.Method == http.MethodHead,
	}
	for name, at := range map[string]*time.Time{"If-Modified-Since": &c.modifiedSince, "If-Unmodified-Since": &c.unchangedSince} {
		text := r.Header.Get(name)
		if text == "" {
			continue
		}
		t, err := http.ParseTime(text)
		if err != nil {
			return nil, errHeader
		}
		*at = t
	}
	return c, nil
}

func tag(s string) string { return strings.Trim(strings.TrimSpace(s), `"`) }

// check returns what a condition that a blob does not meet is answered with. The caller holds the lock.
func (c *conditions) check(b *blob) error { return c.checkContent(b.content) }

// checkContent is check for a content, nil for none.
func (c *conditions) checkContent(now *content) error {
	unchanged := errCondition
	if c.read {
		unchanged = errNotModified
	}
	is := func(etag string) bool { return now != nil && (etag == "*" || etag == now.etag) }
	modified := func(t time.Time) bool { return now != nil && now.modified.Truncate(time.Second).After(t) }
	switch {
	case c.match != "" && !is(c.match), !c.unchangedSince.IsZero() && modified(c.unchangedSince):
		return errCondition
	case c.noneMatch == "*" && now != nil && !c.read:
		return errExists
	case is(c.noneMatch), !c.modifiedSince.IsZero() && now != nil && !modified(c.modifiedSince):
		return unchanged
	}
	return nil
}
