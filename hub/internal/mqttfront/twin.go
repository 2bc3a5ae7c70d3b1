package mqttfront

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// Twin operations are the one thing over MQTT that has an answer: a publish
// to $iothub/twin/res/, at QoS 0, after the PUBACK of the request. It goes to
// who subscribed to it.

// answer is what a twin operation is answered with.
type answer struct {
	status  int
	version int64 // of the reported properties; 0 for none
	body    []byte
}

func (c *conn) twinGet(m *mqtt.Publish, t *topics.Topic) error {
	return c.twinOperation(core.OpTwinGet, m, t, func() (answer, error) {
		twin, err := c.session.Twin(c.ctx)
		if err != nil {
			return answer{}, err
		}
		return answer{status: http.StatusOK, body: core.TwinBody(twin)}, nil
	})
}

func (c *conn) twinReport(m *mqtt.Publish, t *topics.Topic) error {
	return c.twinOperation(core.OpTwinReport, m, t, func() (answer, error) {
		ifVersion, err := condition(t)
		if err != nil {
			return answer{}, err
		}
		version, err := c.session.PatchReported(c.ctx, m.Payload, ifVersion)
		return answer{status: http.StatusNoContent, version: version}, err
	})
}

// condition returns the version that a patch is for, or 0 for any.
func condition(t *topics.Topic) (int64, error) {
	text := t.VersionText()
	if len(text) == 0 {
		return 0, nil
	}
	e := &hubwire.Error{Op: "twin report", Outcome: hubwire.Refused}
	n, ok := t.Version()
	switch {
	case !ok:
		e.Code, e.Message = hubwire.ArgumentInvalid, fmt.Sprintf("$version %.20q is not a number", text)
		return 0, e
	case n <= 0: // 0 would mean any
		e.Code, e.Message = hubwire.PreconditionFailed, fmt.Sprintf("reported properties are never at version %d", n)
		return 0, e
	}
	return n, nil
}

// twinOperation answers a twin operation with what act returns, or with its refusal.
func (c *conn) twinOperation(kind core.OpKind, m *mqtt.Publish, t *topics.Topic, act func() (answer, error)) error {
	v, refused := c.intercept(kind, "", nil, m.Payload)
	wanted := len(t.RequestID()) > 0 && c.wantsTwinResponses()
	var a answer
	return c.respond(v, func() error {
		err := refused
		if err == nil {
			a, err = act()
		}
		if err == nil {
			return nil
		}
		e := refusal(err)
		if e == nil || errors.Is(err, net.ErrClosed) { // no session is left to answer in
			return err
		}
		a = refusalAnswer(e)
		return nil
	}, func(dst []byte) []byte {
		if m.QoS != mqtt.AtMostOnce {
			dst = (&mqtt.Puback{ID: m.ID}).AppendTo(dst)
		}
		if wanted {
			dst = a.appendTo(dst, t.RequestID())
		}
		return dst
	})
}

// appendTo appends the answer to the request rid.
func (a *answer) appendTo(dst, rid []byte) []byte {
	at := len(dst)
	dst = mqtt.OpenPublish(dst, len(a.body))
	dst = topics.AppendTwinResponse(dst, a.status, rid, a.version)
	// A request id that fills a topic has no room in that of an answer: none is sent.
	dst, _ = mqtt.ClosePublish(dst, at, &mqtt.Publish{Payload: a.body})
	return dst
}

func (c *conn) wantsTwinResponses() bool {
	return c.session.Subscribed(topics.TwinResponseFilter)
}

func refusalAnswer(e *hubwire.Error) answer {
	return answer{status: cmp.Or(e.Code, hubwire.ServerError).Status(), body: httpsx.AppendError(nil, e, httpsx.Numeric, time.Now())}
}
