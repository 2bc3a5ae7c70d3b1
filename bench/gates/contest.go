package main

// contest is rows that are measured together, because their works take turns.
type contest interface {
	rows() []*row

	// ready makes the works ready to be measured: it has them give the same
	// results, and finds out what they allocate and how much of them fills a turn. So many rounds
	// are to be judged by.
	ready(rounds int) error

	// round measures each row, once or in several turns. An error is a wrong
	// result, or a process that is gone: there is nothing to judge then.
	round() ([][]sample, error)

	close()
}

// alone is a row whose works run in this process, in laps; see measure.go.
type alone struct{ *row }

// eachAlone makes contests of the rows that a group's own function makes.
func eachAlone(rows func() ([]*row, error)) func() ([]contest, error) {
	return func() ([]contest, error) {
		all, err := rows()
		var contests []contest
		for _, r := range all {
			contests = append(contests, alone{r})
		}
		return contests, err
	}
}

func (a alone) rows() []*row { return []*row{a.row} }

func (a alone) ready(int) error {
	a.calibrate()
	return nil
}

func (a alone) round() ([][]sample, error) { return [][]sample{{a.sample()}}, nil }

func (alone) close() {}

// openAll opens contests one after the other. Those that are open when one fails are the caller's to close.
func openAll(opens ...func() (contest, error)) (all []contest, err error) {
	for _, open := range opens {
		c, err := open()
		all = append(all, c)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}
