package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/bench/results"
)

func row(name, unit string, floor, ours, peer float64) results.Row {
	r := results.Row{Name: name, Unit: unit, Ours: results.Figure{Median: ours}}
	if floor > 0 {
		r.Floor = &results.Figure{Name: "socket", Median: floor}
	}
	if peer > 0 {
		r.Peer = &results.Figure{Name: "<paho & co>", Median: peer}
	}
	return r
}

var example = &results.Run{
	Date: "2026-11-26", Machine: "linux/amd64, 2 processors", Go: "go1.26", Rounds: 6, Quiet: true,
	Rows: []results.Row{
		row("publish", "µs of client CPU", 0.07, 0.25, 14.6),
		row("without a peer", "µs of client CPU", 0.07, 0.25, 0),
		row("hub", "µs of server CPU", 0, 1, 10),
		row("memory", "KiB", 4, 5, 35),
	},
}

// element is a part of an SVG, as far as these tests look.
type element struct {
	XMLName  xml.Name
	Class    string     `xml:"class,attr"`
	X        float64    `xml:"x,attr"`
	Width    string     `xml:"width,attr"`
	Text     string     `xml:",chardata"`
	Children []*element `xml:",any"`
}

func TestTheChartShowsWhatIsAboutCPUAndHasAPeer(t *testing.T) {
	svg, err := draw(example)
	if err != nil {
		t.Fatal(err)
	}
	var root element
	if err := xml.Unmarshal(svg, &root); err != nil {
		t.Fatal(err)
	}
	var texts []string
	widths := map[string][]float64{}
	for _, e := range root.Children {
		switch e.XMLName.Local {
		case "text":
			texts = append(texts, e.Text)
		case "rect":
			w, err := strconv.ParseFloat(e.Width, 64)
			if err != nil || w <= 0 || e.X+w > width {
				t.Errorf("a bar of class %s is from %v on and %s wide", e.Class, e.X, e.Width)
			}
			widths[e.Class] = append(widths[e.Class], w)
		}
	}
	want := []string{
		"CPU time for one message: less is better",
		"2026-11-26 · linux/amd64, 2 processors · go1.26 · median of 6 rounds · the scale is logarithmic",
		"0.01 µs", "0.1 µs", "1 µs", "10 µs", "100 µs",
		"publish (client CPU)", "floor: socket", "0.070 µs", "hubwire", "0.250 µs", "<paho & co>", "14.6 µs",
		"hub (server CPU)", "hubwire", "1.00 µs", "<paho & co>", "10.0 µs",
	}
	if d := cmp.Diff(want, texts); d != "" {
		t.Errorf("texts (-want +got):\n%s", d)
	}
	// A decade is as wide everywhere.
	if got, want := widths["peer"][1]-widths["ours"][1], (width-right-left)/4.0; got != want {
		t.Errorf("from 1 to 10 µs it is %v px, want %v", got, want)
	}
}

func TestNoisyRunsSaySo(t *testing.T) {
	noisy := *example
	noisy.Quiet = false
	svg, err := draw(&noisy)
	if err != nil || !bytes.Contains(svg, []byte("median of 6 rounds on a busy machine")) {
		t.Errorf("%v\n%s", err, svg)
	}
}

func TestNothingToDraw(t *testing.T) {
	for _, tt := range []struct {
		name string
		rows []results.Row
	}{
		{"no rows", nil},
		{"none about CPU", example.Rows[3:]},
		{"one that took no time", []results.Row{row("publish", "µs of client CPU", 0, 0, 3)}},
	} {
		if svg, err := draw(&results.Run{Rows: tt.rows}); err == nil {
			t.Errorf("%s: %s", tt.name, svg)
		}
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	var b bytes.Buffer
	if err := errors.Join(example.Write(&b), os.WriteFile(good, b.Bytes(), 0o600), os.WriteFile(bad, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		says string // of the error
	}{
		{"good results", []string{good}, ""},
		{"bad results", []string{bad}, "bad.json: results:"},
		{"no such file", []string{filepath.Join(dir, "none")}, "no such file"},
		{"no argument", nil, "want one argument"},
		{"two", []string{good, good}, "want one argument"},
	} {
		var out bytes.Buffer
		err := run(tt.args, &out)
		if tt.says == "" {
			if err != nil || !strings.HasPrefix(out.String(), "<svg ") {
				t.Errorf("%s: %v, %q", tt.name, err, out.String())
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.says) || out.Len() > 0 {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
	if err := run([]string{good}, failing{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("an output that fails: %v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
