package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hubwire/hubwire/upload"
)

// meter shows how far an upload is.
type meter struct {
	start time.Time

	mu  sync.Mutex
	now upload.Progress
}

func newMeter() *meter { return &meter{start: time.Now()} }

func (m *meter) set(p upload.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = p
}

// show writes to w until stop is called: a bar that moves on a terminal, else a line each second.
func (m *meter) show(w io.Writer) (stop func()) {
	if !isTerminal(w) {
		return progress(w, m.text)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, 100*time.Millisecond) == nil {
			fmt.Fprintf(w, "\r%s\x1b[K", m.bar()) // and clear the rest of the line
		}
		fmt.Fprintf(w, "\r%s\x1b[K\n", m.bar())
	}()
	return func() { cancel(); <-done }
}

// isTerminal reports whether somebody may be looking at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}

// barWidth is that of the bar alone, in characters.
const barWidth = 30

func (m *meter) bar() string {
	m.mu.Lock()
	now := m.now
	m.mu.Unlock()
	if now.Total <= 0 {
		return m.text()
	}
	full := int(now.Done * barWidth / now.Total)
	return fmt.Sprintf("[%s%s] %3d %% %s", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), now.Done*100/now.Total, m.text())
}

// text says how much has travelled, how fast, and how long the rest will take.
func (m *meter) text() string {
	m.mu.Lock()
	now := m.now
	m.mu.Unlock()
	if now.Total <= 0 {
		return "uploaded " + sizeText(now.Done)
	}
	s := fmt.Sprintf("uploaded %s of %s", sizeText(now.Done), sizeText(now.Total))
	if took, moved := time.Since(m.start), now.Done-now.Skipped; moved > 0 && took > 0 && now.Done < now.Total {
		rate := float64(moved) / took.Seconds()
		left := time.Duration(float64(now.Total-now.Done) / rate * float64(time.Second))
		s += fmt.Sprintf(", %s/s, %v left", sizeText(int64(rate)), left.Round(time.Second))
	}
	return s
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if n < 1<<10 {
		return plural(int(n), "byte")
	}
	v, u := float64(n)/(1<<10), 0
	for v >= 1<<10 && u < len(units)-1 {
		v, u = v/(1<<10), u+1
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}
