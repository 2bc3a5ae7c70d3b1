package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// pages answers queries with these pages, by the token of each: "" is the first.
func pages(t *testing.T, rows map[string]string, next map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("x-ms-continuation")
		body, ok := rows[token]
		if !ok {
			t.Errorf("asked for the page %q", token)
		}
		headers := []string{"x-ms-item-type", "Raw"}
		if to := next[token]; to != "" {
			headers = append(headers, "x-ms-continuation", to)
		}
		says(200, body, headers...)(w, r)
	}
}

type room struct {
	Device string `json:"deviceId"`
	N      int
}

func TestAQueryGoesOnPageByPage(t *testing.T) {
	rows := map[string]string{"": `[{"deviceId":"a","N":1},{"deviceId":"b","N":2}]`, "t1": `[]`, "t2": `[{"deviceId":"c","N":3}]`}
	next := map[string]string{"": "t1", "t1": "t2"}
	for name, tt := range map[string]struct {
		o        *service.QueryOptions
		stop     int // after so many rows; 0: none
		want     []room
		requests int
	}{
		"all of it":             {nil, 0, []room{{"a", 1}, {"b", 2}, {"c", 3}}, 3},
		"with a size":           {&service.QueryOptions{PageSize: 2}, 0, []room{{"a", 1}, {"b", 2}, {"c", 3}}, 3},
		"from a token":          {&service.QueryOptions{Continuation: "t1"}, 0, []room{{"c", 3}}, 2},
		"only what is asked of": {nil, 2, []room{{"a", 1}, {"b", 2}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{pages(t, rows, next)}, func(t *testing.T, f *fake) {
				var got []room
				query := service.QueryAs[room](t.Context(), f.client(nil), "SELECT * FROM devices", tt.o)
				for range 2 { // a query can be ranged over again
					got = nil
					for row, err := range query {
						if err != nil {
							t.Fatal(err)
						}
						if got = append(got, row); len(got) == tt.stop {
							break
						}
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Errorf("rows (-want +got):\n%s", diff)
					}
				}
				came := f.came()
				if len(came) != 2*tt.requests {
					t.Errorf("%d requests", len(came))
				}
				size := ""
				if tt.o != nil && tt.o.PageSize != 0 {
					size = fmt.Sprint(tt.o.PageSize)
				}
				for _, r := range came {
					if r.Header.Get("x-ms-max-item-count") != size {
						t.Errorf("page size %q", r.Header.Get("x-ms-max-item-count"))
					}
				}
			})
		})
	}
}

func TestPagesCanBeGotOneByOne(t *testing.T) {
	rows := map[string]string{"": `[{"a":"<"}, 1 ]`, "t1": `[]`}
	withFake(t, []http.HandlerFunc{pages(t, rows, map[string]string{"": "t1"})}, func(t *testing.T, f *fake) {
		c := f.client(nil)
		first, err := c.QueryPage(t.Context(), "q", nil)
		want := &service.Page{Rows: []json.RawMessage{json.RawMessage(`{"a":"<"}`), json.RawMessage("1")}, ItemType: "Raw", Continuation: "t1"}
		if diff := cmp.Diff(want, first); diff != "" || err != nil {
			t.Fatalf("%v, first (-want +got):\n%s", err, diff)
		}
		last, err := c.QueryPage(t.Context(), "q", &service.QueryOptions{Continuation: first.Continuation})
		if err != nil || len(last.Rows) != 0 || last.Continuation != "" {
			t.Errorf("%+v, %v", last, err)
		}
	})
}

func TestAQueryEndsAfterAnError(t *testing.T) {
	good := says(200, `[{"deviceId":"a"}]`, "x-ms-item-type", "Raw", "x-ms-continuation", "t1")
	for name, tt := range map[string]struct {
		answers []http.HandlerFunc
		rows    int
		code    hubwire.Code
	}{
		"a bad query":            {[]http.HandlerFunc{refuses(hubwire.ArgumentInvalid)}, 0, hubwire.ArgumentInvalid},
		"a refusal later":        {[]http.HandlerFunc{good, refuses(hubwire.Unauthorized)}, 1, hubwire.Unauthorized},
		"a row that is no T":     {[]http.HandlerFunc{says(200, `[{"deviceId":"a"},{"deviceId":5},{"deviceId":"c"}]`)}, 1, hubwire.DeserializationError},
		"a body that is no page": {[]http.HandlerFunc{says(200, `{"items":[]}`)}, 0, hubwire.DeserializationError},
		"the same page again":    {[]http.HandlerFunc{good}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, tt.answers, func(t *testing.T, f *fake) {
				rows, errs := 0, []error(nil)
				for _, err := range service.QueryAs[room](t.Context(), f.client(nil), "q", nil) {
					if err != nil {
						errs = append(errs, err)
					} else {
						rows++
					}
				}
				if rows != tt.rows || len(errs) != 1 || errorOf(t, errs[0]).Code != tt.code {
					t.Errorf("%d rows, %v", rows, errs)
				}
			})
		})
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"":              `''`,
		"plain":         `'plain'`,
		"it's":          `'it\'s'`,
		`a\b"c`:         `'a\\b"c'`,
		"x' OR 1=1 --'": `'x\' OR 1=1 --\''`,
		"a\nb\x00\x7fü": `'a\u000ab\u0000\u007fü'`,
	} {
		if got := service.Quote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := service.DeviceIn(); got != "deviceId IN []" {
		t.Error(got)
	}
}

func TestBulkAllSplits(t *testing.T) {
	count := func(w http.ResponseWriter, r *http.Request) {
		says(200, `{"isSuccessful":true,"errors":[],"warnings":[]}`)(w, r)
	}
	one := says(400, `{"isSuccessful":false,"errors":[{"deviceId":"x","errorCode":"DeviceAlreadyExists"}],"warnings":[{"deviceId":"y"}]}`)
	devices := func(n int) (ds []service.ImportDevice) {
		for i := range n {
			ds = append(ds, service.ImportDevice{ID: fmt.Sprint("d", i), ImportMode: service.ImportCreate})
		}
		return ds
	}
	for name, tt := range map[string]struct {
		n        int
		answers  []http.HandlerFunc
		requests int
		done     int
		errors   int
		code     hubwire.Code
	}{
		"none":                        {0, []http.HandlerFunc{count}, 0, 0, 0, 0},
		"a full one":                  {100, []http.HandlerFunc{count}, 1, 100, 0, 0},
		"one more":                    {101, []http.HandlerFunc{count}, 2, 101, 0, 0},
		"some fail":                   {250, []http.HandlerFunc{count, one}, 3, 250, 2, 0},
		"a refusal leaves the others": {250, []http.HandlerFunc{one, refuses(hubwire.Unauthorized)}, 2, 100, 1, hubwire.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, tt.answers, func(t *testing.T, f *fake) {
				result, done, err := f.client(nil).BulkAll(t.Context(), devices(tt.n))
				if done != tt.done || len(result.Errors) != tt.errors || result.IsSuccessful != (tt.errors == 0) || (err != nil) != (tt.code != 0) || err != nil && errorOf(t, err).Code != tt.code {
					t.Errorf("%+v, %d done, %v", result, done, err)
				}
				seen := 0
				for _, r := range f.came() {
					var part []struct{ ID string }
					if err := json.Unmarshal([]byte(r.body), &part); err != nil || len(part) > 100 || part[0].ID != fmt.Sprint("d", min(seen, tt.done)) {
						t.Errorf("%d of %v: %v", len(part), part[:1], err)
					}
					seen += len(part)
				}
				if len(f.came()) != tt.requests {
					t.Errorf("%d requests", len(f.came()))
				}
			})
		})
	}
}

func TestWaitJob(t *testing.T) {
	running := says(200, aJob)
	done := says(200, strings.Replace(aJob, "running", "completed", 1))
	withFake(t, []http.HandlerFunc{running, running, running, done}, func(t *testing.T, f *fake) {
		start := time.Now()
		j, err := f.client(nil).WaitJob(t.Context(), "j1", 10*time.Minute) // far beyond the bound of one operation
		if err != nil || j.Status != service.JobCompleted || time.Since(start) != 30*time.Minute {
			t.Errorf("%v, %v after %v", j, err, time.Since(start))
		}
	})
	withFake(t, []http.HandlerFunc{running}, func(t *testing.T, f *fake) {
		c := f.client(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
		defer cancel()
		if _, err := c.WaitJob(ctx, "j1", 0); !errors.Is(err, context.DeadlineExceeded) || len(f.came()) != 12 {
			t.Errorf("%v after %d requests", err, len(f.came()))
		}
		ended := begun(func() error { _, err := c.WaitJob(t.Context(), "j1", time.Hour); return err })
		c.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
