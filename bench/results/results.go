// Package results is what a run of the gates found, in the form that it is kept in.
package results

import (
	"encoding/json"
	"fmt"
	"io"
)

// Run is one run of the gates.
type Run struct {
	Date    string `json:"date"` // of its end, YYYY-MM-DD
	Machine string `json:"machine"`
	Go      string `json:"go"`
	Strict  bool   `json:"strict"`
	Rounds  int    `json:"rounds"` // that count
	Quiet   bool   `json:"quiet"`  // in all of them the rest of the machine was idle
	Rows    []Row  `json:"rows"`
}

// Row is one piece of work. Figures are medians over the rounds that count.
type Row struct {
	Name        string  `json:"name"`
	Unit        string  `json:"unit"` // of Floor, Peer and Ours: "ns", "µs of client CPU", "KiB"
	Floor       *Figure `json:"floor,omitempty"`
	Peer        *Figure `json:"peer,omitempty"`
	Ours        Figure  `json:"ours"`
	OursToFloor float64 `json:"oursToFloor,omitempty"` // median of the ratios
	PeerToOurs  float64 `json:"peerToOurs,omitempty"`
	Rate        float64 `json:"messagesPerSecond,omitempty"`
	Control     float64 `json:"control,omitempty"` // the floor against itself
	Gates       []Claim `json:"gates,omitempty"`
	Targets     []Claim `json:"targets,omitempty"`
	Verdict     string  `json:"verdict"` // "met", "missed" or "noisy"
}

// Figure is what something costs.
type Figure struct {
	Name   string   `json:"name,omitempty"` // of a floor or a peer
	Median float64  `json:"median"`
	Min    float64  `json:"min"`
	Max    float64  `json:"max"`
	Allocs *float64 `json:"allocs,omitempty"` // for one; absent: not counted
}

// Claim is a gate or a target.
type Claim struct {
	Text string `json:"text"`
	Held bool   `json:"held"` // without any slack
}

// Write writes r as indented JSON.
func (r *Run) Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Read reads what Write has written.
func Read(in io.Reader) (*Run, error) {
	var r Run
	dec := json.NewDecoder(in)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return &r, nil
}
