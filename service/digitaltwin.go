package service

import (
	"context"
	"encoding/json"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// DigitalTwin is a Plug and Play device as its model has it: components, properties and their metadata.
type DigitalTwin struct {
	ETag string          // for [Client.PatchDigitalTwin]
	JSON json.RawMessage // an object, with $dtId and $metadata
}

// Decode unmarshals the document into v, as [json.Unmarshal] does.
func (d *DigitalTwin) Decode(v any) error {
	if d == nil {
		return invalid(httpsx.GetDigitalTwin.String(), "there is no digital twin")
	}
	return json.Unmarshal(d.JSON, v)
}

// DigitalTwin returns the digital twin of a device. Code: DeviceNotFound.
func (c *Client) DigitalTwin(ctx context.Context, deviceID string) (*DigitalTwin, error) {
	r := ofDevice(httpsx.GetDigitalTwin, deviceID)
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	d := &DigitalTwin{ETag: a.ETag}
	if err := a.Decode(r.Op, &d.JSON); err != nil {
		return nil, err
	}
	return d, nil
}

// PatchDigitalTwin changes writable properties of a device (which become desired ones) by a JSON
// Patch, and returns the new ETag. etag is that of the DigitalTwin which was got, or
// [Any]. Codes: DeviceNotFound, PreconditionFailed, InvalidDigitalTwinJSONPatch and its like.
func (c *Client) PatchDigitalTwin(ctx context.Context, deviceID string, p JSONPatch, etag string) (string, error) {
	if err := p.Check(); err != nil {
		return "", unsent(err)
	}
	r, err := ofDevice(httpsx.PatchDigitalTwin, deviceID).with(p).conditional(etag)
	if err != nil {
		return "", err
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return "", err
	}
	return a.ETag, nil
}

// InvokeCommand calls a command of a device, or of one of its components when that is not empty. It
// is a direct method of another name, {command} or {component}*{command}: see [Client.Invoke].
func (c *Client) InvokeCommand(
	ctx context.Context, deviceID, component string, m hubwire.MethodRequest, o *InvokeOptions,
) (*hubwire.MethodResponse, error) {
	call := methodCall(m, o)
	if err := call.Check(); err != nil {
		return nil, unsent(err)
	}
	r := ofDevice(httpsx.InvokeCommand, deviceID)
	r.Target.Name, r.Target.Component = m.Name, component
	r.ConnectTimeout, r.ResponseTimeout = call.ConnectTimeout, call.ResponseTimeout
	r.waits = call.Wait()
	r.Body = json.RawMessage("null")
	if m.Payload != nil {
		r.Body = m.Payload
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	result := &httpsx.MethodResult{Status: a.CommandStatus}
	if err := a.Decode(r.Op, &result.Payload); err != nil {
		return nil, err
	}
	return result.Response(), nil
}
