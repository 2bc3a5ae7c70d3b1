package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

// section is the desired properties that a fakeLink's Twin reads.
type section struct {
	mu       sync.Mutex
	version  int64
	reported int64
	reads    int
	fails    []error // the next reads
}

func (s *section) set(version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// remake makes the device anew, with desired properties that have come as far as before.
func (s *section) remake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reported = 1
}

func (s *section) twin(context.Context) (*hubwire.Twin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if len(s.fails) > 0 {
		err := s.fails[0]
		s.fails = s.fails[1:]
		return nil, err
	}
	return &hubwire.Twin{
		Desired:  hubwire.TwinSection{Version: s.version, JSON: json.RawMessage("{}")},
		Reported: hubwire.TwinSection{Version: s.reported, JSON: json.RawMessage("{}")},
	}, nil
}

func TestDesiredPutsPatchesInOrder(t *testing.T) {
	patch := func(f *fakeLink, version int64) {
		f.change(version, fmt.Appendf(nil, `{"n":%d,"$version":%d}`, version, version))
	}
	for name, tt := range map[string]struct {
		act  func(*fakeLink, *section)
		want string // versions in order; a "!" marks a full section
	}{
		"one after another": {func(f *fakeLink, s *section) { patch(f, 6); patch(f, 7) }, "5! 6 7"},
		"what the section had already": {func(f *fakeLink, s *section) {
			patch(f, 4)
			patch(f, 5)
			patch(f, 6)
		}, "5! 6"},
		"twice the same": {func(f *fakeLink, s *section) { patch(f, 6); patch(f, 6); patch(f, 7) }, "5! 6 7"},
		"a gap":          {func(f *fakeLink, s *section) { s.set(8); patch(f, 8); patch(f, 9) }, "5! 8! 9"},
		"a gap that the hub does not know of yet": {func(f *fakeLink, s *section) {
			patch(f, 8)
			time.Sleep(10 * time.Second)
			s.set(8)
		}, "5! 8!"},
		"a new connection with nothing missed": {func(f *fakeLink, s *section) { f.reset(); synctest.Wait(); patch(f, 6) }, "5! 6"},
		"a new connection with something missed": {func(f *fakeLink, s *section) {
			s.set(7)
			f.reset()
			synctest.Wait()
			patch(f, 8)
		}, "5! 7! 8"},
		"a device made anew":                            {func(f *fakeLink, s *section) { s.set(1); f.reset(); synctest.Wait(); patch(f, 2) }, "5! 1! 2"},
		"a device made anew that has come as far again": {func(f *fakeLink, s *section) { s.remake(); f.reset(); synctest.Wait(); patch(f, 6) }, "5! 5! 6"},
		"such a one that the read for a gap sees first": {func(f *fakeLink, s *section) {
			s.remake()
			patch(f, 8)
			time.Sleep(time.Second)
			f.reset()
		}, "5! 5!"},
		"a hub that reads something older": {func(f *fakeLink, s *section) {
			patch(f, 6)
			synctest.Wait()
			s.set(4)
			patch(f, 8)
			time.Sleep(10 * time.Second)
			s.set(8)
		}, "5! 6 8!"},
		"a patch that is no object": {func(f *fakeLink, s *section) { s.set(6); f.change(6, []byte("[]")) }, "5! 6!"},
		"trailing bytes":            {func(f *fakeLink, s *section) { s.set(6); f.change(6, []byte("{}{}")) }, "5! 6!"},
		"more than it holds": {func(f *fakeLink, s *section) {
			for v := range int64(maxPatches + 10) {
				patch(f, 6+v)
			}
			s.set(5 + maxPatches + 10)
		}, "5! 79!"},
		"more than it holds, and a hub that reads something older": {func(f *fakeLink, s *section) {
			s.set(4)
			for v := range int64(maxPatches + 1) {
				patch(f, 6+v)
			}
			time.Sleep(10 * time.Second)
			s.set(6 + maxPatches)
		}, "5! 70!"},
		"a patch that is no object, and a hub that reads something older": {func(f *fakeLink, s *section) {
			s.set(4)
			f.change(6, []byte("[]"))
			time.Sleep(10 * time.Second)
			s.set(6)
		}, "5! 6!"},
		"larger than it holds": {func(f *fakeLink, s *section) {
			f.change(6, fmt.Appendf(nil, `{"a":"%s"}`, strings.Repeat("x", maxPatchBytes)))
			s.set(6)
		}, "5! 6!"},
		"throttled": {func(f *fakeLink, s *section) {
			s.fails = []error{
				&hubwire.Error{Code: hubwire.Throttled, Retryable: true, RetryAfter: time.Minute},
				&hubwire.Error{Code: hubwire.Throttled, Retryable: true},
			}
			s.set(9)
			f.reset()
			time.Sleep(2 * time.Minute)
		}, "5! 9!"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := fake(t, nil)
				s := &section{version: 5, reported: 3}
				f.onTwin = s.twin
				ctx, cancel := context.WithCancel(t.Context())
				var got []string
				done := make(chan error)
				hold := make(chan struct{})
				go func() {
					for d, err := range c.Desired(ctx) {
						if err != nil {
							done <- err
							return
						}
						if text := string(d.JSON); strings.Contains(text, "$version") || !d.Full && text != fmt.Sprintf(`{"n":%d}`, d.Version) {
							t.Errorf("version %d is %s", d.Version, text)
						}
						one := fmt.Sprint(d.Version)
						if d.Full {
							one += "!"
						}
						if got = append(got, one); len(got) == 1 {
							<-hold // so that what happens next finds it busy
						}
					}
				}()
				synctest.Wait()
				go func() { time.Sleep(time.Second); close(hold) }()
				if !strings.Contains(name, "holds") {
					time.Sleep(2 * time.Second)
				}
				synctest.Wait()
				tt.act(f, s)
				time.Sleep(time.Hour)
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
				if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
					t.Errorf("versions (-want +got):\n%s", diff)
				}
				if f.stopped != 1 {
					t.Errorf("the link was told to stop %d times", f.stopped)
				}
			})
		})
	}
}

func TestDesiredEndsWithWhatCannotBeMended(t *testing.T) {
	refused := &hubwire.Error{Code: hubwire.Unauthorized, Outcome: hubwire.Refused}
	for name, tt := range map[string]struct {
		arrange func(*Client, *fakeLink, *section)
		want    error
	}{
		"no subscription":         {func(_ *Client, f *fakeLink, _ *section) { f.subErr = refused }, hubwire.Unauthorized},
		"a read that is refused":  {func(_ *Client, _ *fakeLink, s *section) { s.fails = []error{refused} }, hubwire.Unauthorized},
		"a client that is closed": {func(c *Client, _ *fakeLink, _ *section) { time.AfterFunc(time.Minute, func() { c.Close() }) }, net.ErrClosed},
		"a client that is refused": {func(c *Client, f *fakeLink, _ *section) {
			time.AfterFunc(time.Minute, func() { f.end(refused) })
		}, hubwire.Unauthorized},
		"closed while throttled": {func(c *Client, _ *fakeLink, s *section) {
			s.fails = []error{&hubwire.Error{Code: hubwire.Throttled, Retryable: true, RetryAfter: time.Hour}}
			time.AfterFunc(time.Minute, func() { c.Close() })
		}, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := fake(t, nil)
				s := &section{version: 1}
				f.onTwin = s.twin
				tt.arrange(c, f, s)
				var last error
				for _, err := range c.Desired(t.Context()) {
					last = err
				}
				var e *hubwire.Error
				if !errors.Is(last, tt.want) || !errors.As(last, &e) || e.Op != "desired" {
					t.Errorf("%v", last)
				}
				synctest.Wait() // until whoever closes it is done
				if f.closed > 0 {
					return
				}
				for _, err := range c.Desired(t.Context()) { // the next one is free to try
					if errors.Is(err, hubwire.InvalidOperation) {
						t.Errorf("%v", err)
					}
					break
				}
			})
		})
	}
}
