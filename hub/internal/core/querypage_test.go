package core

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
	"github.com/hubwire/hubwire/hub/internal/store"
)

const wholeDevices = "SELECT * FROM devices"

func TestQueriesThatAreRefused(t *testing.T) {
	c := registryOf(t, 3)
	for _, tc := range []struct {
		name, text string
		limit      int
		token      string
		message    string
	}{
		{"a text that does not parse, with the place", "SELECT * FROM devices JOIN x", 0, "", `at offset 22: found "JOIN", expected WHERE, GROUP BY or the end; JOIN is not supported`},
		{"no text", "", 0, "", "expected SELECT"},
		{"a page below 0", wholeDevices, -1, "", "a page of -1 rows"},
		{"a token of base64 that is none", wholeDevices, 0, "AAAA", "continuation token"},
		{"a token that is no base64", wholeDevices, 0, "*", "continuation token"},
	} {
		_, err := c.Query(ctx, tc.text, tc.limit, tc.token)
		wantCode(t, tc.name, err, hubwire.ArgumentInvalid)
		if err != nil && !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	for _, text := range []string{wholeDevices, "SELECT COUNT() FROM devices"} {
		if _, err := c.Query(gone, text, 0, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("%s under a context that has ended: %v", text, err)
		}
	}
	c.Close()
	_, err := c.Query(ctx, wholeDevices, 0, "")
	wantCode(t, "a hub that is closed", err, hubwire.ServiceUnavailable)
}

func TestTooManyGroupsAreRefused(t *testing.T) {
	c := registryOf(t, 0)
	long := strings.Repeat("x", 4000)
	for i := range 1100 { // of 4000 bytes each
		create(t, c, &Device{ID: nth(i)})
		patch(t, c, nth(i), fmt.Sprintf(`{"long":"%s%d"}`, long, i), `{}`)
	}
	_, err := c.Query(ctx, "SELECT tags.long, COUNT() FROM devices GROUP BY tags.long", 0, "")
	wantCode(t, "too many groups", err, hubwire.ArgumentInvalid)
}

func TestATokenIsGoodForItsQueryAndHubOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no page takes any time
		c := registryOf(t, 10)
		p, err := c.Query(ctx, wholeDevices, 4, "")
		must(t, err)
		token := p.Continuation
		for range 2 { // it can be shown again
			again, err := c.Query(ctx, wholeDevices, 3, token)
			if err != nil || !slices.Equal(rowsOf(again), []string{"d004", "d005", "d006"}) {
				t.Fatalf("the next page: %v, %v", rowsOf(again), err)
			}
		}
		_, err = c.Query(ctx, wholeDevices+" ", 4, token)
		wantCode(t, "another text", err, hubwire.ArgumentInvalid)
		_, err = registryOf(t, 10).Query(ctx, wholeDevices, 4, token)
		wantCode(t, "another hub", err, hubwire.ArgumentInvalid)

		raw, err := base64.RawURLEncoding.DecodeString(token)
		must(t, err)
		for i := range raw {
			forged := slices.Clone(raw)
			forged[i] ^= 1
			_, err := c.Query(ctx, wholeDevices, 4, base64.RawURLEncoding.EncodeToString(forged))
			wantCode(t, fmt.Sprintf("byte %d changed", i), err, hubwire.ArgumentInvalid)
			_, err = c.Query(ctx, wholeDevices, 4, base64.RawURLEncoding.EncodeToString(raw[:i]))
			if i > 0 {
				wantCode(t, fmt.Sprintf("cut to %d bytes", i), err, hubwire.ArgumentInvalid)
			}
		}
	})
}

func TestATokenOutlivesTheDeviceThatItStopsAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no page takes any time
		c := registryOf(t, 6)
		p, err := c.Query(ctx, wholeDevices, 3, "")
		must(t, err)
		for _, i := range []int{1, 2, 3} {
			must(t, c.Delete(ctx, nth(i), "*"))
		}
		create(t, c, &Device{ID: hubwire.Identity{DeviceID: "d0025"}})
		p, err = c.Query(ctx, wholeDevices, 0, p.Continuation)
		if err != nil || !slices.Equal(rowsOf(p), []string{"d0025", "d004", "d005"}) {
			t.Errorf("the next page: %v, %v", rowsOf(p), err)
		}
	})
}

// TestAPageThatHasTakenItsTimeEnds has pages whose time is over when they begin:
// each looks at as many rows as it must.
func TestAPageThatHasTakenItsTimeEnds(t *testing.T) {
	const n = 2*queryLeast + 200
	c := registryOf(t, n)
	var rows []*DeviceJob
	for i := range n {
		rows = append(rows, &DeviceJob{JobID: "j", ID: nth(i), Status: "failed"})
	}
	slices.SortFunc(rows, func(a, b *DeviceJob) int { return compareIdentities(a.ID, b.ID) })
	keepRows(c, rows)
	for _, tc := range []struct {
		text        string
		rows, pages int
	}{
		{wholeDevices, n, 3},
		{"SELECT deviceId FROM devices WHERE tags.n = 100", 1, 3},
		{"SELECT TOP 1 deviceId FROM devices WHERE tags.n = 500", 1, 2},
		{"SELECT * FROM devices WHERE false", 0, 3},
		{"SELECT * FROM devices WHERE deviceId IN ['d070', 'd071', 'x']", 2, 1},
		{"SELECT * FROM devices.jobs", n, 3},
		{"SELECT * FROM devices.jobs WHERE status = 'completed'", 0, 3},
		{"SELECT COUNT() FROM devices", 1, 1}, // counts to the end
	} {
		q, err := query.Parse(tc.text)
		must(t, err)
		var rows []string
		pages := 0
		for at := (queryPlace{}); ; {
			run := &queryRun{core: c, q: q, limit: maxQueryPage, at: at, begun: time.Now().Add(-time.Hour)}
			must(t, run.page(ctx))
			rows, pages, at = append(rows, rowsOf(&run.out)...), pages+1, run.at
			if !run.more || pages > n {
				break
			}
		}
		if !slices.IsSorted(rows) || len(slices.Compact(rows)) != tc.rows || pages != tc.pages {
			t.Errorf("%s: %d rows on %d pages, want %d on %d", tc.text, len(rows), pages, tc.rows, tc.pages)
		}
	}
}

func TestAPageThatHasTakenItsMemoryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no page takes any time
		c := registryOf(t, 0)
		big := fmt.Sprintf(`{"a":%q,"b":%[1]q,"c":%[1]q,"d":%[1]q,"e":%[1]q,"f":%[1]q,"g":%[1]q}`, strings.Repeat("x", 4000))
		const n = 200 // of some 28 KB each
		for i := range n {
			create(t, c, &Device{ID: nth(i)})
			patch(t, c, nth(i), `{}`, big)
		}
		for _, text := range []string{wholeDevices, "SELECT properties.desired AS d FROM devices"} {
			rows, pages := all(t, c, text, maxQueryPage)
			if len(rows) != n || pages != 2 {
				t.Errorf("%s: %d rows on %d pages", text, len(rows), pages)
			}
		}
	})
}

// TestPagesWhileTheRegistryChanges has devices that stay, and others that come and
// go: each that stays is on exactly one page.
func TestPagesWhileTheRegistryChanges(t *testing.T) {
	const n = 700
	c := registryOf(t, n)
	var wg sync.WaitGroup
	var stop atomic.Bool
	for w := range 2 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				id := hubwire.Identity{DeviceID: fmt.Sprintf("d%03d-%d", (i*37)%n, w)}
				if _, err := c.Create(ctx, &Device{ID: id}); err != nil {
					t.Error(err)
				}
				patch(t, c, nth(i%n), `{"x":1}`, `{}`)
				if err := c.Delete(ctx, id, "*"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		rows, _ := all(t, c, wholeDevices, 50)
		if !slices.IsSorted(rows) || len(slices.Compact(slices.Clone(rows))) != len(rows) {
			t.Error("rows are out of order, or come twice")
		}
		stay := slices.DeleteFunc(rows, func(id string) bool { return strings.Contains(id, "-") })
		if len(stay) != n {
			t.Errorf("%d of %d devices that are there all the time", len(stay), n)
		}
		if got := one(t, c, "SELECT COUNT() AS n FROM devices WHERE is_defined(tags.n)"); got != fmt.Sprintf(`{"n":%d}`, n) {
			t.Errorf("counted %s of %d", got, n)
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestQueriesAfterALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no page takes any time
		s := store.NewMemory(nil)
		c := newCoreOn(t, nil, s)
		patch(t, c, mod, `{"a":1}`, `{}`)
		must(t, c.Close())
		c = newCoreOn(t, nil, s)
		if got := one(t, c, "SELECT * FROM devices.modules WHERE tags.a = 1"); got != "dev/mod" {
			t.Errorf("modules: %s", got)
		}
		if got := one(t, c, wholeDevices); got != "dev" {
			t.Errorf("devices: %s", got)
		}
	})
}
