package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// judge is a process that runs judge.js, which see for the protocol, or judge.py.
type judge struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr bytes.Buffer
	done   chan struct{} // the process's stdout has ended

	mu    sync.Mutex
	last  int
	calls map[int]chan answer
	peers map[string]*peer
}

type answer struct {
	Result json.RawMessage
	Err    *sdkError
}

// sdkError is an error that the SDK gave: its class, and its text with that of the transport below.
type sdkError struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

func (e *sdkError) Error() string { return e.Name + ": " + e.Message }

// line is what judge.js writes.
type line struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *sdkError       `json:"error"`

	Client string          `json:"client"`
	Event  string          `json:"event"`
	Value  json.RawMessage `json:"value"`
}

// startJudge starts Node, which trusts the hub's authority from its start on.
// It is stopped with the test, and by its pid.
func startJudge(t *testing.T, caFile string) *judge {
	t.Helper()
	return startProcess(t, exec.Command("node", "judge.js"), "NODE_EXTRA_CA_CERTS="+caFile)
}

// startPython starts Debian's own Python, which has Debian's packages.
func startPython(t *testing.T, caFile string) *judge {
	t.Helper()
	return startProcess(t, exec.Command("/usr/bin/python3", "judge.py"), "HUBWIRE_CA_FILE="+caFile)
}

func startProcess(t *testing.T, cmd *exec.Cmd, env ...string) *judge {
	t.Helper()
	j, err := launch(cmd, env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.end(); err != nil {
			t.Error(err)
		} else if t.Failed() && j.stderr.Len() > 0 {
			t.Logf("stderr of %s:\n%s", cmd.Args, &j.stderr)
		}
	})
	return j
}

// launch starts a judge, which its owner has to end.
func launch(cmd *exec.Cmd, env ...string) (*judge, error) {
	j := &judge{cmd: cmd, done: make(chan struct{}), calls: map[int]chan answer{}, peers: map[string]*peer{}}
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = &j.stderr
	var err error
	if j.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (bash interop/run installs what it needs)", err)
	}
	go j.listen(out)
	return j, nil
}

// end has the process end with its input.
func (j *judge) end() error {
	j.in.Close()
	kill := time.AfterFunc(patience, func() { j.cmd.Process.Kill() })
	defer kill.Stop()
	<-j.done
	if err := j.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", j.cmd.Args, err, &j.stderr)
	}
	return nil
}

func (j *judge) listen(out io.Reader) {
	defer close(j.done)
	r := bufio.NewReader(out)
	for {
		text, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			continue // somebody's console.log
		}
		j.mu.Lock()
		if l.Event != "" {
			j.peers[l.Client].queue(l.Event) <- l.Value
		} else if c := j.calls[l.ID]; c != nil {
			delete(j.calls, l.ID)
			c <- answer{l.Result, l.Error}
		}
		j.mu.Unlock()
	}
}

// call runs a command and returns its result. The error is an [*sdkError]
// when it is the SDK's.
func (j *judge) call(ctx context.Context, client, do string, args any) (json.RawMessage, error) {
	c := make(chan answer, 1)
	j.mu.Lock()
	j.last++
	id := j.last
	j.calls[id] = c
	j.mu.Unlock()
	b, err := json.Marshal(map[string]any{"id": id, "client": client, "do": do, "args": args})
	if err != nil {
		return nil, err
	}
	if _, err := j.in.Write(append(b, '\n')); err != nil { // in one call, which a pipe's file keeps whole
		return nil, fmt.Errorf("the judge: %w", err)
	}
	select {
	case a := <-c:
		if a.Err != nil {
			return nil, a.Err
		}
		return a.Result, nil
	case <-j.done:
		return nil, fmt.Errorf("the judge ended during %s", do)
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: no answer: %w", do, ctx.Err())
	}
}

// peer is a client that lives in the judge. Its methods fail the test.
type peer struct {
	judge  *judge
	name   string
	mu     sync.Mutex
	events map[string]chan json.RawMessage
}

func (p *peer) queue(event string) chan json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.events[event] == nil {
		p.events[event] = make(chan json.RawMessage, 1024)
	}
	return p.events[event]
}

// setup says what client to make.
type setup struct {
	ConnectionString string `json:"connectionString,omitempty"`
	Token            string `json:"token,omitempty"`     // an office's, instead
	Transport        string `json:"transport,omitempty"` // mqtt, mqtt-ws, https, amqp or amqp-ws
	Module           bool   `json:"module,omitempty"`
	Retry            bool   `json:"retry,omitempty"` // the SDK's own policy, else none
}

// client makes a device or module client, which is closed with the test.
func (j *judge) client(t *testing.T, s setup) *peer {
	t.Helper()
	return j.closing(t, j.add(t, "new peer", s))
}

// closing has a client closed with the test.
func (j *judge) closing(t *testing.T, p *peer) *peer {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := j.call(ctx, p.name, "close", nil); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

// office makes a registry client.
func (j *judge) office(t *testing.T, connectionString string) *peer {
	t.Helper()
	return j.add(t, "new office", setup{ConnectionString: connectionString})
}

// newcomer says what device asks the provisioning service for its hub.
type newcomer struct {
	Host           string          `json:"host"`
	IDScope        string          `json:"idScope"`
	Transport      string          `json:"transport"` // mqtt or mqtt-ws
	RegistrationID string          `json:"registrationId"`
	Key            string          `json:"key,omitempty"`
	X509           *x509Auth       `json:"x509,omitempty"`
	Payload        json.RawMessage `json:"payload,omitempty"`
}

// x509Auth is a certificate and its key, in PEM.
type x509Auth struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

func (j *judge) add(t *testing.T, do string, setup any) *peer {
	t.Helper()
	j.mu.Lock()
	p := &peer{judge: j, name: fmt.Sprintf("client-%d", len(j.peers)+1), events: map[string]chan json.RawMessage{}}
	j.peers[p.name] = p
	j.mu.Unlock()
	if _, err := j.call(within(t), p.name, do, setup); err != nil {
		t.Fatalf("%s: %v", do, err)
	}
	return p
}

// do runs a command that has to succeed.
func (p *peer) do(t *testing.T, action string, args any) json.RawMessage {
	t.Helper()
	r, err := p.judge.call(within(t), p.name, action, args)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return r
}

// gives runs a command whose result has to be this JSON.
func (p *peer) gives(t *testing.T, want, action string, args any) {
	t.Helper()
	sameJSON(t, action, want, p.do(t, action, args))
}

// fails runs a command that has to fail with an error of this class, whose text has this in it.
func (p *peer) fails(t *testing.T, class, text, action string, args any) {
	t.Helper()
	r, err := p.judge.call(within(t), p.name, action, args)
	if err == nil {
		t.Fatalf("%s succeeded: %s", action, r)
	}
	e, ok := err.(*sdkError)
	if !ok {
		t.Fatal(err)
	}
	if e.Name != class || !strings.Contains(e.Message, text) {
		t.Errorf("%s: %v, want %s: …%s…", action, e, class, text)
	}
}

// next waits for an event of a kind and returns its value.
func (p *peer) next(t *testing.T, event string) json.RawMessage {
	t.Helper()
	select {
	case v := <-p.queue(event):
		return v
	case e := <-p.queue("error"):
		t.Fatalf("waiting for %q, there was an error event: %s", event, e)
	case <-p.judge.done:
		t.Fatalf("waiting for %q, the judge ended", event)
	case <-within(t).Done():
		t.Fatalf("no event %q", event)
	}
	return nil
}

// nextInto is next with the value decoded.
func nextInto[T any](t *testing.T, p *peer, event string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(p.next(t, event), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// silent checks that no event of a kind is there.
func (p *peer) silent(t *testing.T, event string) {
	t.Helper()
	select {
	case v := <-p.queue(event):
		t.Errorf("an event %q: %s", event, v)
	default:
	}
}

// sdkMessage is a message as the SDK has it, both ways.
type sdkMessage struct {
	Body            []byte        `json:"body"`
	MessageID       string        `json:"messageId,omitempty"`
	CorrelationID   string        `json:"correlationId,omitempty"`
	UserID          string        `json:"userId,omitempty"`
	To              string        `json:"to,omitempty"`
	ContentType     string        `json:"contentType,omitempty"`
	ContentEncoding string        `json:"contentEncoding,omitempty"`
	Expiry          string        `json:"expiryTimeUtc,omitempty"`
	Ack             string        `json:"ack,omitempty"`
	Security        bool          `json:"security,omitempty"`
	DeliveryCount   int           `json:"deliveryCount,omitempty"` // of what was received over AMQP
	Properties      []sdkProperty `json:"properties"`
}

type sdkProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
