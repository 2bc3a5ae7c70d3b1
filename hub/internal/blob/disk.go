package blob

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// The files of the directory: the account's key at its top, and in the directory of a blob
// its name, its content when it has one, and its blocks, named by number and id. What is no
// part of the content is an uncommitted block.
const (
	keyFile     = "account-key" // keySize bytes; mode 0600
	nameFile    = "name"
	metaFile    = "content.json"
	blockPrefix = "block-"
	partSuffix  = ".part" // of a block that is being written, and of a content
)

const keySize = 64

// contentRecord is a [content] as the disk keeps it.
type contentRecord struct {
	headers
	ETag     string         `json:"etag"`
	Made     time.Time      `json:"made"`
	Modified time.Time      `json:"modified"`
	Blocks   []contentBlock `json:"blocks"`
}

type contentBlock struct {
	File string `json:"file"` // in the blob's directory
	ID   []byte `json:"id,omitempty"`
	Size int64  `json:"size"`
}

// save writes what b will hold, all at once. The caller holds the lock.
func (e *Endpoint) save(b *blob, c *content) error {
	r := contentRecord{headers: c.headers, ETag: c.etag, Made: c.made, Modified: c.modified}
	for _, s := range c.segments {
		r.Blocks = append(r.Blocks, contentBlock{path.Base(s.file), []byte(s.id), s.size})
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	name := b.dir + "/" + metaFile
	if err := e.root.WriteFile(name+partSuffix, text, 0o600); err != nil {
		return err
	}
	return e.root.Rename(name+partSuffix, name)
}

// load reads the directory of an Endpoint that is not in use yet.
func (e *Endpoint) load() error {
	root, err := e.disk()
	if err != nil {
		return err
	}
	names, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, n := range names {
		if !n.IsDir() || CheckContainer(n.Name()) != nil {
			continue
		}
		c := &container{name: n.Name(), made: time.Now(), etag: e.newETag(), blobs: map[string]*blob{}}
		e.containers[c.name] = c
		dirs, err := fs.ReadDir(root.FS(), c.name)
		if err != nil {
			return err
		}
		for _, d := range dirs {
			if err := e.loadBlob(c, c.name+"/"+d.Name()); err != nil {
				e.opt.Log.Error("blob: damaged, and left out", "directory", c.name+"/"+d.Name(), "error", err)
			}
		}
	}
	return nil
}

// loadBlob takes in the directory of a blob. What a writer left half done is deleted.
func (e *Endpoint) loadBlob(c *container, dir string) error {
	name, err := e.root.ReadFile(dir + "/" + nameFile)
	if errors.Is(err, fs.ErrNotExist) && e.root.Remove(dir) == nil {
		return nil // it was being made, or deleted, and is empty
	}
	if err != nil {
		return err
	}
	files, err := fs.ReadDir(e.root.FS(), dir)
	if err != nil {
		return err
	}
	b := &blob{in: c, name: string(name), dir: dir}
	byFile := map[string]*segment{}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), partSuffix) {
			e.remove(dir + "/" + f.Name())
		}
		number, id, ok := cutBlockName(f.Name())
		info, err := f.Info()
		if !ok || err != nil {
			continue
		}
		b.next = max(b.next, number)
		byFile[f.Name()] = &segment{id: id, file: dir + "/" + f.Name(), size: info.Size()}
		b.touched = latest(b.touched, info.ModTime())
	}
	if err := e.loadContent(b, byFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	e.used += footprint
	c.blobs[b.name] = b
	e.sort(b, byFile)
	e.tidy(b)
	return nil
}

// sort tells uncommitted blocks from what is left over.
func (e *Endpoint) sort(b *blob, byFile map[string]*segment) {
	b.staged = map[string]*segment{}
	for _, s := range byFile {
		b.files++
		e.used += s.cost()
		if s.refs > 0 {
			continue // of the content
		}
		s.refs = 1
		switch other := b.staged[s.id]; {
		case s.id == "": // of a Put Blob that did not end
			e.drop(b, s)
		case other == nil:
			b.staged[s.id] = s
		case other.file < s.file: // the newer one counts
			e.drop(b, other)
			b.staged[s.id] = s
		default:
			e.drop(b, s)
		}
	}
}

func (e *Endpoint) loadContent(b *blob, byFile map[string]*segment) error {
	text, err := e.root.ReadFile(b.dir + "/" + metaFile)
	if err != nil {
		return err
	}
	var r contentRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	c := &content{headers: r.headers, etag: r.ETag, made: r.Made, modified: r.Modified, refs: 1}
	for _, block := range r.Blocks {
		s := byFile[block.File]
		if s == nil || s.size != block.Size {
			return fmt.Errorf("blob: the file %q is not what it was", block.File)
		}
		s.id = string(block.ID)
		c.segments = append(c.segments, s)
		c.size += s.size
	}
	for _, s := range c.segments {
		s.refs++
	}
	b.content = c
	return nil
}

// cutBlockName takes the name of a block's file apart.
func cutBlockName(name string) (number uint64, id string, ok bool) {
	rest, isBlock := strings.CutPrefix(name, blockPrefix)
	digits, hexID, hasID := strings.Cut(rest, "-")
	raw, err := hex.DecodeString(hexID)
	if _, scan := fmt.Sscanf(digits, "%d", &number); !isBlock || !hasID || err != nil || scan != nil {
		return 0, "", false
	}
	return number, string(raw), true
}

func latest(a, b time.Time) time.Time { return slices.MaxFunc([]time.Time{a, b}, time.Time.Compare) }
