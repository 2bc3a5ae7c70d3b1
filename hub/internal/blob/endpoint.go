package blob

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

// accountName is the name of the endpoint's account. It is in no URL, since the hub's
// host is the account's: it is only signed.
const accountName = "hubwire"

// Options are the options of [Open]. The zero Options are the defaults.
type Options struct {
	// Dir is a directory, made when missing, for blobs and the account's key. Empty
	// means a temporary one, which is made when it is needed and gone with the Endpoint.
	Dir string

	// Container is where devices upload to.
	Container string

	// MaxBytes bounds what lies on disk, where each block and blob counts for
	// at least 4 KiB. 0 means 16 GiB.
	MaxBytes int64

	// Host is where the hub's HTTPS door is: a host, with a port when it is not 443.
	// It is called when a device asks, not before.
	Host func() string

	Log *slog.Logger // nil means none
}

// Endpoint is a blob endpoint on disk. It is a [core.Storage] and serves HTTP ([Endpoint.Serve]).
// Its methods may be called from any goroutine; it starts none.
type Endpoint struct {
	opt    Options
	signer signer

	mu         sync.Mutex // guards what follows, and all below it
	closed     bool
	root       *os.Root // nil as long as nothing was written
	temporary  string   // the directory to remove
	containers map[string]*container
	used       int64
	etags      uint64
}

// Open returns the Endpoint of a directory, with the blobs that are there and the container
// of the options. Damaged ones are left out, which is logged.
func Open(o *Options) (*Endpoint, error) {
	e := &Endpoint{opt: *o, containers: map[string]*container{}}
	e.opt.MaxBytes = cmp.Or(e.opt.MaxBytes, 16<<30)
	if e.opt.Log == nil {
		e.opt.Log = slog.New(slog.DiscardHandler)
	}
	e.etags = uint64(time.Now().UnixNano())
	key, err := e.openKey()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("blob: %w", err), e.Close())
	}
	e.signer = signer{accountName, key}
	if e.opt.Dir != "" {
		if err := e.load(); err != nil {
			return nil, errors.Join(fmt.Errorf("blob: %w", err), e.Close())
		}
	}
	if err := e.Create(e.opt.Container); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// openKey returns the account's key, that of the directory if there is one.
func (e *Endpoint) openKey() (*sas.Key, error) {
	key := make([]byte, keySize)
	rand.Read(key)
	if e.opt.Dir != "" {
		root, err := e.disk()
		if err != nil {
			return nil, err
		}
		kept, err := root.ReadFile(keyFile)
		switch {
		case err == nil && len(kept) == keySize:
			key = kept
		case err == nil:
			return nil, fmt.Errorf("%s has %d bytes, not %d", keyFile, len(kept), keySize)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		default:
			if err := root.WriteFile(keyFile, key, 0o600); err != nil {
				return nil, err
			}
		}
	}
	return sas.NewKey(sas.NewSecret(base64.StdEncoding.EncodeToString(key)))
}

// Close releases the directory, and removes it when it was temporary. Requests that
// come later are refused; those under way must be over.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	var err error
	if e.root != nil {
		err = e.root.Close()
		e.root = nil
	}
	if e.temporary != "" {
		err = errors.Join(err, os.RemoveAll(e.temporary))
		e.temporary = ""
	}
	return err
}

// disk returns the directory, which it makes if it must. The caller holds the lock.
func (e *Endpoint) disk() (*os.Root, error) {
	if e.closed {
		return nil, errClosed
	}
	if e.root != nil {
		return e.root, nil
	}
	dir := e.opt.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "hubwire-blobs-"); err != nil {
			return nil, err
		}
		e.temporary = dir
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	e.root = root
	return root, nil
}

// containerName is what a container's name is.
// Source: "Naming and Referencing Containers, Blobs, and Metadata".
var containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`)

// CheckContainer says what is wrong with a container's name.
func CheckContainer(name string) error {
	if len(name) > 63 || !containerName.MatchString(name) {
		return fmt.Errorf("blob: %.80q is no name of a container: 3 to 63 lower-case letters, digits and single hyphens", name)
	}
	return nil
}

// Create makes a container, if it is not there.
func (e *Endpoint) Create(name string) error {
	if err := CheckContainer(name); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	if e.containers[name] != nil {
		return nil
	}
	if e.opt.Dir != "" {
		root, err := e.disk()
		if err == nil {
			err = root.Mkdir(name, 0o700)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("blob: %w", err)
		}
	}
	e.containers[name] = &container{name: name, made: time.Now(), etag: e.newETag(), blobs: map[string]*blob{}}
	return nil
}

// ContainerURL returns the URL of a container with a token that holds until expires. permissions
// are some of racwdl, in that order.
func (e *Endpoint) ContainerURL(name, permissions string, expires time.Time) sas.Secret {
	p := place{container: name}
	return sas.NewSecret(e.url(p) + e.signer.token(p, permissions, expires).Reveal())
}

// Target implements [core.Storage].
func (e *Endpoint) Target(_ context.Context, host, blob string, expires time.Time) (core.UploadTarget, error) {
	p := place{e.opt.Container, blob}
	return core.UploadTarget{
		HostName: cmp.Or(host, e.opt.Host()), ContainerName: p.container, BlobName: blob,
		SASToken: e.signer.token(p, "rw", expires),
	}, nil
}

// Properties implements [core.Storage].
func (e *Endpoint) Properties(_ context.Context, name string) (core.BlobProperties, error) {
	p := place{e.opt.Container, name}
	c, err := e.open(p)
	if err != nil {
		if errors.Is(err, errNoBlob) {
			err = core.ErrNoBlob
		}
		return core.BlobProperties{}, err
	}
	defer c.close()
	return core.BlobProperties{URI: e.url(p), Size: c.size, LastModified: c.modified}, nil
}

// url returns where p is, without a token.
func (e *Endpoint) url(p place) string { return "https://" + e.opt.Host() + p.path() }

// path returns the path of p in a URL.
func (p place) path() string {
	if p.blob == "" {
		return "/" + p.container
	}
	segments := strings.Split(p.blob, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return "/" + p.container + "/" + strings.Join(segments, "/")
}

// newETag returns an ETag that there was not before. The caller holds the lock.
func (e *Endpoint) newETag() string {
	e.etags++
	return fmt.Sprintf("0x%016X", e.etags)
}
