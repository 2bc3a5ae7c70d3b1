package core

import (
	"context"
	"errors"

	"github.com/hubwire/hubwire"
)

// Bulk operations imitate POST /devices and what the guide "Import and export
// IoT Hub device identities in bulk" says of the import modes. What is refused of
// an element leaves all of it undone, its twin included, so that the service's
// warning DeviceRegisteredWithoutTwin has no cause here. Reported properties that an element
// brings are left alone: they are the device's.

// MaxBulk is the largest number of elements of [Core.Bulk].
const MaxBulk = 100

// BulkMode says what becomes of one element, as ExportImportDevice spells it.
type BulkMode string

// The modes. Those that end in IfMatchETag need the etag of the identity, or of the twin.
const (
	BulkCreate                BulkMode = "create"
	BulkUpdate                BulkMode = "update"
	BulkUpdateIfMatch         BulkMode = "updateIfMatchETag"
	BulkCreateOrUpdate        BulkMode = "createOrUpdate"
	BulkCreateOrUpdateIfMatch BulkMode = "createOrUpdateIfMatchETag"
	BulkDelete                BulkMode = "delete"
	BulkDeleteIfMatch         BulkMode = "deleteIfMatchETag"
	BulkUpdateTwin            BulkMode = "updateTwin"
	BulkUpdateTwinIfMatch     BulkMode = "updateTwinIfMatchETag"
	defaultImportMode                  = BulkCreateOrUpdate
)

// BulkOperation is one element.
type BulkOperation struct {
	Mode BulkMode

	// Device is what the identity is to be; ETag is what the modes IfMatchETag
	// compare. An update without any Auth keeps that of the identity.
	Device Device

	// Twin is what tags and desired properties begin with, or, when the identity
	// exists, are replaced by; with the modes updateTwin it is a merge patch. nil,
	// and nil members, leave the twin alone.
	Twin *TwinUpdate

	// TwinETag, unless it is empty, must be that of a twin that is written.
	TwinETag string

	// Err is what is wrong with an element that could not be read whole. It is refused.
	Err error
}

// BulkError says why an element was refused.
type BulkError struct {
	ID   hubwire.Identity
	Mode BulkMode
	Err  *hubwire.Error
}

// Bulk carries out up to [MaxBulk] operations, in order, and returns which were
// refused, with the code that the single operation would have. Nothing at all is done
// when err is not nil: its code is TooManyDevices, ArgumentInvalid when there is
// none, or DeviceDefinedMultipleTimes.
func (c *Core) Bulk(ctx context.Context, ops []BulkOperation) ([]BulkError, error) {
	const op = "bulk registry"
	if err := checkBulk(op, len(ops), func(i int) hubwire.Identity { return ops[i].Device.ID }); err != nil {
		return nil, err
	}
	if err := c.Open(op); err != nil {
		return nil, err
	}
	var failed []BulkError
	for i := range ops {
		if err := c.bulk(ctx, op, &ops[i]); err != nil {
			failed = append(failed, BulkError{ops[i].Device.ID, ops[i].Mode, asError(op, err)})
		}
	}
	return failed, nil
}

// checkBulk refuses a list of n identities that is empty, too long, or has one twice.
func checkBulk(op string, n int, id func(int) hubwire.Identity) error {
	switch {
	case n == 0:
		return refuse(op, hubwire.ArgumentInvalid, "the list of devices is empty")
	case n > MaxBulk:
		return refuse(op, hubwire.TooManyDevices, "%d devices, the limit is %d", n, MaxBulk)
	}
	seen := make(map[hubwire.Identity]bool, n)
	for i := range n {
		if seen[id(i)] {
			return refuse(op, hubwire.DeviceDefinedMultipleTimes, "%q is there more than once", id(i))
		}
		seen[id(i)] = true
	}
	return nil
}

// asError returns the typed error that err is, or is made.
func asError(op string, err error) *hubwire.Error {
	var e *hubwire.Error
	if !errors.As(err, &e) {
		errors.As(broken(op, err), &e)
	}
	return e
}

func (c *Core) bulk(ctx context.Context, op string, b *BulkOperation) error {
	if b.Err != nil {
		return b.Err
	}
	id, etag := b.Device.ID, b.Device.ETag
	switch b.Mode {
	case BulkUpdateIfMatch, BulkCreateOrUpdateIfMatch, BulkDeleteIfMatch:
		if etag == "" {
			return refuse(op, hubwire.ArgumentInvalid, "mode %s of %q needs an etag", b.Mode, id)
		}
	case BulkUpdateTwinIfMatch:
		if b.TwinETag == "" {
			return refuse(op, hubwire.ArgumentInvalid, "mode %s of %q needs the twin's etag", b.Mode, id)
		}
	default:
		etag = "*"
	}
	switch b.Mode {
	case BulkCreate:
		return c.bulkCreate(ctx, op, b)
	case BulkUpdate, BulkUpdateIfMatch:
		return c.bulkUpdate(ctx, op, b, etag)
	case BulkCreateOrUpdate, BulkCreateOrUpdateIfMatch:
		return c.bulkCreateOrUpdate(ctx, op, b, etag)
	case BulkDelete, BulkDeleteIfMatch:
		return c.Delete(ctx, id, etag)
	case BulkUpdateTwin:
		return c.bulkTwin(ctx, op, b, "")
	case BulkUpdateTwinIfMatch:
		return c.bulkTwin(ctx, op, b, b.TwinETag)
	}
	return refuse(op, hubwire.ArgumentInvalid, "import mode %q is unknown", b.Mode)
}

func (c *Core) bulkCreate(ctx context.Context, op string, b *BulkOperation) error {
	w, err := b.Twin.read(op, true)
	if err != nil {
		return err
	}
	_, err = c.create(ctx, op, &b.Device, w)
	return err
}

// bulkUpdate updates the identity and what b says of its twin, or neither.
func (c *Core) bulkUpdate(ctx context.Context, op string, b *BulkOperation, etag string) error {
	w, err := b.Twin.read(op, true)
	if err != nil {
		return err
	}
	if err := b.Device.ID.Check(); err != nil {
		return refused(op, err)
	}
	e, err := c.lock(op, b.Device.ID)
	if err != nil {
		return err
	}
	defer e.unlock()
	if !matches(etag, e.dev.ETag) {
		return preconditionFailed(op, e.id)
	}
	want := b.Device
	if want.Auth.isZero() {
		want.Auth = e.dev.Auth
	}
	d, err := want.normal(op)
	if err != nil {
		return err
	}
	twinETag := b.TwinETag
	if w.isEmpty() {
		twinETag = ""
	}
	now, err := e.rewrite(op, w, twinETag)
	if err != nil {
		return err
	}
	if err := e.update(ctx, op, d); err != nil {
		return err
	}
	return e.commit(ctx, op, w, now) // update has configurations look at it
}

func (a *Auth) isZero() bool {
	return a.Type == "" && a.Primary.IsZero() && a.Secondary.IsZero() && a.PrimaryThumbprint == "" && a.SecondaryThumbprint == ""
}

// bulkCreateOrUpdate tries both, since others may create or delete it meanwhile.
func (c *Core) bulkCreateOrUpdate(ctx context.Context, op string, b *BulkOperation, etag string) (err error) {
	const tries = 3
	for range tries {
		if c.entity(b.Device.ID) == nil {
			err = c.bulkCreate(ctx, op, b)
			if !errors.Is(err, hubwire.DeviceAlreadyExists) && !errors.Is(err, hubwire.ModuleAlreadyExists) {
				return err
			}
		}
		err = c.bulkUpdate(ctx, op, b, etag)
		if !errors.Is(err, hubwire.DeviceNotFound) && !errors.Is(err, hubwire.ModuleNotFound) {
			return err
		}
	}
	return err
}

func (c *Core) bulkTwin(ctx context.Context, op string, b *BulkOperation, etag string) error {
	u := b.Twin
	if u == nil {
		u = &TwinUpdate{}
	}
	_, err := c.updateTwin(ctx, op, b.Device.ID, u, etag, false)
	return err
}
