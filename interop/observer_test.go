package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// brokerLog is what a broker says, line by line.
type brokerLog struct {
	mu       sync.Mutex
	rest     string // of a line that is not complete
	last     []string
	bad      string
	running  bool
	byClient map[string][]string // the lines that name it, with "it" for the name
}

func newBrokerLog() *brokerLog { return &brokerLog{byClient: map[string][]string{}} }

var clientID = regexp.MustCompile(`(ours|observer)-\d+`)

// Write takes what the broker writes.
func (l *brokerLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.rest + string(p)) {
		if l.rest = line; !strings.HasSuffix(line, "\n") {
			break
		}
		l.rest = ""
		l.take(strings.TrimSuffix(line, "\n"))
	}
	return len(p), nil
}

func (l *brokerLog) take(line string) {
	if _, text, ok := strings.Cut(line, ": "); ok { // the time
		line = text
	}
	if id := clientID.FindString(line); id != "" {
		l.byClient[id] = append(l.byClient[id], strings.Replace(line, id, "it", 1))
	}
	if len(l.last) == 50 {
		l.last = slices.Delete(l.last, 0, 1)
	}
	l.last = append(l.last, line)
	switch {
	case strings.HasSuffix(line, " running"):
		l.running = true
	case !l.running && (strings.Contains(line, "Error") || strings.Contains(line, "not found")):
		l.bad = line
	}
}

// state returns why the broker does not come up, if it said so, and whether it has.
func (l *brokerLog) state() (bad string, running bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bad, l.running
}

// of returns what follows prefix on the lines that name a client.
func (l *brokerLog) of(id, prefix string) (rest []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.byClient[id] {
		if text, ok := strings.CutPrefix(line, prefix); ok {
			rest = append(rest, text)
		}
	}
	return rest
}

// String returns the last lines.
func (l *brokerLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}

// said returns how often the broker has said this of a client.
func (b *broker) said(id, text string) int { return len(b.log.of(id, text)) }

// says waits until the broker has said this of a client, so often.
func (b *broker) says(t *testing.T, id string, n int, text string) {
	t.Helper()
	poll(t, fmt.Sprintf("the broker has not said %q of %s %d times", text, id, n), func() bool { return b.said(id, text) >= n })
}

// command is one of mosquitto's clients, over TLS.
func (b *broker) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(b.door("tls"))
	cmd := exec.CommandContext(ctx, program, append([]string{
		"-h", host, "-p", port, "--cafile", b.caFile, "-V", "mqttv311", "-u", brokerUser, "-P", brokerPassword,
	}, args...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// pub has mosquitto_pub send something; in is what it reads, if it is told to.
func (b *broker) pub(t *testing.T, in io.Reader, args ...string) {
	t.Helper()
	cmd := b.command(within(t), "mosquitto_pub", args...)
	var output bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &output, &output
	if err := cmd.Run(); err != nil {
		t.Fatalf("mosquitto_pub: %v\n%s", err, &output)
	}
}

// observer is a mosquitto_sub that writes down what the broker gives it.
type observer struct {
	lines chan string
}

// observe subscribes an observer, which stays until the test ends.
func (b *broker) observe(t *testing.T, filter string) *observer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	id := fmt.Sprintf("observer-%d", serial.Add(1))
	cmd := b.command(ctx, "mosquitto_sub", append(printAll, "-i", id, "-q", "1", "-t", filter)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &observer{make(chan string)}
	ended := make(chan struct{})
	go o.listen(ctx, out, ended)
	t.Cleanup(func() {
		cancel()
		<-ended
		cmd.Wait()
	})
	b.says(t, id, 1, "Sending SUBACK to it")
	return o
}

func (o *observer) listen(ctx context.Context, out io.Reader, ended chan<- struct{}) {
	defer close(ended)
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		select {
		case o.lines <- line:
		case <-ctx.Done():
			return
		}
	}
}

// next returns the next message that the observer got.
func (o *observer) next(t *testing.T) received {
	t.Helper()
	select {
	case line := <-o.lines:
		return parseReceived(t, line)[0]
	case <-within(t).Done():
		t.Fatal("the observer waits for a message in vain")
		return received{}
	}
}
