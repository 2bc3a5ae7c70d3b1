package main

import (
	"errors"
	"fmt"
	"os"
)

// uploading is a contest of one file's uploads to the hub's blob endpoint: module upload and azblob
// alone, in turns, in a process each. What memory they and the hub take is the most that they had
// meanwhile, more than when they were idle, before the first upload.
type uploading struct {
	of   []*row
	laps int   // how often in a round it is each one's turn
	size int64 // of the file

	file              string
	changes           int64 // of it
	hub, ours, azblob *process
	idle              map[*process]usage

	upload, peer *work
}

var (
	throughput   = figure{"MiB/s", func(s stretch) float64 { return float64(s.n) / s.client.Wall.Seconds() }}
	perMiB       = figure{"µs of client CPU for 1 MiB", func(s stretch) float64 { return s.each(s.client.CPU) }}
	hubPerMiB    = figure{"µs of server CPU for 1 MiB", func(s stretch) float64 { return s.each(s.server.CPU) }}
	clientMemory = figure{"MiB, the most above idle", func(s stretch) float64 { return float64(s.client.Peak) / (1 << 20) }}
	hubMemory    = figure{"MiB of the hub, the most above idle", func(s stretch) float64 { return float64(s.server.Peak) / (1 << 20) }}
)

// uploads makes the contest, of whole MiB. It starts nothing before it is ready.
func uploads(size int64) *uploading {
	u := &uploading{laps: 2, size: size, upload: new(work), peer: &work{name: "azblob"}}
	row := func(f figure, steady bool, gates ...bound) {
		u.of = append(u.of, &row{
			name: "upload of 256 MiB to the hub", figure: f, floor: u.peer, ours: u.upload,
			allocs: uncounted, steady: steady, gates: gates,
		})
	}
	row(throughput, false, bound{on: overFloor, least: true, x: 0.8})
	row(perMiB, false)
	row(hubPerMiB, false)
	row(clientMemory, true, oursAtMost(64))
	row(hubMemory, true, oursAtMost(64))
	return u
}

func (u *uploading) rows() []*row { return u.of }

// ready starts the processes, and has each upload the file once, which must then be what the hub has.
func (u *uploading) ready() (err error) {
	if u.file, err = writeFile(u.size); err != nil {
		return err
	}
	if u.hub, err = launch("HTTPS hub", setup{}, false); err != nil {
		return err
	}
	s := setup{Door: u.hub.door, TLS: true, File: u.file}
	if u.ours, err = launch("upload", s, false); err != nil {
		return err
	}
	if u.azblob, err = launch("azblob", s, false); err != nil {
		return err
	}
	u.idle = make(map[*process]usage)
	for _, p := range []*process{u.hub, u.ours, u.azblob} {
		if u.idle[p], err = p.rest(); err != nil {
			return err
		}
	}
	for p, blob := range map[*process]string{u.ours: ourBlob, u.azblob: peerBlob} {
		if _, err := u.turn(p); err != nil {
			return err
		}
		s.Blob = blob
		if err := s.checkBlob(); err != nil {
			return err
		}
	}
	return nil
}

// checkBlob has a process hold a blob against the file.
func (s setup) checkBlob() error {
	p, err := launch("blob check", s, false)
	if err != nil {
		return err
	}
	defer p.close()
	_, err = p.run(1)
	return err
}

// writeFile makes a file of that size.
func writeFile(size int64) (name string, err error) {
	f, err := os.CreateTemp("", "gates-upload-")
	if err != nil {
		return "", err
	}
	for block := payload(1 << 20); err == nil && size > 0; size -= int64(len(block)) {
		_, err = f.Write(block)
	}
	return f.Name(), errors.Join(err, f.Close())
}

// change makes each MiB of the file another than all before: module upload does not send what
// is there already.
func (u *uploading) change() error {
	f, err := os.OpenFile(u.file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for at := int64(0); err == nil && at < u.size; at += 1 << 20 {
		u.changes++
		_, err = f.WriteAt(fmt.Appendf(nil, "%020d", u.changes), at)
	}
	return errors.Join(err, f.Close())
}

// turn has one process upload the file. What is counted are the MiB of it.
func (u *uploading) turn(p *process) (s stretch, err error) {
	if err := u.change(); err != nil {
		return s, err
	}
	if _, err := p.rest(); err != nil {
		return s, err
	}
	before, err := u.hub.rest()
	if err != nil {
		return s, err
	}
	s.n = int(u.size >> 20)
	if s.client, err = p.run(s.n); err != nil {
		return s, err
	}
	after, err := u.hub.tell()
	if err != nil {
		return s, err
	}
	if s.client.Count != int64(s.n) {
		return s, fmt.Errorf("%s: %d of %d MiB were taken", p.name, s.client.Count, s.n)
	}
	s.server = after.since(before)
	s.server.Peak -= u.idle[u.hub].RSS
	s.client.Peak -= u.idle[p].RSS
	return s, nil
}

// round is there and back.
func (u *uploading) round() ([][]sample, error) {
	all := make([][]sample, len(u.of))
	for lap := range u.laps {
		turns := []*process{u.azblob, u.ours}
		if lap%2 == 1 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		done := make(map[*work]stretch)
		for _, p := range turns {
			s, err := u.turn(p)
			if err != nil {
				return nil, err
			}
			if p == u.ours {
				done[u.upload] = s
			} else {
				done[u.peer] = s
			}
		}
		for i, r := range u.of {
			x := r.compare(done)
			x.rate = 0 // they are no messages
			all[i] = append(all[i], x)
		}
	}
	return all, nil
}

func (u *uploading) close() {
	for _, p := range []*process{u.azblob, u.ours, u.hub} {
		if p != nil {
			p.close()
		}
	}
	if u.file != "" {
		os.Remove(u.file)
	}
}
