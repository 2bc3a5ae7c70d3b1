// Package store is the seam between the hub's rules (package core) and what
// keeps its state: records by key with compare-and-swap, and an event log by
// partition. It imitates nothing of IoT Hub; it knows neither twins nor
// messages, and values are opaque bytes.
//
// [Memory] is the store of the embedded hub. A durable, distributed engine is
// another implementation of [Store], held to the same tests (package storetest).
package store

import (
	"context"
	"errors"
	"time"

	"github.com/hubwire/hubwire"
)

// Kind is a table of records.
type Kind uint8

// The kinds of records. The zero Kind is not valid.
const (
	Identities        Kind = iota + 1 // one per device or module
	Twins                             // one per device or module that has had a change
	Subscriptions                     // one per device or module with a kept session
	Queue                             // one per waiting cloud-to-device message
	Feedback                          // one per waiting feedback record; the identity is zero
	Policies                          // one per shared access policy; the device id is its name
	Uploads                           // one per file upload that is under way, or has expired lately
	FileNotifications                 // one per file notification that waits; the identity is zero
	Jobs                              // one per scheduled job; the identity is zero
	DeviceJobs                        // one per device of a job, whose number is Seq
	Configurations                    // one per configuration; the device id is its id
	Transfers                         // one per import or export job; the identity is zero
)

// Key names a record. It is comparable. Keys of one kind are ordered by device
// id, module id and Seq; a device itself (empty module id) comes before its modules.
type Key struct {
	Kind Kind
	ID   hubwire.Identity
	Seq  uint64 // tells records of one identity apart; 0 where there is one
}

// Record is a stored value. Nobody changes the bytes of Value, neither the
// store nor its callers, once they were given to [Store.Put] or came from it.
type Record struct {
	Key     Key
	Version uint64 // of the write that made it; never 0, never the same twice for one key
	Value   []byte
}

// Entry is a record of the event log.
type Entry struct {
	Sequence int64     // 0 for the first of the partition, then one more each
	Offset   int64     // position in the partition in bytes; grows, opaque to readers
	Time     time.Time // when it was appended; never before the entry before it
	Value    []byte
}

// Page is a piece of a partition's log, for [Store.Read] to fill. Its memory is used again
// when it is filled again; the zero Page is ready.
type Page struct {
	Entries []Entry
	Bytes   []byte // the values, one behind the other; those of Entries are pieces of it
}

// Bounds says what a partition holds.
type Bounds struct {
	First int64 // sequence of the oldest entry still there; equal to Next when empty
	Next  int64 // sequence that the next entry will get
	Last  Entry // the newest entry, without its value; zero when none was ever appended
}

// Store keeps the hub's state. Its methods may be called from any goroutine.
// A write that returned nil is seen by every later read.
//
// One hub process owns an identity at a time; the versions are there so that a
// second owner is noticed, not so that two can work.
type Store interface {
	// Get returns the record, or ErrNotFound.
	Get(ctx context.Context, k Key) (Record, error)

	// Put writes the record if its version is prev, where 0 means that there
	// is none, and returns the new version; else ErrConflict. It keeps value.
	Put(ctx context.Context, k Key, value []byte, prev uint64) (version uint64, err error)

	// Delete removes the record whatever its version. A missing one is no error.
	Delete(ctx context.Context, k Key) error

	// Scan returns up to max records of from.Kind in the order of their keys,
	// beginning with from or what follows it. An empty result is the end.
	Scan(ctx context.Context, from Key, max int) ([]Record, error)

	// Partitions returns how many logs there are, numbered from 0. It never changes.
	Partitions() int

	// Append adds to the end of a partition's log, keeps nothing of value, and
	// returns the entry without it. When at is before the last entry's time,
	// the last entry's time is taken. The store may drop the oldest entries to
	// make room.
	Append(ctx context.Context, partition int, at time.Time, value []byte) (Entry, error)

	// Read makes into what is there of a partition: up to max entries, beginning with
	// sequence from, or with the oldest when that is gone; fewer when they are large. No
	// entries are the end. The page is the caller's, and empty after an error.
	Read(ctx context.Context, partition int, from int64, max int, into *Page) error

	// Seek returns the sequence of the oldest entry that was appended at or
	// after t, or that the next entry will get when there is none.
	Seek(ctx context.Context, partition int, t time.Time) (int64, error)

	// SeekOffset returns the sequence of the oldest entry whose offset is at least
	// that, or that the next entry will get when there is none.
	SeekOffset(ctx context.Context, partition int, offset int64) (int64, error)

	// Bounds returns what a partition holds.
	Bounds(ctx context.Context, partition int) (Bounds, error)

	// Close releases the store. What is called later fails with ErrClosed.
	Close() error
}

// The errors of a Store, under [errors.Is]. Others are the engine's trouble.
var (
	ErrNotFound  = errors.New("store: no such record")
	ErrConflict  = errors.New("store: the record has another version")
	ErrClosed    = errors.New("store: closed")
	ErrPartition = errors.New("store: no such partition")
)
