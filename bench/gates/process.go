package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// process is one that plays a role, seen from here; see role.go.
type process struct {
	name    string // of the role
	onOne   bool
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
	door    door // of a server, once started
}

// patience is how long a process may take to answer. It is killed then.
const patience = 5 * time.Minute

// launch starts a process that plays a role of roles. With onOne it runs on one
// processor, the same for all that do.
func launch(role string, s setup, onOne bool) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := cmd.Start
	if onOne {
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1") // whatever that is here
		begin = func() error { return pinned(cmd.Start) }
	}
	if err := begin(); err != nil {
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	p := &process{name: role, onOne: onOne, cmd: cmd, orders: orders, answers: json.NewDecoder(answers)}
	children.add(cmd.Process.Pid)
	a, err := p.ask(order{Do: doStart, Setup: &s})
	if err != nil {
		p.close()
		return nil, err
	}
	p.door = *a.Door
	if p.door.Pid != 0 {
		children.add(p.door.Pid)
	}
	return p, nil
}

// ask gives an order and waits for its answer.
func (p *process) ask(o order) (a answer, err error) {
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	// A process that is gone takes no order, but may have left an answer.
	if err := json.NewEncoder(p.orders).Encode(o); err != nil && !errors.Is(err, syscall.EPIPE) {
		return a, fmt.Errorf("%s: %s: %w", p.name, o.Do, err)
	}
	if err := p.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("%s: %s: no answer: %w", p.name, o.Do, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s: %s", p.name, o.Do, a.Error)
	}
	return a, nil
}

// run has p do n of what it does, and returns what that used.
func (p *process) run(n int) (usage, error) {
	a, err := p.ask(order{Do: doRun, N: n})
	if err != nil {
		return usage{}, err
	}
	return *a.Usage, nil
}

// tell returns what p has used so far.
func (p *process) tell() (usage, error) { return p.usage(doTell) }

// rest is tell, when p has collected all its garbage.
func (p *process) rest() (usage, error) { return p.usage(doRest) }

func (p *process) usage(do verb) (usage, error) {
	a, err := p.ask(order{Do: do})
	if err != nil {
		return usage{}, err
	}
	return *a.Usage, nil
}

// counted returns what p has used since before, as soon as it has counted n
// messages since then, or after a minute.
func (p *process) counted(before usage, n int64) (usage, error) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		now, err := p.tell()
		if err != nil {
			return usage{}, err
		}
		if u := now.since(before); u.Count >= n || time.Now().After(end) {
			return u, nil
		}
	}
}

// close ends p, and waits until it is gone.
func (p *process) close() {
	if p.door.Pid != 0 {
		children.retire(p.door.Pid)
	}
	p.orders.Close()
	late := time.AfterFunc(5*time.Second, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	p.cmd.Wait()
	children.remove(p.cmd.Process.Pid)
}

// children are the processes of this program that live: what they do is not noise.
var children pids

type pids struct {
	mu      sync.Mutex
	all     map[int]bool
	retired int64 // ticks of those that nobody waited for
}

func (p *pids) add(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = make(map[int]bool)
	}
	p.all[pid] = true
}

func (p *pids) remove(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, pid)
}

// retire removes a process that is a child's child, so that its time would be lost with it.
func (p *pids) retire(pid int) {
	n, _ := ticksOf(pid) // of one that is gone already nothing can be known
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired += n
	delete(p.all, pid)
}

// ticks is what they have used, and those that have retired.
func (p *pids) ticks() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := p.retired
	for pid := range p.all {
		n, err := ticksOf(pid)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func (p *pids) list() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.all))
}
