package main

import (
	"errors"
	"fmt"
	"math"
	"os"
)

// uploads is a race of uploads, each of a whole file, whose messages are MiB. Each
// client has a hub of its own, so that the memory of both ends is that of one kind of upload.
type uploads struct {
	race
	mib  int      // of the file
	dirs []string // of the hubs
	idle map[*process]usage
}

func uploading(mib int) *uploads {
	u := &uploads{race: race{laps: 2}, mib: mib, idle: make(map[*process]usage)}
	peer := u.client("azblob", "azblob", u.hub(), setup{TLS: true})
	ours := u.client("", "upload", u.hub(), setup{TLS: true})
	u.of = []*row{
		{
			name: "upload.Stream of 256 MiB to the hub, for each MiB", figure: wallTime,
			peer: peer, ours: ours, allocs: uncounted,
			gates: []bound{atLeast(0.8)},
		},
		{
			name: "the same, CPU", figure: clientCPU,
			peer: peer, ours: ours, allocs: uncounted,
		},
		{
			name: "the same, CPU of the hub", figure: serverCPU,
			peer: peer, ours: ours, allocs: uncounted,
		},
		{
			name: "the same, memory of the client at its peak", figure: u.aboveIdle(ours, func(r *runner, s stretch) (*process, usage) { return r.client, s.client }),
			ours: ours, allocs: uncounted, steady: true,
			gates: []bound{oursAtMost(64)},
		},
		{
			name: "the same, memory of the hub at its peak", figure: u.aboveIdle(ours, func(r *runner, s stretch) (*process, usage) { return r.server, s.server }),
			ours: ours, allocs: uncounted, steady: true,
			gates: []bound{oursAtMost(64)},
		},
	}
	return u
}

// hub starts a hub that keeps its blobs where close finds them: a process that ends with
// its orders takes nothing along.
func (u *uploads) hub() *process {
	if u.err != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "hubwire-gates-")
	if err != nil {
		u.err = err
		return nil
	}
	u.dirs = append(u.dirs, dir)
	return u.begin("HTTPS hub, files", setup{Dir: dir}, false)
}

// aboveIdle is the most memory that one end of w had, beyond what it had before its first upload.
func (u *uploads) aboveIdle(w *work, end func(*runner, stretch) (*process, usage)) figure {
	return figure{"MiB above idle", func(s stretch) float64 {
		for _, r := range u.runners {
			if &r.work == w {
				p, use := end(r, s)
				return float64(use.Peak-u.idle[p].RSS) / (1 << 20)
			}
		}
		return math.Inf(1)
	}}
}

// ready uploads one file each way, when it is known what the processes have while they are idle.
func (u *uploads) ready(int) error {
	for _, p := range u.processes {
		var err error
		if u.idle[p], err = p.rest(); err != nil {
			return err
		}
	}
	for _, w := range u.runners {
		w.n = u.mib
		if _, err := w.stretch(); err != nil {
			return fmt.Errorf("a first upload: %w", err)
		}
	}
	return nil
}

func (u *uploads) close() {
	u.race.close()
	var err error
	for _, dir := range u.dirs {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gates:", err)
	}
}
