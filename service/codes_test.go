package service_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

// TestEveryCodeOfTheHubIsWhatItSays is theme 11: each code, in each form that an error has, to a
// call of some kind.
func TestEveryCodeOfTheHubIsWhatItSays(t *testing.T) {
	var next atomic.Pointer[http.HandlerFunc]
	answer := func(w http.ResponseWriter, r *http.Request) { (*next.Load())(w, r) }
	withFake(t, []http.HandlerFunc{answer}, func(t *testing.T, f *fake) {
		c := f.client(func(o *service.Options) { o.MaxAttempts = 1 })
		names, turn := slices.Sorted(maps.Keys(kinds)), 0
		for _, code := range slices.Sorted(maps.Keys(testkit.Codes[hubwire.Code](t, "../testdata/codes.txt"))) {
			for form, name := range map[httpsx.ErrorForm]string{httpsx.Classic: "classic", httpsx.Numeric: "numeric", httpsx.Nested: "nested"} {
				body := httpsx.AppendError(nil, &hubwire.Error{Code: code, Message: "the hub's words", TrackingID: "abc"}, form, time.Now())
				h := says(code.Status(), string(body), "Retry-After", "7", "iothub-errorcode", httpsx.ErrorName(code))
				next.Store(&h)
				turn++
				kind := names[turn%len(names)]
				e := errorOf(t, kinds[kind](t.Context(), c))
				s := code.Status()
				want := hubwire.Error{
					Op: e.Op, Code: code, Outcome: hubwire.Refused, Message: "the hub's words", TrackingID: "abc", RetryAfter: 7 * time.Second,
					Retryable: code.Retryable() || kind != "invokes" && (s == 502 || s == 504),
				}
				if kind == "invokes" && (s == 408 || s == 502 || s == 504 || code == hubwire.ConnectionClosedRemotely) {
					want.Outcome = hubwire.Unknown // the device may have run it
				}
				if *e != want || !errors.Is(e, code) {
					t.Errorf("%d, %s, %s:\ngot  %+v\nwant %+v", code, name, kind, *e, want)
				}
			}
		}
	})
}
