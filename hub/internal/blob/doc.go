// Package blob is where devices upload files to: a small blob endpoint of the hub's own
// ([Endpoint]), or a storage account by its connection string ([Account]).
//
// The endpoint imitates Azure Blob Storage as far as uploads, and import and export jobs,
// need it: Put Blob, Put Block, Put Block List, Get Block List, Get Blob (with ranges), Get
// Blob Properties, Delete Blob, List Blobs and Get Container Properties, for block blobs,
// by service SAS. Left out: every other kind of blob and of authorization, leases, snapshots,
// tags, tiers, copying, setting properties and metadata of a blob that is there, and
// making containers (which the hub does).
//
// Source: Blob service REST API, version 2020-12-06.
package blob
