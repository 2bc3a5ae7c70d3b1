package blob

import (
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxResults is the largest page of a list of blobs.
const maxResults = 5000

// xmlBlockList is the answer to Get Block List.
type xmlBlockList struct {
	XMLName     xml.Name   `xml:"BlockList"`
	Committed   []xmlBlock `xml:"CommittedBlocks>Block"`
	Uncommitted []xmlBlock `xml:"UncommittedBlocks>Block"`
}

type xmlBlock struct {
	Name string // base64
	Size int64
}

func blockOf(s *segment) xmlBlock {
	return xmlBlock{base64.StdEncoding.EncodeToString([]byte(s.id)), s.size}
}

// getBlockList is Get Block List.
func (x *exchange) getBlockList() error {
	kind := strings.ToLower(x.query.Get("blocklisttype"))
	switch kind {
	case "", "committed", "uncommitted", "all":
	default:
		return errQuery
	}
	list, c, err := x.endpoint.blocks(x.place, kind != "uncommitted", kind == "uncommitted" || kind == "all")
	if err != nil {
		return err
	}
	if c != nil {
		c.sayVersion(x.w.Header())
		x.w.Header()["x-ms-blob-content-length"] = []string{strconv.FormatInt(c.size, 10)}
	}
	return x.answerXML(list)
}

func (x *exchange) answerXML(v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	x.w.Header()["Content-Type"] = []string{"application/xml"}
	x.answer(http.StatusOK, append([]byte(xml.Header), b...))
	return nil
}

// blocks returns the blocks of a blob, and its content, which may be nil.
func (e *Endpoint) blocks(p place, committed, uncommitted bool) (list xmlBlockList, c *content, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, err := e.lookUp(p)
	if err != nil {
		return list, nil, err
	}
	if b.content == nil && len(b.staged) == 0 {
		return list, nil, errNoBlob
	}
	if b.content != nil && committed {
		for _, s := range b.content.segments {
			if s.id != "" {
				list.Committed = append(list.Committed, blockOf(s))
			}
		}
	}
	if uncommitted {
		for _, id := range slices.Sorted(maps.Keys(b.staged)) {
			list.Uncommitted = append(list.Uncommitted, blockOf(b.staged[id]))
		}
	}
	return list, b.content, nil
}

// xmlList is the answer to List Blobs.
type xmlList struct {
	XMLName         xml.Name `xml:"EnumerationResults"`
	ServiceEndpoint string   `xml:",attr"`
	ContainerName   string   `xml:",attr"`
	Prefix          string
	Marker          string
	MaxResults      int
	Delimiter       string
	Blobs           []any `xml:"Blobs>x"`
	NextMarker      string
}

type xmlBlob struct {
	XMLName    xml.Name `xml:"Blob"`
	Name       string
	Properties struct {
		CreationTime string `xml:"Creation-Time"`
		LastModified string `xml:"Last-Modified"`
		Etag         string
		Length       int64  `xml:"Content-Length"`
		Type         string `xml:"Content-Type"`
		Encoding     string `xml:"Content-Encoding"`
		Language     string `xml:"Content-Language"`
		MD5          string `xml:"Content-MD5"`
		Cache        string `xml:"Cache-Control"`
		Disposition  string `xml:"Content-Disposition"`
		BlobType     string
		LeaseStatus  string
		LeaseState   string
	}
}

type xmlPrefix struct {
	XMLName xml.Name `xml:"BlobPrefix"`
	Name    string
}

func newXMLBlob(name string, c *content) xmlBlob {
	b := xmlBlob{Name: name}
	p := &b.Properties
	p.CreationTime, p.LastModified = c.made.Format(http.TimeFormat), c.modified.Format(http.TimeFormat)
	p.Etag, p.Length, p.MD5 = c.etag, c.size, c.MD5
	p.Type, p.Encoding, p.Language, p.Cache, p.Disposition = c.Type, c.Encoding, c.Language, c.Cache, c.Disposition
	p.BlobType, p.LeaseStatus, p.LeaseState = "BlockBlob", "unlocked", "available"
	return b
}

// list is List Blobs, of committed ones.
func (x *exchange) list() error {
	l := xmlList{
		ServiceEndpoint: "https://" + x.Host + "/", ContainerName: x.container,
		Prefix: x.query.Get("prefix"), Marker: x.query.Get("marker"), Delimiter: x.query.Get("delimiter"), MaxResults: maxResults,
	}
	if text := x.query.Get("maxresults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return errQuery
		}
		l.MaxResults = min(n, maxResults)
	}
	after, err := base64.RawURLEncoding.DecodeString(l.Marker)
	if err != nil {
		return errQuery
	}
	if err := x.endpoint.fill(&l, string(after)); err != nil {
		return err
	}
	return x.answerXML(l)
}

// fill puts a page of blobs into l: what comes after a name, or after the names that begin
// with it when it is a folder.
func (e *Endpoint) fill(l *xmlList, after string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed
	}
	c := e.containers[l.ContainerName]
	if c == nil {
		return errNoContainer
	}
	last := ""
	for _, name := range slices.Sorted(maps.Keys(c.blobs)) {
		b := c.blobs[name]
		rest, ok := strings.CutPrefix(name, l.Prefix)
		if !ok || b.content == nil || name <= after {
			continue
		}
		folder := ""
		if i := strings.Index(rest, l.Delimiter); l.Delimiter != "" && i >= 0 {
			folder = l.Prefix + rest[:i+len(l.Delimiter)]
			if folder == last || strings.HasPrefix(after, folder) {
				continue
			}
		}
		if len(l.Blobs) == l.MaxResults {
			l.NextMarker = base64.RawURLEncoding.EncodeToString([]byte(last))
			return nil
		}
		if folder != "" {
			l.Blobs, last = append(l.Blobs, xmlPrefix{Name: folder}), folder
		} else {
			l.Blobs, last = append(l.Blobs, newXMLBlob(name, b.content)), name
		}
	}
	return nil
}

// containerProperties is Get Container Properties.
func (x *exchange) containerProperties() error {
	x.endpoint.mu.Lock()
	c := x.endpoint.containers[x.container]
	x.endpoint.mu.Unlock()
	if c == nil {
		return errNoContainer
	}
	h := x.w.Header()
	h["ETag"] = []string{`"` + c.etag + `"`}
	h["Last-Modified"] = []string{c.made.UTC().Format(http.TimeFormat)}
	h["x-ms-lease-status"], h["x-ms-lease-state"] = []string{"unlocked"}, []string{"available"}
	x.answer(http.StatusOK, nil)
	return nil
}
