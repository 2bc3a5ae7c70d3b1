package blob

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a request that is refused, and of one that makes no progress.
const (
	maxName     = 1024
	maxMetadata = 8 << 10
	stall       = 60 * time.Second // for the next piece of a body, either way
	drainBytes  = 16 << 20         // of a body that nobody wants, so that the peer hears why
	drainTime   = 10 * time.Second
)

// exchange is a request and its answer.
type exchange struct {
	*http.Request
	place
	endpoint *Endpoint
	w        http.ResponseWriter
	control  *http.ResponseController
	query    url.Values
}

// Wants reports whether a request is for a storage account, and not for the hub: it says
// which version of storage it speaks, or shows a token in its query.
func (e *Endpoint) Wants(r *http.Request) bool {
	return len(r.Header["X-Ms-Version"]) > 0 || strings.HasPrefix(r.URL.RawQuery, "sig=") || strings.Contains(r.URL.RawQuery, "&sig=")
}

// Serve answers a request, and calls admit once it is authorized. It sets the deadlines of
// the connection.
func (e *Endpoint) Serve(w http.ResponseWriter, r *http.Request, admit func()) {
	x := &exchange{Request: r, endpoint: e, w: w, control: http.NewResponseController(w), query: r.URL.Query()}
	h := w.Header()
	h["x-ms-request-id"] = []string{rand.Text()}
	h["x-ms-version"] = []string{sasVersion}
	if id := r.Header.Get("x-ms-client-request-id"); id != "" && len(id) <= maxName {
		h["x-ms-client-request-id"] = []string{id}
	}
	if err := x.act(admit); err != nil {
		x.fail(err)
	}
}

// act finds the operation of the request, checks its token, and carries it out.
func (x *exchange) act(admit func()) error {
	var err error
	if x.place, err = placeOf(x.URL.EscapedPath()); err != nil {
		return err
	}
	op, permissions := x.operation()
	if op == nil {
		return errVerb
	}
	if err := x.endpoint.signer.authorize(x.query, x.place, permissions, time.Now()); err != nil {
		return err
	}
	admit()
	return op()
}

// operation returns what the request does, and the permissions of which it needs one.
func (x *exchange) operation() (op func() error, permissions string) {
	comp := strings.ToLower(x.query.Get("comp"))
	if x.blob == "" {
		switch {
		case x.query.Get("restype") != "container":
		case comp == "list" && x.Method == http.MethodGet:
			return x.list, "l"
		case comp == "" && (x.Method == http.MethodGet || x.Method == http.MethodHead):
			return x.containerProperties, "rl"
		}
		return nil, ""
	}
	switch x.Method + " " + comp {
	case "PUT ":
		return x.put, "w"
	case "PUT block":
		return x.putBlock, "w"
	case "PUT blocklist":
		return x.putBlockList, "w"
	case "GET ", "HEAD ":
		return x.get, "r"
	case "GET blocklist":
		return x.getBlockList, "r"
	case "DELETE ":
		return x.delete, "d"
	}
	return nil, ""
}

// placeOf takes a path apart. The name of a blob may be encoded in any way, its slashes too:
// SDKs differ. Segments of dots are refused, since whoever resolves them sees another blob.
func placeOf(escaped string) (p place, err error) {
	container, name, _ := strings.Cut(strings.TrimPrefix(escaped, "/"), "/")
	if p.container, err = url.PathUnescape(container); err != nil {
		return p, errURI
	}
	if p.blob, err = url.PathUnescape(name); err != nil || CheckContainer(p.container) != nil {
		return p, errURI
	}
	switch segments := strings.Split(p.blob, "/"); {
	case utf8.RuneCountInString(p.blob) > maxName:
		return p, errNameLength
	case !utf8.ValidString(p.blob), strings.ContainsFunc(p.blob, unicode.IsControl),
		slices.Contains(segments, "."), slices.Contains(segments, ".."):
		return p, errName
	}
	return p, nil
}

// fail answers with an error.
func (x *exchange) fail(err error) {
	f := errInternal
	if !errors.As(err, &f) {
		x.endpoint.opt.Log.Error("blob: a request failed", "error", err)
	}
	if f == errBody { // the peer is gone, or too slow
		x.w.Header()["Connection"] = []string{"close"}
	} else {
		x.drain()
	}
	h := x.w.Header()
	h["x-ms-error-code"] = []string{f.code}
	if f.status == http.StatusUnauthorized {
		h["WWW-Authenticate"] = []string{"SharedAccessSignature"}
	}
	if f.status == http.StatusNotModified {
		x.answer(f.status, nil)
		return
	}
	h["Content-Type"] = []string{"application/xml"}
	x.answer(f.status, f.body())
}

// drain reads what is left of a body, within bounds: a peer that is still writing would
// otherwise see its connection end instead of the answer.
func (x *exchange) drain() {
	if x.ContentLength <= 0 || x.Header.Get("Expect") != "" {
		return
	}
	_ = x.control.SetReadDeadline(time.Now().Add(drainTime))
	if n, err := io.Copy(io.Discard, io.LimitReader(x.Body, drainBytes)); err != nil || n == drainBytes {
		x.w.Header()["Connection"] = []string{"close"}
	}
}

// answer sends an answer and its body, if it is not one to HEAD.
func (x *exchange) answer(status int, body []byte) {
	h := x.w.Header()
	if status != http.StatusNoContent && status != http.StatusNotModified {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	_ = x.control.SetWriteDeadline(time.Now().Add(stall)) // an error here shows again in the write
	x.w.WriteHeader(status)
	if x.Method != http.MethodHead {
		_, _ = x.w.Write(body) // who does not read it does without
	}
}

// upload returns the body with what the request says of it.
func (x *exchange) upload(limit int64) (*upload, error) {
	switch {
	case x.ContentLength < 0:
		return nil, errNoLength
	case x.ContentLength > limit:
		return nil, errTooLarge
	}
	u := &upload{body: &patient{x.Body, x.control}, length: x.ContentLength}
	if text := x.Header.Get("Content-MD5"); text != "" {
		sum, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(sum) != 16 {
			return nil, errMD5
		}
		u.md5 = sum
	}
	if text := x.Header.Get("x-ms-content-crc64"); text != "" {
		sum, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(sum) != 8 || u.md5 != nil {
			return nil, errHeader
		}
		crc := binary.LittleEndian.Uint64(sum)
		u.crc = &crc
	}
	return u, nil
}

// patient is a body whose peer has some time for each piece of it.
type patient struct {
	io.Reader
	control *http.ResponseController
}

func (p *patient) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(stall)) // an error here shows again in the read
	return p.Reader.Read(b)
}

// headers returns what the request says of the blob.
func (x *exchange) headers() (headers, error) {
	h := headers{
		Type:        x.Header.Get("x-ms-blob-content-type"),
		Encoding:    x.Header.Get("x-ms-blob-content-encoding"),
		Language:    x.Header.Get("x-ms-blob-content-language"),
		Disposition: x.Header.Get("x-ms-blob-content-disposition"),
		Cache:       x.Header.Get("x-ms-blob-cache-control"),
		MD5:         x.Header.Get("x-ms-blob-content-md5"),
	}
	if sum, err := base64.StdEncoding.DecodeString(h.MD5); err != nil || len(sum) != 16 && h.MD5 != "" {
		return h, errMD5
	}
	size := len(h.Type) + len(h.Encoding) + len(h.Language) + len(h.Disposition) + len(h.Cache)
	for name, values := range x.Header {
		if meta, ok := strings.CutPrefix(name, "X-Ms-Meta-"); ok {
			if h.Meta == nil {
				h.Meta = map[string]string{}
			}
			h.Meta[strings.ToLower(meta)] = values[0]
			size += len(meta) + len(values[0])
		}
	}
	if size > maxMetadata {
		return h, errMetadata
	}
	return h, nil
}

// say writes the headers of an answer that tell of a blob.
func (c *content) say(h http.Header) {
	c.sayVersion(h)
	for name, value := range map[string]string{
		"Content-Type": c.Type, "Content-Encoding": c.Encoding, "Content-Language": c.Language,
		"Content-Disposition": c.Disposition, "Cache-Control": c.Cache, "Content-MD5": c.MD5,
		"x-ms-creation-time": c.made.Format(http.TimeFormat), "x-ms-blob-type": "BlockBlob", "Accept-Ranges": "bytes",
		"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available",
	} {
		if value != "" {
			h[name] = []string{value}
		}
	}
	for name, value := range maps.All(c.Meta) {
		h["x-ms-meta-"+name] = []string{value}
	}
}

func (c *content) sayVersion(h http.Header) {
	h["ETag"] = []string{`"` + c.etag + `"`}
	h["Last-Modified"] = []string{c.modified.Format(http.TimeFormat)}
}
