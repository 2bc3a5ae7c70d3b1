package core

import (
	"context"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// The queue of file notifications imitates /messages/serviceBound/filenotifications:
// one for each file that a device has uploaded and notified of, read one at a time under a
// lock. Its figures are those that an IoT Hub is created with.
var fileNotificationRules = lockedRules{
	what: "file notification", kind: store.FileNotifications,
	ttl: time.Hour, lock: time.Minute, deliveries: 10, max: 10_000,
}

// FileNotification tells the service of a file that a device has uploaded. Its
// JSON is the body of the service's message.
type FileNotification struct {
	DeviceID     string    `json:"deviceId"`
	BlobURI      string    `json:"blobUri"`  // without a token
	BlobName     string    `json:"blobName"` // {deviceId}/{name}
	LastUpdated  time.Time `json:"lastUpdatedTime"`
	Size         int64     `json:"blobSizeInBytes"`
	EnqueuedTime time.Time `json:"enqueuedTimeUtc"`
}

func (n FileNotification) queuedAt() time.Time { return n.EnqueuedTime }

// LockedFileNotification is a notification under a lock, which lasts a minute.
type LockedFileNotification struct {
	FileNotification
	LockToken     string
	DeliveryCount int // how often it was delivered before
}

// FileNotification locks the oldest notification that waits, or returns nil when
// there is none now. Settle it with [Core.SettleFileNotification].
func (c *Core) FileNotification() *LockedFileNotification {
	return locked(c.fileNotifications.take(1))
}

// WatchFileNotifications returns a Watch for who found no [Core.FileNotification].
func (c *Core) WatchFileNotifications(wake func()) *Watch {
	return c.fileNotifications.bell.watch(wake)
}

// WaitFileNotification is [Core.FileNotification] that waits for one until ctx ends.
func (c *Core) WaitFileNotification(ctx context.Context) (*LockedFileNotification, error) {
	b, err := c.fileNotifications.wait(ctx, 1)
	return locked(b), err
}

func locked(b *Batch[FileNotification]) *LockedFileNotification {
	if b == nil {
		return nil
	}
	return &LockedFileNotification{b.Records[0], b.LockToken, b.DeliveryCount}
}

// SettleFileNotification ends a delivery: Complete and Reject remove the
// notification, Abandon gives it back. The code is MessageLockLost when the lock is over.
func (c *Core) SettleFileNotification(_ context.Context, lockToken string, d hubwire.Disposition) error {
	return c.fileNotifications.settle(lockToken, d)
}

// ReleaseFileNotification gives back a notification whose reader is gone: it counts as never delivered.
func (c *Core) ReleaseFileNotification(lockToken string) { c.fileNotifications.release(lockToken) }
