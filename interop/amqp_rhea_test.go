package interop

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// mechanics is a hub and the judge of how it speaks AMQP.
type mechanics struct {
	*site
	judge     *judge
	transport string
	feedback  *sync.Mutex // the hub's, which one transport has at a time
}

// TestRhea lets rhea, which knows nothing of IoT Hub, do by hand what the SDKs do,
// and some of what they do not.
func TestRhea(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	j := startJudge(t, s.caFile)
	feedback := new(sync.Mutex)
	for _, transport := range amqpTransports {
		m := &mechanics{s, j, transport, feedback}
		t.Run(transport, func(t *testing.T) {
			t.Parallel() // they wait for heartbeats
			t.Run("ways to begin, and tokens", m.begins)
			t.Run("tokens that are refused", m.tokens)
			t.Run("a name and password", m.plain)
			t.Run("links that are refused", m.refusedLinks)
			t.Run("telemetry", m.telemetry)
			t.Run("batches", m.batches)
			t.Run("messages to the device", m.c2d)
			t.Run("messages that both ends settle", m.second)
			t.Run("credit", m.credit)
			t.Run("frames of 512 bytes", m.smallFrames)
			t.Run("heartbeats", m.heartbeats)
			t.Run("a second connection takes over", m.takeOver)
		})
	}
}

// shortly is when a token ends whose end is waited for: not before it is put, on a machine that is busy.
func shortly() time.Time { return time.Now().Add(10 * time.Second) }

// TestRheaExpiry has tokens end while links are open, at a hub that gives them no grace.
func TestRheaExpiry(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{Skew: -1})
	m := &mechanics{s, startJudge(t, s.caFile), "amqp", new(sync.Mutex)}
	t.Run("a token that is not renewed", func(t *testing.T) {
		t.Parallel()
		id, cs := m.device(t)
		p := m.connect(t, bareSetup{})
		m.claims(t, p)
		m.claim(t, p, "1", token(t, cs, sas.Audience(m.HostName(), id), "", shortly()))
		inbox(t, p, id, 0, 100)
		if d := nextInto[detached](t, p, "detached"); d.Link != "in" || d.Name != "amqp:unauthorized-access" {
			t.Errorf("the link is told %+v", d)
		}
		if e := nextInto[sdkError](t, p, "ended"); e.Name != "amqp:unauthorized-access" {
			t.Errorf("the connection is told %v", &e)
		}
		m.connected(t, id, false)
	})
	t.Run("one of two on a connection", func(t *testing.T) {
		t.Parallel()
		short, shortCS := m.device(t)
		long, p := m.enter(t, bareSetup{})
		m.claim(t, p, "1", token(t, shortCS, sas.Audience(m.HostName(), short), "", shortly()))
		inbox(t, p, short, 0, 100)
		events := m.events(t, long)
		p.do(t, "attach", attach{Link: "out", Role: "sender", Address: path(long) + "/messages/events"})
		if d := nextInto[detached](t, p, "detached"); d.Link != "in" || d.Name != "amqp:unauthorized-access" {
			t.Errorf("the link is told %+v", d)
		}
		p.gives(t, accepted, "send", parcel{Link: "out", Messages: []section{{Data: [][]byte{[]byte("x")}}}})
		arrives(t, events, hubwire.Message{Body: []byte("x")})
		p.silent(t, "ended")
	})
	t.Run("a service's", func(t *testing.T) {
		t.Parallel()
		cs, err := m.PolicyConnectionString("service")
		if err != nil {
			t.Fatal(err)
		}
		p := m.connect(t, bareSetup{})
		m.claims(t, p)
		m.claim(t, p, "1", token(t, cs, m.HostName(), "service", shortly()))
		p.do(t, "attach", attach{Link: "out", Role: "sender", Address: "/messages/devicebound"})
		if d := nextInto[detached](t, p, "detached"); d.Link != "out" || d.Name != "amqp:unauthorized-access" {
			t.Errorf("the link is told %+v", d)
		}
	})
}

// connect makes a connection that is not authenticated, and opens it.
func (m *mechanics) connect(t *testing.T, s bareSetup) *peer {
	t.Helper()
	s.Transport = m.transport
	p := m.judge.bare(t, s)
	p.do(t, "open", nil)
	return p
}

// parcel is what to send on a link.
type parcel struct {
	Link     string    `json:"link"`
	Messages []section `json:"messages"`
	Batch    bool      `json:"batch,omitempty"`
}

// outcome is what became of a message.
type outcome struct {
	Outcome   string `json:"outcome"`
	Condition string `json:"condition"`
}

const accepted = `[{"outcome":"accepted"}]`

// claims attaches the two links that tokens need.
func (m *mechanics) claims(t *testing.T, p *peer) {
	t.Helper()
	p.do(t, "attach", attach{Link: "claims", Role: "sender", Address: "$cbs"})
	p.do(t, "attach", attach{Link: "claimed", Role: "receiver", Address: "$cbs"})
}

// claim puts a token, and returns the answer.
func (m *mechanics) claim(t *testing.T, p *peer, id any, token string) section {
	t.Helper()
	p.gives(t, accepted, "send", parcel{Link: "claims", Messages: []section{{
		ID: id, To: "$cbs", ReplyTo: "cbs", Value: token,
		Application: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "any"},
	}}})
	var s section
	if err := json.Unmarshal(nextInto[handout](t, p, "on claimed").Message, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// enter makes a connection for a new device, with its token.
func (m *mechanics) enter(t *testing.T, s bareSetup) (hubwire.Identity, *peer) {
	t.Helper()
	id, cs := m.device(t)
	return id, m.enterAs(t, s, id, cs)
}

func (m *mechanics) enterAs(t *testing.T, s bareSetup, id hubwire.Identity, cs string) *peer {
	t.Helper()
	p := m.connect(t, s)
	m.claims(t, p)
	a := m.claim(t, p, "1", token(t, cs, sas.Audience(m.HostName(), id), "", time.Now().Add(time.Hour)))
	if a.Application["status-code"] != 200.0 {
		t.Fatalf("the token: %v", a.Application)
	}
	return p
}

// bareSetup says how rhea is to connect.
type bareSetup struct {
	Transport string `json:"transport,omitempty"` // amqp or amqp-ws
	SASL      string `json:"sasl,omitempty"`      // ANONYMOUS, PLAIN with a name and password, or none
	Username  string `json:"username,omitempty"`
	Password  string `json:"password,omitempty"`
	FrameSize int    `json:"frameSize,omitempty"`
	Idle      int    `json:"idle,omitempty"` // milliseconds
}

// bare makes a connection of rhea's, which is closed with the test.
func (j *judge) bare(t *testing.T, s bareSetup) *peer {
	t.Helper()
	return j.closing(t, j.add(t, "new bare", s))
}

// attach is a link that rhea is to open.
type attach struct {
	Link       string         `json:"link"`
	Role       string         `json:"role"` // sender or receiver
	Address    string         `json:"address"`
	Filter     string         `json:"filter,omitempty"`
	Properties map[string]any `json:"properties,omitempty"`
	SendMode   *int           `json:"snd_settle_mode,omitempty"`
	RecvMode   *int           `json:"rcv_settle_mode,omitempty"`
	Credit     *int           `json:"credit_window,omitempty"`
	AutoAccept *bool          `json:"autoaccept,omitempty"`
	AutoSettle *bool          `json:"autosettle,omitempty"`
}

// detached is what the hub says as it ends a link.
type detached struct {
	Link    string `json:"link"`
	Name    string `json:"name"`
	Message string `json:"message"`
	Info    struct {
		Hostname string `json:"hostname"`
		Address  string `json:"address"`
		Port     int    `json:"port"`
	} `json:"info"`
}

// section is a message as rhea has it, section by section. What JSON has no type
// for is {"amqp":…,"value":…}.
type section struct {
	ID            any            `json:"message_id,omitempty"`
	CorrelationID any            `json:"correlation_id,omitempty"`
	UserID        any            `json:"user_id,omitempty"`
	To            string         `json:"to,omitempty"`
	ReplyTo       string         `json:"reply_to,omitempty"`
	ContentType   string         `json:"content_type,omitempty"`
	Application   map[string]any `json:"application_properties,omitempty"`
	Annotations   map[string]any `json:"message_annotations,omitempty"`
	Data          [][]byte       `json:"data,omitempty"`
	Value         any            `json:"value,omitempty"`
}

// handout is a message that rhea got.
type handout struct {
	Link    string          `json:"link"`
	Tag     int             `json:"tag"` // its length
	Settled bool            `json:"settled"`
	Index   int             `json:"index"`
	Message json.RawMessage `json:"message"`
}
