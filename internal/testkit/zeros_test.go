package testkit

import (
	"context"
	"io"
	"iter"
	"strings"
	"testing"
)

// careless panics where an argument is left out.
type careless struct{ w io.Writer }

func (careless) Value()                              {}
func (c *careless) Pointer() int                     { return len(c.name()) }
func (c *careless) name() string                     { _, _ = c.w.Write(nil); return "" }
func (*careless) Harmless() error                    { return nil }
func (*careless) Trusting(context.Context) (e error) { return }
func (*careless) All() iter.Seq[int]                 { return func(yield func(int) bool) { yield(1) } }
func (c *careless) Format()                          { c.Pointer() }

func TestZerosTellsWhatPanics(t *testing.T) {
	r := new(recorder).run(func(t testing.TB) {
		Zeros(t, map[string]any{
			"Make":   func(io.Reader) *careless { return new(careless) },
			"Break":  func(p *int) int { return *p },
			"Wrong":  func(p *int) (int, error) { return 1, nil },
			"Vary":   func(...string) {},
			"Repeat": func() iter.Seq2[int, error] { return func(yield func(int, error) bool) { panic("over") } },
		}, careless{})
	})
	all := strings.Join(r.failed, "\n")
	for want, n := range map[string]int{
		"(*testkit.careless)(nil).Pointer panics":  1,
		"(*testkit.careless)(zero).Pointer panics": 2, // of the type, and of what Make returned
		"Trusting takes a nil context":             3,
		"Break panics":                             1,
		"Repeat panics: over":                      1,
		"LeakCheck is exported and not called":     1,
		"Harmless":                                 0,
		"Value":                                    0,
		"Format":                                   0,
		"careless)(zero).All":                      0,
		"Make":                                     0,
		"Wrong":                                    0,
		"Vary":                                     0,
	} {
		if got := strings.Count(all, want); got != n {
			t.Errorf("%q stands there %d times, want %d, in:\n%s", want, got, n, all)
		}
	}
}
