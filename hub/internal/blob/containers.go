package blob

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hubwire/hubwire/sas"
)

// Containers reads and writes blobs of containers that are named by URLs with a token, this
// hub's own or others. It is a [core.Containers]. It speaks the REST API of blob storage.
type Containers struct{ http *http.Client }

// blockSize is how much of a blob is written at once, in bytes.
const blockSize = 4 << 20

// NewContainers returns one that reaches storage by rt.
func NewContainers(rt http.RoundTripper) *Containers {
	c := &Containers{&http.Client{Transport: rt}}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // it would take the token along
	return c
}

// checkedBlob is a blob that no container has.
const checkedBlob = "hubwire-check-that-this-may-be-used"

// Check implements [core.Containers]. It asks for a blob that is not there, or writes one under a
// condition that cannot hold.
func (c *Containers) Check(ctx context.Context, container sas.Secret, write bool) error {
	if !write {
		res, err := c.do(ctx, http.MethodHead, container, checkedBlob, "", nil, nil)
		if err != nil {
			return err
		}
		res.Body.Close()
		if code := res.Header.Get("x-ms-error-code"); res.StatusCode != http.StatusNotFound || code == errNoContainer.code {
			return answered(res)
		}
		return nil
	}
	h := http.Header{"X-Ms-Blob-Type": {"BlockBlob"}, "If-Match": {`"0x0"`}}
	res, err := c.do(ctx, http.MethodPut, container, checkedBlob, "", h, []byte{})
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusPreconditionFailed {
		return answered(res)
	}
	return nil
}

// Read implements [core.Containers].
func (c *Containers) Read(ctx context.Context, container sas.Secret, blob string) (io.ReadCloser, int64, error) {
	res, err := c.do(ctx, http.MethodGet, container, blob, "", nil, nil)
	if err != nil {
		return nil, 0, err
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, 0, answered(res)
	}
	return res.Body, res.ContentLength, nil
}

// Write implements [core.Containers]. What content writes goes out in blocks, of which nothing
// is to be seen before the last.
func (c *Containers) Write(ctx context.Context, container sas.Secret, blob string, content func(io.Writer) error) error {
	w := &blockWriter{ctx: ctx, c: c, container: container, blob: blob}
	if err := content(w); err != nil {
		return err
	}
	return w.commit()
}

// blockWriter writes a blob block by block.
type blockWriter struct {
	ctx       context.Context // of the one Write that it is made for
	c         *Containers
	container sas.Secret
	blob      string
	buf       []byte
	ids       []string
}

func (w *blockWriter) Write(b []byte) (n int, err error) {
	for n < len(b) {
		part := b[n:min(len(b), n+blockSize-len(w.buf))]
		w.buf, n = append(w.buf, part...), n+len(part)
		if len(w.buf) == blockSize {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// flush writes a block.
func (w *blockWriter) flush() error {
	id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%06d", len(w.ids)))
	if err := w.put("comp=block&blockid="+url.QueryEscape(id), w.buf); err != nil {
		return err
	}
	w.ids, w.buf = append(w.ids, id), w.buf[:0]
	return nil
}

// commit makes a blob of the blocks.
func (w *blockWriter) commit() error {
	if len(w.buf) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	list := struct {
		XMLName xml.Name `xml:"BlockList"`
		Latest  []string
	}{Latest: w.ids}
	b, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	return w.put("comp=blocklist", append([]byte(xml.Header), b...))
}

func (w *blockWriter) put(query string, body []byte) error {
	res, err := w.c.do(w.ctx, http.MethodPut, w.container, w.blob, query, nil, body)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return answered(res)
	}
	return nil
}

// do asks for a blob, with more in the query than the container's token. The errors do not
// hold the URL.
func (c *Containers) do(ctx context.Context, method string, container sas.Secret, blob, query string, h http.Header, body []byte) (*http.Response, error) {
	u, err := url.Parse(container.Reveal())
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("blob: the container's URL is none, or not https")
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/")+"/"+blob, ""
	if query != "" {
		u.RawQuery = query + "&" + u.RawQuery
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), reader)
	if err != nil {
		return nil, errors.New("blob: the container's URL is none")
	}
	if h != nil {
		r.Header = h
	}
	r.Header["X-Ms-Version"] = []string{sasVersion}
	res, err := c.http.Do(r)
	var e *url.Error // its text has the URL, and so the token
	if errors.As(err, &e) {
		err = e.Err
	}
	return res, err
}

// answered is the error of an answer that is another than the one that was asked for.
func answered(res *http.Response) error {
	return fmt.Errorf("blob: the storage answered %d, %.60q", res.StatusCode, res.Header.Get("x-ms-error-code"))
}
