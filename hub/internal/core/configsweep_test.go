package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

func TestAChangeIsLookedAtAlone(t *testing.T) {
	c := newCore(t, nil)
	other := c.entity(several(t, c, 1)[0])
	_, l := connect(t, c, dev)
	configure(t, c, forDevice("k", "tags.on = true", 1, ".a", "1"))
	done := make(chan struct{})
	l.mu.Lock()
	l.onDesired = func() { close(done) }
	l.mu.Unlock()
	c.timers.wg.Wait() // all was looked at once
	other.mu.Lock()
	defer other.mu.Unlock()
	go tag(t, c, dev, `{"on":true}`)
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("a change of one device waits for another")
	}
}

func TestAConfigurationThatATwinCannotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		big := "[" + strings.Repeat(`"`+strings.Repeat("x", 4000)+`",`, 5) + "1]"
		_, err := c.PatchTwin(ctx, dev, update("", `{"own":`+big+`}`), "")
		must(t, err)
		configure(t, c, forDevice("k", "*", 1, ".a", big))
		wantDesired(t, c, dev, `{"own":`+big+`}`, states{"k": "Targeted"})
		wantCounts(t, c, "k", 1, 0)
		_, err = c.PatchTwin(ctx, dev, update("", `{"own":null}`), "")
		must(t, err)
		wantDesired(t, c, dev, `{"a":`+big+`}`, states{"k": "Applied"})
	})
}

func TestConfigurationsThatUndoEachOtherComeToAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		configure(t, c, forDevice("one", "properties.desired.a = 2", 1, ".a", "1"))
		configure(t, c, forDevice("two", "properties.desired.a = 1", 1, ".a", "2"))
		_, err := c.PatchTwin(ctx, dev, update("", `{"a":1}`), "")
		must(t, err)
		synctest.Wait()
		tw, _ := c.Twin(ctx, dev)
		if tw.Desired.Version > 2+3*maxRounds {
			t.Errorf("the twin is at version %d", tw.Desired.Version)
		}
	})
}

func TestConfigurationsAreBounded(t *testing.T) {
	c := newCore(t, nil)
	for i := range maxConfigurations {
		configure(t, c, forDevice(fmt.Sprint("k", i), "", 1, ".a", "1"))
	}
	_, err := c.CreateConfiguration(ctx, forDevice("more", "", 1, ".a", "1"))
	wantCode(t, "one more", err, hubwire.TooManyConfigurations)
	configure(t, c, &Configuration{ID: "deployment", Content: ConfigurationContent{Modules: map[string]map[string]json.RawMessage{}}})
	if ks, err := c.Configurations(ctx, 3); err != nil || len(ks) != 3 || ks[0].ID != "deployment" || ks[1].ID != "k0" || ks[2].ID != "k1" {
		t.Errorf("Configurations(3) = %v, %v", ks, err)
	}
	if ks, err := c.Configurations(ctx, -1); err != nil || len(ks) != 0 {
		t.Errorf("Configurations(-1) = %v, %v", ks, err)
	}
}

func TestConfigurationsAtTheSameTimeAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		ids := append(several(t, c, 20), dev)
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				k := fmt.Sprint("k", n)
				for i := range 20 {
					if _, err := c.CreateConfiguration(ctx, forDevice(k, fmt.Sprintf("tags.n = %d", i%3), n, ".a", fmt.Sprint(n))); err != nil {
						t.Error(err)
					}
					for j, id := range ids {
						if _, err := c.PatchTwin(ctx, id, update(fmt.Sprintf(`{"n":%d}`, (i+j)%3), ""), ""); err != nil {
							t.Error(err)
						}
					}
					c.Configurations(ctx, 10)
					if err := c.DeleteConfiguration(ctx, k, "*"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			tag(t, c, id, `{"n":1}`)
		}
		configure(t, c, forDevice("last", "tags.n = 1", 1, ".a", `"last"`))
		wantCounts(t, c, "last", int64(len(ids)), int64(len(ids)))
		for _, id := range ids {
			wantDesired(t, c, id, `{"a":"last"}`, states{"last": "Applied"})
		}
	})
}

func TestAMetricThatCannotBeAnsweredHidesNoConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		long := strings.Repeat("x", 4000)
		for i := range 1100 { // groups of 4000 bytes each
			create(t, c, &Device{ID: nth(i)})
			tag(t, c, nth(i), fmt.Sprintf(`{"long":"%s%d"}`, long, i))
		}
		k := forDevice("k", "*", 1, ".a", "1")
		k.Metrics = map[string]string{"bad": "SELECT tags.long, COUNT() FROM devices GROUP BY tags.long", "good": "SELECT * FROM devices"}
		configure(t, c, k)
		list, err := c.Configurations(ctx, 10)
		must(t, err)
		if diff := cmp.Diff(map[string]int64{"good": 1101}, list[0].MetricResults); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
	})
}
