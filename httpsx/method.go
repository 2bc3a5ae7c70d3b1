package httpsx

import (
	"cmp"
	"encoding/json"
	"math"
	"time"

	"github.com/hubwire/hubwire"
)

// Limits of a direct method.
const (
	MinResponseTimeout     = 5 * time.Second
	MaxMethodTimeout       = 300 * time.Second // of either timeout
	DefaultResponseTimeout = 30 * time.Second
)

// MethodCall is the body of [InvokeMethod].
// Source: REST, "Devices - Invoke Method"; IoT Hub developer guide, "Understand and invoke direct
// methods".
type MethodCall struct {
	Name    string          // required
	Payload json.RawMessage // at most [hubwire.MaxMethodPayload]; nil is null, which a body without it is too

	// ResponseTimeout is how long the device may take to answer, in whole seconds,
	// [MinResponseTimeout] to [MaxMethodTimeout]. 0 means 30 seconds. A 0 that was sent is read as
	// a negative one.
	ResponseTimeout time.Duration

	// ConnectTimeout is how long to wait for a device that is not connected, in whole seconds, 0
	// to [MaxMethodTimeout].
	ConnectTimeout time.Duration
}

type methodMembers struct {
	Name            string          `json:"methodName"`
	Payload         json.RawMessage `json:"payload"`
	ResponseTimeout *int64          `json:"responseTimeoutInSeconds"`
	OldTimeout      *int64          `json:"timeoutInSeconds"` // what older services call it
	ConnectTimeout  int64           `json:"connectTimeoutInSeconds"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It reads timeouts that no hub takes, too: see
// [MethodCall.Check].
func (m *MethodCall) UnmarshalJSON(b []byte) error {
	var v methodMembers
	if err := json.Unmarshal(b, &v); err != nil || m == nil {
		return err
	}
	*m = MethodCall{Name: v.Name, Payload: present(v.Payload), ConnectTimeout: fromSeconds(v.ConnectTimeout)}
	if v.ResponseTimeout == nil {
		v.ResponseTimeout = v.OldTimeout
	}
	if v.ResponseTimeout != nil {
		m.ResponseTimeout = fromSeconds(*v.ResponseTimeout)
		if m.ResponseTimeout == 0 {
			m.ResponseTimeout = -1
		}
	}
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (m MethodCall) MarshalJSON() ([]byte, error) { return m.append(nil, true), nil }

func (m *MethodCall) append(dst []byte, full bool) []byte {
	o := open(dst, full)
	o.str("methodName", m.Name)
	o.payload(m.Payload)
	timeout := m.ResponseTimeout
	if timeout == 0 && full {
		timeout = DefaultResponseTimeout
	}
	o.int("responseTimeoutInSeconds", toSeconds(timeout))
	o.int("connectTimeoutInSeconds", toSeconds(m.ConnectTimeout))
	return o.close()
}

func (o *object) payload(v json.RawMessage) {
	if v == nil {
		v = json.RawMessage("null") // the C SDK wants the member
	}
	o.json("payload", v)
}

// Check reports whether a hub takes m. The error is an [*hubwire.Error] with code
// [hubwire.ArgumentInvalid], or [hubwire.MessageTooLarge] for the payload, that names the member
// and the limit.
func (m *MethodCall) Check() error {
	switch {
	case m == nil || m.Name == "":
		return refused(InvokeMethod, hubwire.ArgumentInvalid, "methodName is empty")
	case len(m.Payload) > hubwire.MaxMethodPayload:
		return refused(InvokeMethod, hubwire.MessageTooLarge, "payload has %d bytes, the limit is %d", len(m.Payload), hubwire.MaxMethodPayload)
	case m.Payload != nil && !json.Valid(m.Payload):
		return refused(InvokeMethod, hubwire.ArgumentInvalid, "payload is not JSON")
	case m.ConnectTimeout < 0 || m.ConnectTimeout > MaxMethodTimeout:
		return refused(InvokeMethod, hubwire.ArgumentInvalid, "connectTimeoutInSeconds is not 0 to %d", toSeconds(MaxMethodTimeout))
	case m.ResponseTimeout != 0 && (m.ResponseTimeout < MinResponseTimeout || m.ResponseTimeout > MaxMethodTimeout):
		return refused(InvokeMethod, hubwire.ArgumentInvalid, "responseTimeoutInSeconds is not %d to %d", toSeconds(MinResponseTimeout), toSeconds(MaxMethodTimeout))
	}
	return nil
}

// Wait is the longest that a hub takes to answer m: both timeouts.
func (m *MethodCall) Wait() time.Duration {
	if m == nil {
		return DefaultResponseTimeout
	}
	return m.ConnectTimeout + cmp.Or(m.ResponseTimeout, DefaultResponseTimeout)
}

// MethodResult is the answer of [InvokeMethod]: what the device said. Its status is not that of HTTP.
type MethodResult struct {
	Status  int             `json:"status"`  // the device's
	Payload json.RawMessage `json:"payload"` // nil is written as null
}

// Response is what the device said. Its payload is nil where the wire has null, else it is that of m.
func (m *MethodResult) Response() *hubwire.MethodResponse {
	if m == nil {
		return new(hubwire.MethodResponse)
	}
	return &hubwire.MethodResponse{Status: m.Status, Payload: present(m.Payload)}
}

func (m *MethodResult) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.int("status", int64(m.Status))
	o.payload(m.Payload)
	return o.close()
}

// fromSeconds keeps within what a Duration has.
func fromSeconds(n int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Second)
	return time.Duration(min(max(n, -most), most)) * time.Second
}

// toSeconds rounds up.
func toSeconds(d time.Duration) int64 {
	n := int64(d / time.Second)
	if d%time.Second > 0 {
		n++
	}
	return n
}
