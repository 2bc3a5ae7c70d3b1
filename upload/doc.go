// Package upload uploads files of a device in one call, by Azure's azblob.
//
//	r, err := upload.File(ctx, c, "logs/2026-11-26.gz", "/var/log/x.gz", nil)
//
// [File], [At] and [Stream] do the three steps that package device has one by one: they ask the hub for
// a place, write the blob, and tell the hub how that went, also when it went wrong.
//
// # How a file travels
//
// It is cut into blocks, of which some travel at a time. A file of one block goes in one
// request. Memory is bounded by BlockSize × Concurrency of the [Options], and a few megabytes.
//
// # Interruptions
//
// A request that failed is tried again; a token that has expired is replaced by another. When
// all that was in vain, or ctx has ended, the call returns an error, and what has travelled
// lies in the account for a week. The same call, with the same BlockSize and no matter in
// which process, goes on from there: the name of a block is made of its place, length and
// checksums, so a block that is there already is known, and is not sent again. Nothing has to
// be kept for that; whoever keeps the [State] also gives back the place among the device's
// uploads that a killed process has left.
package upload
