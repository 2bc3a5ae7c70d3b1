package service

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// CreateDevice registers a device and returns what was registered, keys included. Empty keys are
// made by the hub. Codes: DeviceAlreadyExists, ArgumentInvalid, and for more devices than the hub
// takes TooManyDevices.
func (c *Client) CreateDevice(ctx context.Context, d *Device) (*Device, error) {
	r, err := putDevice(d)
	if err != nil {
		return nil, err
	}
	return ask[Device](ctx, c, r)
}

// UpdateDevice replaces what is registered of a device: keys, thumbprints, its status. etag is that of
// the Device which was got, or [Any]. Keys that are empty are made anew, so
// change what [Client.Device] gave. Codes: DeviceNotFound, PreconditionFailed, ArgumentInvalid.
func (c *Client) UpdateDevice(ctx context.Context, d *Device, etag string) (*Device, error) {
	r, err := putDevice(d)
	if err != nil {
		return nil, err
	}
	return askIf[Device](ctx, c, r, etag)
}

func putDevice(d *Device) (*request, error) {
	if d == nil {
		return nil, invalid(httpsx.PutDevice.String(), "there is no device")
	}
	id := hubwire.Identity{DeviceID: d.DeviceID}
	if err := d.Check(id); err != nil {
		return nil, unsent(err)
	}
	return of(httpsx.PutDevice, id).with(d), nil
}

// Device returns a registered device, with its keys and the state of its connection. Code:
// DeviceNotFound.
func (c *Client) Device(ctx context.Context, deviceID string) (*Device, error) {
	return ask[Device](ctx, c, ofDevice(httpsx.GetDevice, deviceID))
}

// Devices returns at most top devices, in no order: 1 to 1000, and 0 means 1000. For more
// than that, there is [Client.Query].
func (c *Client) Devices(ctx context.Context, top int) ([]Device, error) {
	r := named(httpsx.ListDevices, "")
	r.Top = top
	return askAll[httpsx.Devices](ctx, c, r)
}

// DeleteDevice removes a device with its modules, twin and queue. etag is that of the
// Device which was got, or [Any]. Codes: DeviceNotFound, PreconditionFailed.
func (c *Client) DeleteDevice(ctx context.Context, deviceID, etag string) error {
	return c.delete(ctx, ofDevice(httpsx.DeleteDevice, deviceID), etag)
}

// CreateModule is [Client.CreateDevice] for a module. Codes: ModuleAlreadyExists, DeviceNotFound,
// TooManyModules, ArgumentInvalid.
func (c *Client) CreateModule(ctx context.Context, m *Module) (*Module, error) {
	r, err := putModule(m)
	if err != nil {
		return nil, err
	}
	return ask[Module](ctx, c, r)
}

// UpdateModule is [Client.UpdateDevice] for a module. Codes: DeviceNotFound, ModuleNotFound,
// PreconditionFailed, ArgumentInvalid.
func (c *Client) UpdateModule(ctx context.Context, m *Module, etag string) (*Module, error) {
	r, err := putModule(m)
	if err != nil {
		return nil, err
	}
	return askIf[Module](ctx, c, r, etag)
}

func putModule(m *Module) (*request, error) {
	if m == nil {
		return nil, invalid(httpsx.PutModule.String(), "there is no module")
	}
	id := hubwire.Identity{DeviceID: m.DeviceID, ModuleID: m.ModuleID}
	if err := m.Check(id); err != nil {
		return nil, unsent(err)
	}
	return of(httpsx.PutModule, id).with(m), nil
}

// Module returns a registered module, with its keys and the state of its connection. Codes:
// DeviceNotFound, ModuleNotFound.
func (c *Client) Module(ctx context.Context, id hubwire.Identity) (*Module, error) {
	return ask[Module](ctx, c, of(httpsx.GetModule, id))
}

// Modules returns the modules of a device. Code: DeviceNotFound.
func (c *Client) Modules(ctx context.Context, deviceID string) ([]Module, error) {
	return askAll[httpsx.Modules](ctx, c, ofDevice(httpsx.ListModules, deviceID))
}

// DeleteModule removes a module with its twin and queue. etag is that of the
// Module which was got, or [Any]. Codes: DeviceNotFound, ModuleNotFound, PreconditionFailed.
func (c *Client) DeleteModule(ctx context.Context, id hubwire.Identity, etag string) error {
	return c.delete(ctx, of(httpsx.DeleteModule, id), etag)
}

// delete performs a request without an answer.
func (c *Client) delete(ctx context.Context, r *request, etag string) error {
	r, err := r.conditional(etag)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, r)
	return err
}

// DeviceStatistics counts the registered devices, by their status.
func (c *Client) DeviceStatistics(ctx context.Context) (*DeviceStatistics, error) {
	return ask[DeviceStatistics](ctx, c, named(httpsx.GetDeviceStatistics, ""))
}

// ServiceStatistics counts the devices that are connected.
func (c *Client) ServiceStatistics(ctx context.Context) (*ServiceStatistics, error) {
	return ask[ServiceStatistics](ctx, c, named(httpsx.GetServiceStatistics, ""))
}

// PurgeQueue removes the cloud-to-device messages that wait for a device, and returns how
// many there were. Code: DeviceNotFound.
func (c *Client) PurgeQueue(ctx context.Context, deviceID string) (int, error) {
	purged, err := ask[httpsx.PurgeResult](ctx, c, ofDevice(httpsx.PurgeC2D, deviceID))
	if err != nil {
		return 0, err
	}
	return purged.Total, nil
}
