package blob

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxList is the largest block list: 50,000 ids with their tags.
const maxList = 8 << 20

// maxIDText is the longest text of an id in a list, with blanks around it.
const maxIDText = 256

// put is Put Blob.
func (x *exchange) put() error {
	switch kind := x.Header.Get("x-ms-blob-type"); {
	case kind == "":
		return errNoBlobType
	case kind != "BlockBlob", x.Header.Get("x-ms-copy-source") != "":
		return errUnsupported
	}
	u, err := x.upload(maxPut)
	if err != nil {
		return err
	}
	h, c, err := x.write()
	if err != nil {
		return err
	}
	if h.Type == "" {
		h.Type = x.Header.Get("Content-Type")
	}
	made, err := x.endpoint.put(x.place, u, withType(h), c)
	if err != nil {
		return err
	}
	x.w.Header()["Content-MD5"] = []string{made.MD5}
	return x.created(made)
}

// write returns what the headers of a request that writes a blob say.
func (x *exchange) write() (headers, *conditions, error) {
	c, err := conditionsOf(x.Request)
	if err != nil {
		return headers{}, nil, err
	}
	h, err := x.headers()
	return h, c, err
}

func withType(h headers) headers {
	if h.Type == "" {
		h.Type = "application/octet-stream"
	}
	return h
}

// created answers that a blob, or with nil a block, was written.
func (x *exchange) created(c *content) error {
	if c != nil {
		c.sayVersion(x.w.Header())
	}
	x.w.Header()["x-ms-request-server-encrypted"] = []string{"false"}
	x.answer(http.StatusCreated, nil)
	return nil
}

// putBlock is Put Block.
func (x *exchange) putBlock() error {
	id, err := base64.StdEncoding.DecodeString(x.query.Get("blockid"))
	switch {
	case err != nil, len(id) == 0, len(id) > maxID:
		return errQuery
	case x.Header.Get("x-ms-copy-source") != "":
		return errUnsupported
	case x.ContentLength == 0:
		return errHeader
	}
	u, err := x.upload(maxBlock)
	if err != nil {
		return err
	}
	if err := x.endpoint.stage(x.place, string(id), u); err != nil {
		return err
	}
	for _, name := range []string{"Content-MD5", "x-ms-content-crc64"} {
		if sum := x.Header.Get(name); sum != "" {
			x.w.Header()[name] = []string{sum}
		}
	}
	return x.created(nil)
}

// putBlockList is Put Block List.
func (x *exchange) putBlockList() error {
	u, err := x.upload(maxList)
	if err != nil {
		return err
	}
	h, c, err := x.write()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := u.copyTo(&text); err != nil {
		return err
	}
	list, err := parseBlockList(&text)
	if err != nil {
		return err
	}
	made, err := x.endpoint.commit(x.place, list, withType(h), c)
	if err != nil {
		return err
	}
	return x.created(made)
}

// parseBlockList reads the body of Put Block List:
//
//	<BlockList><Latest>{id}</Latest>…</BlockList>
func parseBlockList(r io.Reader) (list []blockRef, err error) {
	dec := xml.NewDecoder(r)
	depth, text := 0, ""
	for {
		token, err := dec.Token()
		switch {
		case errors.Is(err, io.EOF):
			if depth != 0 || list == nil {
				return nil, errXML
			}
			return list, nil
		case err != nil:
			return nil, errXML
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch depth++; {
			case depth > 2, depth == 1 && (t.Name.Local != "BlockList" || list != nil):
				return nil, errXML
			case depth == 1:
				list = []blockRef{}
			}
			text = ""
		case xml.CharData:
			if depth != 2 {
				continue
			}
			if text += string(t); len(text) > maxIDText {
				return nil, errBlockList
			}
		case xml.EndElement:
			if depth--; depth != 1 {
				continue
			}
			if len(list) == maxBlocks {
				return nil, errListTooLong
			}
			ref, err := newBlockRef(t.Name.Local, strings.TrimSpace(text))
			if err != nil {
				return nil, err
			}
			list = append(list, ref)
		}
	}
}

func newBlockRef(where, encoded string) (blockRef, error) {
	id, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(id) == 0 || len(id) > maxID {
		return blockRef{}, errBlockList
	}
	ref := blockRef{id: string(id)}
	switch where {
	case "Latest":
		ref.uncommitted, ref.committed = true, true
	case "Uncommitted":
		ref.uncommitted = true
	case "Committed":
		ref.committed = true
	default:
		return blockRef{}, errXML
	}
	return ref, nil
}

// get is Get Blob, and Get Blob Properties.
func (x *exchange) get() error {
	c, err := conditionsOf(x.Request)
	if err != nil {
		return err
	}
	r, err := x.endpoint.open(x.place)
	if err != nil {
		return err
	}
	defer r.close()
	if err := c.checkContent(r.content); err != nil {
		r.sayVersion(x.w.Header())
		return err
	}
	offset, n, partial := int64(0), r.size, false
	if x.Method == http.MethodGet {
		if offset, n, partial, err = rangeOf(x.Header, r.size); err != nil {
			x.w.Header()["Content-Range"] = []string{"bytes */" + strconv.FormatInt(r.size, 10)}
			return err
		}
	}
	h := x.w.Header()
	r.say(h)
	h["Content-Length"] = []string{strconv.FormatInt(n, 10)}
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		h["Content-Range"] = []string{"bytes " + strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+n-1, 10) + "/" + strconv.FormatInt(r.size, 10)}
		if r.MD5 != "" { // that of the whole blob
			delete(h, "Content-MD5")
			h["x-ms-blob-content-md5"] = []string{r.MD5}
		}
	}
	_ = x.control.SetWriteDeadline(time.Now().Add(stall))
	x.w.WriteHeader(status)
	if x.Method == http.MethodHead || n == 0 {
		return nil
	}
	err = r.copy(offset, n, func(piece []byte) error {
		_ = x.control.SetWriteDeadline(time.Now().Add(stall))
		_, err := x.w.Write(piece)
		return err
	})
	if err != nil {
		// The length was told: only the end of the connection says that it is not all there.
		x.endpoint.opt.Log.Info("blob: a blob was not read to its end", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// rangeOf returns the part of a blob that a request wants: "bytes=a-b" or "bytes=a-", in
// x-ms-range or else in Range. Any other form is the whole.
func rangeOf(h http.Header, size int64) (offset, n int64, partial bool, err error) {
	text := h.Get("x-ms-range")
	if text == "" {
		text = h.Get("Range")
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	first, err := strconv.ParseUint(from, 10, 63)
	if !ok || err != nil {
		return 0, size, false, nil
	}
	last := uint64(size) - 1
	if to != "" {
		if last, err = strconv.ParseUint(to, 10, 63); err != nil || last < first {
			return 0, size, false, nil
		}
	}
	if first >= uint64(size) {
		return 0, 0, false, errRange
	}
	last = min(last, uint64(size)-1)
	return int64(first), int64(last - first + 1), true, nil
}

// delete is Delete Blob.
func (x *exchange) delete() error {
	c, err := conditionsOf(x.Request)
	if err != nil {
		return err
	}
	if err := x.endpoint.erase(x.place, c); err != nil {
		return err
	}
	x.w.Header()["x-ms-delete-type-permanent"] = []string{"true"}
	x.answer(http.StatusAccepted, nil)
	return nil
}
