package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProgramHTTPS lets azure-iot-device-http be a device of the program: it
// sends, polls for messages and settles them, and uploads files.
func TestProgramHTTPS(t *testing.T) {
	wanted(t)
	p := join(t)
	c := &client{p, p.office, "https"}
	t.Run("telemetry", c.posts)
	t.Run("cloud-to-device", c.polls)
	t.Run("a lock that is lost", c.lockLost)
	t.Run("what HTTPS has not", c.hasNot)
	t.Run("logins that are refused", c.refusedHTTPS)
	t.Run("X.509", c.x509HTTPS)
	t.Run("file upload", c.uploads)
}

// polling is how often the SDK asks for messages, in seconds, and whether it takes all that wait. It asks again before it has
// its answer, so that of two messages any may come first.
func polling(interval float64, drain bool) map[string]any {
	return map[string]any{"http": map[string]any{"receivePolicy": map[string]any{"interval": interval, "drain": drain}}}
}

// caller makes a device and a client of it over HTTPS.
func (c *client) caller(t *testing.T, what string) (address, *peer) {
	t.Helper()
	d := c.register(t, identity{DeviceID: c.id(what)})
	a := address{DeviceID: d.DeviceID}
	p := c.judge.client(t, setup{ConnectionString: deviceString(d), Transport: c.transport})
	p.do(t, "open", nil)
	return a, p
}

// posts is judged by the answers: nothing reads events over REST.
func (c *client) posts(t *testing.T) {
	id, p := c.caller(t, "https:posts!*'()") // the SDK's encoding of paths, in lower case
	for name, m := range map[string]sdkMessage{
		"no body": {}, "every byte": {Body: allBytes()}, "200 KiB": {Body: make([]byte, 200<<10)},
		"properties": {Body: []byte("x"), MessageID: "m", ContentType: "text/plain", Properties: props("a", "b", "c-d", "e f")},
	} {
		t.Run(name, func(t *testing.T) { p.gives(t, `"MessageEnqueued"`, "send", m) })
	}
	t.Run("a batch", func(t *testing.T) {
		p.gives(t, `"MessageEnqueued"`, "sendBatch", []sdkMessage{{Body: allBytes()}, {Body: []byte("x"), Properties: props("a", "b")}})
	})
	t.Run("makes no connection", func(t *testing.T) {
		if d := c.look(t, id); d.ConnectionState != "Disconnected" {
			t.Errorf("the registry says %q", d.ConnectionState)
		}
	})
	t.Run("over 256 KiB", func(t *testing.T) {
		p.fails(t, "MessageTooLargeError", "", "send", sdkMessage{Body: make([]byte, 256<<10+1)})
		p.fails(t, "MessageTooLargeError", "", "sendBatch", []sdkMessage{{Body: make([]byte, 200<<10)}, {Body: make([]byte, 100<<10)}})
	})
}

// polls settles each way: completed and rejected messages go, abandoned ones come back.
func (c *client) polls(t *testing.T) {
	id, p := c.caller(t, "https-polls")
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	to := "/devices/" + id.DeviceID + "/messages/devicebound"
	c.send(t, id, "first", "iothub-messageid", "m 1", "iothub-correlationid", "c/%", "iothub-expiry", expiry.Format(time.RFC3339), "iothub-ack", "full",
		"iothub-app-plain", "value", "iothub-app-a", "b=c&d")
	c.send(t, id, "second")
	p.do(t, "options", polling(0.1, true))
	p.do(t, "messages", nil)
	got, at := map[string]sdkMessage{}, map[string]int{}
	for i := range 2 {
		m := nextInto[sdkMessage](t, p, "message")
		got[string(m.Body)], at[string(m.Body)] = m, i
	}
	first := got["first"]
	// The SDK knows no other system properties over HTTPS, and keeps the prefix of the header.
	want := sdkMessage{Body: []byte("first"), MessageID: "m 1", CorrelationID: "c/%", To: to, Expiry: first.Expiry,
		Properties: props("iothub-app-a", "b=c&d", "iothub-app-plain", "value")}
	if diff := cmp.Diff(want, first, sameBytes, sameSetOfProps); diff != "" {
		t.Errorf("message (-want +got)\n%s", diff)
	}
	if got, err := time.Parse(time.RFC3339Nano, first.Expiry); err != nil || !got.Equal(expiry) {
		t.Errorf("expiry %q, want %v", first.Expiry, expiry)
	}
	if len(got) != 2 || got["second"].To != to {
		t.Errorf("messages %+v", got)
	}
	t.Run("abandon", func(t *testing.T) {
		p.gives(t, `"MessageAbandoned"`, "settle", settling("abandon", at["second"]))
		if again := nextInto[sdkMessage](t, p, "message"); string(again.Body) != "second" {
			t.Errorf("message %q", again.Body)
		}
	})
	t.Run("complete", func(t *testing.T) {
		p.gives(t, `"MessageCompleted"`, "settle", settling("complete", at["first"]))
		if n := c.look(t, id).Waiting; n != 1 {
			t.Errorf("%d messages wait", n)
		}
	})
	t.Run("reject", func(t *testing.T) {
		p.gives(t, `"MessageRejected"`, "settle", settling("reject", 2))
		if n := c.look(t, id).Waiting; n != 0 {
			t.Errorf("%d messages wait", n)
		}
	})
	t.Run("twice", func(t *testing.T) {
		for _, how := range []string{"complete", "reject", "abandon"} {
			p.fails(t, "Error", "Precondition Failed", "settle", settling(how, 2))
		}
	})
	p.silent(t, "message")
}

// lockLost has a message handed out again, after which the first lock is no more.
func (c *client) lockLost(t *testing.T) {
	id, p := c.caller(t, "https-lock")
	c.send(t, id, "x")
	p.do(t, "options", polling(0.1, false))
	p.do(t, "messages", nil)
	p.next(t, "message")
	p.gives(t, `"MessageAbandoned"`, "settle", settling("abandon", 0))
	p.next(t, "message")
	p.fails(t, "Error", "Precondition Failed", "settle", settling("complete", 0))
	p.gives(t, `"MessageCompleted"`, "settle", settling("complete", 1))
}

// hasNot is what the SDK refuses itself.
func (c *client) hasNot(t *testing.T) {
	_, p := c.caller(t, "https-not")
	p.fails(t, "NotImplementedError", "Twin", "twin", nil)
	p.fails(t, "NotImplementedError", "Direct methods", "method", map[string]any{"name": "x", "status": 200})
}

func (c *client) refusedHTTPS(t *testing.T) {
	id, _ := c.caller(t, "https-refused")
	d := c.look(t, id)
	other := c.register(t, identity{})
	nobody := d
	nobody.DeviceID = "https-nobody"
	disabled := c.register(t, identity{Status: "disabled"})
	cs := deviceString(d)
	expired := "HostName=localhost;DeviceId=" + id.DeviceID + ";SharedAccessSignature=" +
		token(t, cs, "localhost/devices/"+id.DeviceID, "", time.Now().Add(-time.Hour))
	for name, cs := range map[string]string{
		"the key of another device": swapKey(cs, deviceString(other)), "an unknown device": deviceString(nobody),
		"a token that expired an hour ago": expired,
	} {
		t.Run(name, func(t *testing.T) {
			p := c.judge.client(t, setup{ConnectionString: cs, Transport: c.transport})
			p.do(t, "open", nil) // connects nothing
			p.fails(t, "UnauthorizedError", "", "send", sdkMessage{})
			p.fails(t, "UnauthorizedError", "", "sendBatch", []sdkMessage{{}})
			p.fails(t, "Error", "Unauthorized", "slot", map[string]string{"name": "x"})
		})
	}
	t.Run("a disabled device", func(t *testing.T) { // 403, for which the SDK has one class
		p := c.judge.client(t, setup{ConnectionString: deviceString(disabled), Transport: c.transport})
		p.fails(t, "IotHubQuotaExceededError", "", "send", sdkMessage{})
	})
}

// x509HTTPS has a device that shows its certificate with each request.
func (c *client) x509HTTPS(t *testing.T) {
	id := address{DeviceID: c.id("https-x509")}
	cert, key, thumbprint := certificate(t, id.DeviceID)
	otherCert, otherKey, _ := certificate(t, id.DeviceID)
	with := identity{DeviceID: id.DeviceID}
	with.Authentication.Type, with.Authentication.X509.Primary = "selfSigned", thumbprint
	c.register(t, with)
	open := func(cert, key string) *peer {
		p := c.judge.client(t, setup{ConnectionString: "HostName=localhost;DeviceId=" + id.DeviceID + ";x509=true", Transport: c.transport})
		o := polling(0.1, true)
		o["cert"], o["key"] = cert, key
		p.do(t, "options", o)
		p.do(t, "open", nil)
		return p
	}
	p := open(cert, key)
	t.Run("sends and receives", func(t *testing.T) {
		p.gives(t, `"MessageEnqueued"`, "send", sdkMessage{Body: []byte("x")})
		c.send(t, id, "to x")
		p.do(t, "messages", nil)
		if m := nextInto[sdkMessage](t, p, "message"); string(m.Body) != "to x" {
			t.Errorf("message %q", m.Body)
		}
		p.gives(t, `"MessageCompleted"`, "settle", settling("complete", 0))
	})
	t.Run("uploads a file", func(t *testing.T) { uploadAndRead(t, p, "x.bin", 1000) })
	t.Run("another certificate of the name", func(t *testing.T) {
		open(otherCert, otherKey).fails(t, "UnauthorizedError", "", "send", sdkMessage{})
	})
}

// slot is where a file may be uploaded to, and by what name that is ended.
type slot struct {
	CorrelationID string `json:"correlationId"`
	HostName      string `json:"hostName"`
	Container     string `json:"containerName"`
	Blob          string `json:"blobName"`
	Token         string `json:"sasToken"`
}

// blobSum is what a blob has in it.
type blobSum struct {
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

// end tells the hub how an upload went.
type end struct {
	CorrelationID string `json:"correlationId"`
	OK            bool   `json:"ok"`
	Status        int    `json:"status"`
	Text          string `json:"text"`
}

// uploadAndRead has the SDK upload a file, and reads the blob with a token for another upload to it.
func uploadAndRead(t *testing.T, p *peer, name string, size int) slot {
	t.Helper()
	sent := answered[blobSum](t, p, "upload", map[string]any{"name": name, "size": size})
	at := answered[slot](t, p, "slot", map[string]string{"name": name})
	if got := answered[blobSum](t, p, "stored", at); got != sent {
		t.Errorf("sent %+v, stored %+v", sent, got)
	}
	p.do(t, "notify", end{CorrelationID: at.CorrelationID, Status: -1, Text: "not needed"})
	return at
}

// uploads has files of one block and of several, and uploads that are never ended, or twice.
func (c *client) uploads(t *testing.T) {
	id, p := c.caller(t, "https-upload")
	for name, size := range map[string]int{"small": 1, "folder/with a blank.txt": 1000, "of three blocks": 9<<20 + 1} {
		t.Run(name, func(t *testing.T) {
			if at := uploadAndRead(t, p, name, size); at.Blob != id.DeviceID+"/"+name || at.HostName != "localhost" {
				t.Errorf("the blob is %q at %q", at.Blob, at.HostName)
			}
		})
	}
	t.Run("again, by the same name", func(t *testing.T) { uploadAndRead(t, p, "small", 2) })
	t.Run("a token that was changed", func(t *testing.T) {
		at := answered[slot](t, p, "slot", map[string]string{"name": "small"})
		other := at
		other.Blob = id.DeviceID + "/another"
		p.fails(t, "RestError", "", "stored", other)
		p.do(t, "notify", end{CorrelationID: at.CorrelationID, Status: -1, Text: "not needed"})
	})
	t.Run("end it twice, or one that is not there", func(t *testing.T) {
		at := answered[slot](t, p, "slot", map[string]string{"name": "small"})
		done := end{CorrelationID: at.CorrelationID, Status: -1, Text: "failed"}
		p.do(t, "notify", done)
		p.fails(t, "Error", "Bad Request", "notify", done)
		p.fails(t, "Error", "Bad Request", "notify", end{CorrelationID: "MDA=", OK: true, Status: 200})
	})
	t.Run("eleven at a time", func(t *testing.T) {
		for i := range 10 {
			p.do(t, "slot", map[string]string{"name": fmt.Sprint(i)})
		}
		p.fails(t, "Error", "Forbidden", "slot", map[string]string{"name": "11"})
		p.fails(t, "BlobSasError", "", "upload", map[string]any{"name": "11", "size": 1})
	})
}

var sameSetOfProps = cmp.Comparer(func(a, b []sdkProperty) bool {
	count := map[sdkProperty]int{}
	for _, p := range a {
		count[p]++
	}
	for _, p := range b {
		count[p]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
})
