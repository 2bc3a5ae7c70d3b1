package httpfront

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Direct methods imitate the REST API's "Devices - Invoke Method" and the same of
// modules. The device's own status stands in the body and leaves that of HTTP at
// 200. A call without a payload reaches the device as one with null, for the Node SDK
// parses an empty payload too. Left out: calls by modules (x-ms-edge-moduleId).

// Bounds of the timeouts, in seconds.
const (
	minResponseTimeout = 5
	maxTimeout         = int(core.MaxMethodTimeout / time.Second)
)

// methodCall is a call as a service sends it. Members that are null are as those that are not there.
type methodCall struct {
	Name            string          `json:"methodName"`
	Payload         json.RawMessage `json:"payload"`
	ResponseTimeout *int            `json:"responseTimeoutInSeconds"`
	OldTimeout      *int            `json:"timeoutInSeconds"` // what older services call it
	ConnectTimeout  int             `json:"connectTimeoutInSeconds"`
}

type methodAnswer struct {
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"` // nil goes out as null: the C SDK wants the member
}

// decode gives what core is asked to do.
func (j *methodCall) decode() (*core.Invocation, error) {
	v := &core.Invocation{MethodRequest: hubwire.MethodRequest{Name: j.Name, Payload: j.Payload}}
	if j.Payload == nil {
		v.Payload = json.RawMessage("null")
	}
	var err error
	if v.ConnectTimeout, err = seconds("connectTimeoutInSeconds", j.ConnectTimeout, 0); err != nil {
		return nil, err
	}
	if n := cmp.Or(j.ResponseTimeout, j.OldTimeout); n != nil {
		v.ResponseTimeout, err = seconds("responseTimeoutInSeconds", *n, minResponseTimeout)
	}
	return v, err
}

func seconds(name string, n, least int) (time.Duration, error) {
	if n < least || n > maxTimeout {
		return 0, refuse(hubwire.ArgumentInvalid, "%s is %d, not %d to %d", name, n, least, maxTimeout)
	}
	return time.Duration(n) * time.Second, nil
}

func (s *Server) invokeMethod(r *request) (response, error) {
	var j methodCall
	if err := r.decode(&j); err != nil {
		return response{}, err
	}
	v, err := j.decode()
	if err != nil {
		return response{}, err
	}
	res, err := s.core.Invoke(r.Context(), r.identity(), v)
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK, body: methodAnswer{res.Status, res.Payload}}, nil
}

// isOfDevice reports whether a call failed for what the device did or did not do.
// The service says so in a form of its own.
func isOfDevice(err error) bool {
	return errors.Is(err, hubwire.DeviceNotOnline) || errors.Is(err, hubwire.ConnectionClosedRemotely) ||
		errors.Is(err, hubwire.GatewayTimeout) || errors.Is(err, hubwire.BadGateway)
}
