package main

// anew is a race whose processes are others in each round. What one gets by
// chance, of memory and of places in caches, stays with it while it lives: a
// per cent or two, which a row that is held to as little must not owe to one start.
type anew struct {
	open func() *race
	next *race // for the next round, once it is open
	of   []*row
}

// eachRound has a race opened for each round, and at once for the first.
func eachRound(open func() *race) func() (contest, error) {
	return func() (contest, error) {
		r := open()
		return &anew{open: open, next: r, of: r.of}, r.err
	}
}

// once has a race opened for all rounds.
func once(open func() *race) func() (contest, error) {
	return func() (contest, error) {
		r := open()
		return r, r.err
	}
}

func (a *anew) rows() []*row { return a.of }

// ready leaves it to the round: what fills a turn is found out of each process.
func (a *anew) ready(int) error { return nil }

func (a *anew) round() ([][]sample, error) {
	if a.next == nil {
		a.next = a.open()
	}
	defer a.close()
	if err := a.next.err; err != nil {
		return nil, err
	}
	if err := a.next.ready(1); err != nil {
		return nil, err
	}
	return a.next.round()
}

func (a *anew) close() {
	if a.next != nil {
		a.next.close()
		a.next = nil
	}
}
