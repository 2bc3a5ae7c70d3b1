package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// race is a contest of runners, which take turns: in each, one does its work
// while the others wait. Turns are short, so that a phase of the machine's clock
// meets all, and each is a sample of its own.
type race struct {
	of      []*row
	runners []*runner
	laps    int           // how often in a round it is each one's turn
	turn    time.Duration // about how long that is

	// whole: a round is one sample, of all laps together. So the garbage of a
	// large heap counts, which is not collected in each of them.
	whole bool

	mirrored map[*work]*work // see otherEnd

	processes []*process // in the order of their start
	err       error      // of the first that did not start
}

// begin starts a process for some of r's runners, on one processor with others
// of that kind or on all. After an error it does nothing, and returns nil.
func (r *race) begin(role string, s setup, onOne bool) *process {
	if r.err != nil {
		return nil
	}
	p, err := launch(role, s, onOne)
	if err != nil {
		r.err = err
		return nil
	}
	r.processes = append(r.processes, p)
	return p
}

// server starts a server.
func (r *race) server(role string) *process { return r.begin(role, setup{}, false) }

// client starts a client of server, and lets the two take part. name is for the table.
func (r *race) client(name, role string, server *process, s setup) *work {
	if r.err != nil {
		return new(work)
	}
	s.Door = server.door
	return r.enter(name, r.begin(role, s, server.onOne), server)
}

// enter lets two processes take part.
func (r *race) enter(name string, client, server *process) *work {
	w := &runner{work: work{name: name}, client: client, server: server}
	r.runners = append(r.runners, w)
	return &w.work
}

// otherEnd is a work for rows about the servers' CPU: what the client of another work used in the same turns.
func (r *race) otherEnd(name string, of *work) *work {
	w := &work{name: name}
	if r.mirrored == nil {
		r.mirrored = make(map[*work]*work)
	}
	r.mirrored[w] = of
	return w
}

// runner is a work that processes of their own do: a server, and a client that
// is told how often to do it.
type runner struct {
	work
	client *process
	server *process
}

// stretch is what one turn used.
type stretch struct {
	n              int
	client, server usage
}

// each returns x for one message, in microseconds.
func (s stretch) each(x time.Duration) float64 { return float64(x) / 1e3 / float64(s.n) }

// mirror has client and server change places.
func (s stretch) mirror() stretch { return stretch{n: s.n, client: s.server, server: s.client} }

func (s stretch) plus(t stretch) stretch {
	return stretch{n: s.n + t.n, client: s.client.plus(t.client), server: s.server.plus(t.server)}
}

// figure is what a row compares, of each stretch.
type figure struct {
	unit string
	of   func(stretch) float64
}

var (
	clientCPU = figure{"µs of client CPU", func(s stretch) float64 { return s.each(s.client.CPU) }}
	serverCPU = figure{"µs of server CPU", func(s stretch) float64 { return s.each(s.server.CPU) }}
	wallTime  = figure{"µs", func(s stretch) float64 { return s.each(s.client.Wall) }}
	rate      = figure{"messages/s", func(s stretch) float64 { return float64(s.n) / s.client.Wall.Seconds() }}
)

func (r *race) rows() []*row { return r.of }

// ready lets each runner warm up, and finds out how much it does in a turn.
func (r *race) ready(int) error {
	for _, w := range r.runners {
		if err := w.calibrate(r.turn); err != nil {
			return err
		}
	}
	return nil
}

func (w *runner) calibrate(turn time.Duration) error {
	w.allocs = math.Inf(1)
	for w.n = 100; ; {
		took := turn
		for range 2 { // on a busy machine a turn can be long without much in it
			s, err := w.stretch()
			if err != nil {
				return err
			}
			if took = min(took, s.client.Wall); took < turn*3/4 {
				break
			}
		}
		if took >= turn*3/4 {
			return nil
		}
		w.n = int(math.Ceil(float64(w.n) * min(10, float64(turn)/float64(max(took, 1)))))
	}
}

// allocs is what the client allocates for one message. Of several turns the least
// counts: pools that are filled anew are not what a message costs.
func (s stretch) allocs() float64 { return hundredths(float64(s.client.Allocs) / float64(s.n)) }

// hundredths leaves out what is less: that is the runtime's, which has a handful
// of its own in each turn.
func hundredths(x float64) float64 { return math.Floor(x*100) / 100 }

// stretch is one turn. What has not been acknowledged, or not been taken in, is
// a wrong result.
func (w *runner) stretch() (s stretch, err error) {
	s.n = w.n
	before, err := w.server.tell()
	if err != nil {
		return s, err
	}
	if s.client, err = w.client.run(w.n); err != nil {
		return s, err
	}
	if got := s.client.Count; got != int64(w.n) {
		return s, fmt.Errorf("%s: %d of %d messages were acknowledged", w.client.name, got, w.n)
	}
	if w.server.door.Pid != 0 {
		return s, nil // a stranger, which keeps no accounts for us
	}
	want := int64(w.n)
	if w.server.door.Uncounted {
		want = 0
	}
	if s.server, err = w.server.counted(before, want); err != nil {
		return s, err
	}
	if got := s.server.Count; got != want {
		return s, fmt.Errorf("%s: %d of the %d messages of %s came in", w.server.name, got, w.n, w.client.name)
	}
	return s, nil
}

// round runs the laps: there and back, so that it is not always the same one
// that comes first.
func (r *race) round() ([][]sample, error) {
	all := make([][]sample, len(r.of))
	total := make(map[*work]stretch)
	for lap := range r.laps {
		done := make(map[*work]stretch)
		for i := range r.runners {
			if lap%2 == 1 {
				i = len(r.runners) - 1 - i
			}
			w := r.runners[i]
			s, err := w.stretch()
			if err != nil {
				return nil, err
			}
			w.allocs = min(w.allocs, s.allocs())
			done[&w.work] = s
			total[&w.work] = s.plus(total[&w.work])
		}
		r.mirror(done)
		for i, row := range r.of {
			all[i] = append(all[i], row.compare(done))
		}
	}
	if r.whole {
		r.mirror(total)
		for i, row := range r.of {
			all[i] = []sample{row.compare(total)}
		}
	}
	return all, nil
}

// mirror adds what the other ends used.
func (r *race) mirror(done map[*work]stretch) {
	for w, of := range r.mirrored {
		done[w] = done[of].mirror()
	}
}

// compare makes a sample of what r's works used in their turns.
func (r *row) compare(done map[*work]stretch) (s sample) {
	of := func(w *work) float64 {
		if w == nil {
			return 0
		}
		return r.figure.of(done[w])
	}
	s = sample{floor: of(r.floor), peer: of(r.peer), ours: of(r.ours), control: of(r.control)}
	if !r.steady {
		s.rate = rate.of(done[r.ours])
	}
	return s
}

func (r *race) close() {
	for _, p := range slices.Backward(r.processes) {
		p.close()
	}
}
