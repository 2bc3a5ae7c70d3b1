package blob

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestABlobComesBackAsItWasPut(t *testing.T) {
	s := open(t, Options{})
	put := s.put("dev/a b+c%.txt", "hello", "Content-Type", "text/plain", "x-ms-meta-Where", "here", "x-ms-blob-cache-control", "no-cache").want(t, "put", 201, "")
	got := s.get("dev/a b+c%.txt").want(t, "get", 200, "")
	sum := md5.Sum([]byte("hello"))
	for name, want := range map[string]string{
		"ETag": put.Header.Get("ETag"), "Content-Type": "text/plain", "x-ms-meta-where": "here", "Cache-Control": "no-cache",
		"Content-Length": "5", "x-ms-blob-type": "BlockBlob", "Content-MD5": base64.StdEncoding.EncodeToString(sum[:]), "x-ms-version": sasVersion,
	} {
		if v := written(got.raw, name); v != want || want == "" {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	if got.body != "hello" || written(got.raw, "x-ms-request-id") == "" {
		t.Errorf("got %q with %v", got.body, got.Header)
	}
	head := s.ask("HEAD", "dev/a b+c%.txt", "", "").want(t, "head", 200, "")
	if head.body != "" || head.Header.Get("Content-Length") != "5" {
		t.Errorf("head: %q, %v", head.body, head.Header)
	}
	s.put("dev/a b+c%.txt", "").want(t, "put anew", 201, "")
	s.wantBlob("dev/a b+c%.txt", "")
	s.ask("DELETE", "dev/a b+c%.txt", "", "").want(t, "delete", 202, "")
	s.get("dev/a b+c%.txt").want(t, "get what was deleted", 404, "BlobNotFound")
	s.ask("DELETE", "dev/a b+c%.txt", "", "").want(t, "delete again", 404, "BlobNotFound")
}

func TestSlashesOfANameMayBeEncoded(t *testing.T) {
	s := open(t, Options{})
	for _, path := range []string{"/box/dev/a+b", "/box/dev%2Fa+b", "/box/dev%2fa%2bb"} {
		s.askURL("PUT", path+"?"+s.key(), path, "x-ms-blob-type", "BlockBlob").want(t, path, 201, "")
		s.wantBlob("dev/a+b", path)
	}
}

func TestBlocksBecomeABlob(t *testing.T) {
	s := open(t, Options{})
	for i, part := range []string{"one ", "two ", "three"} {
		s.block("x", fmt.Sprintf("%6d", i), part).want(t, "block", 201, "") // as the C SDK has them
	}
	s.get("x").want(t, "get what is not committed", 404, "BlobNotFound")
	s.commitList("x", "Latest:     2", "Uncommitted:     0", "Latest:     2").want(t, "commit", 201, "")
	s.wantBlob("x", "threeone three")

	s.block("x", "     0", "ONE ").want(t, "block", 201, "")
	s.wantBlob("x", "threeone three") // as long as it is not committed
	s.commitList("x", "Latest:     0", "Committed:     0", "Latest:     2", "Uncommitted:     0").want(t, "commit", 201, "")
	s.wantBlob("x", "ONE one threeONE ")
	s.commitList("x", "Uncommitted:     0").want(t, "a block that is committed only", 400, "InvalidBlockList")
	s.commitList("x", "Latest:     1").want(t, "a block that an earlier list left out", 400, "InvalidBlockList")

	s.block("x", "     9", "first").want(t, "block", 201, "")
	s.block("x", "     9", "second").want(t, "the same again", 201, "")
	s.commitList("x", "Latest:     9").want(t, "commit", 201, "")
	s.wantBlob("x", "second")
	s.commitList("x").want(t, "an empty list", 201, "")
	s.wantBlob("x", "")
}

func TestPutBlobDropsUncommittedBlocks(t *testing.T) {
	s := open(t, Options{})
	s.block("x", "a", "block").want(t, "block", 201, "")
	s.put("x", "whole").want(t, "put", 201, "")
	s.commitList("x", "Latest:a").want(t, "commit", 400, "InvalidBlockList")
	s.wantBlob("x", "whole")
}

func TestTheBlocksOfABlobAreListed(t *testing.T) {
	s := open(t, Options{})
	list := func(kind string) string {
		a := s.ask("GET", "x", "comp=blocklist&blocklisttype="+kind, "").want(t, kind, 200, "")
		_, xml, _ := strings.Cut(a.body, "?>")
		return strings.TrimSpace(xml)
	}
	s.block("x", "b", "22").want(t, "block", 201, "")
	s.block("x", "a", "1").want(t, "block", 201, "")
	const staged = "<UncommittedBlocks><Block><Name>YQ==</Name><Size>1</Size></Block><Block><Name>Yg==</Name><Size>2</Size></Block></UncommittedBlocks>"
	if got := list("all"); got != "<BlockList><CommittedBlocks></CommittedBlocks>"+staged+"</BlockList>" {
		t.Error(got)
	}
	s.commitList("x", "Latest:b").want(t, "commit", 201, "")
	s.block("x", "c", "333").want(t, "block", 201, "")
	const committed = "<CommittedBlocks><Block><Name>Yg==</Name><Size>2</Size></Block></CommittedBlocks>"
	for kind, want := range map[string]string{
		"":            committed + "<UncommittedBlocks></UncommittedBlocks>",
		"committed":   committed + "<UncommittedBlocks></UncommittedBlocks>",
		"uncommitted": "<CommittedBlocks></CommittedBlocks><UncommittedBlocks><Block><Name>Yw==</Name><Size>3</Size></Block></UncommittedBlocks>",
		"All":         committed + "<UncommittedBlocks><Block><Name>Yw==</Name><Size>3</Size></Block></UncommittedBlocks>",
	} {
		if got := list(kind); got != "<BlockList>"+want+"</BlockList>" {
			t.Errorf("%q: %s", kind, got)
		}
	}
	s.ask("GET", "x", "comp=blocklist&blocklisttype=some", "").want(t, "an unknown kind", 400, "InvalidQueryParameterValue")
	s.ask("GET", "none", "comp=blocklist", "").want(t, "no blob", 404, "BlobNotFound")
}

func TestBlocksThatAreRefused(t *testing.T) {
	s := open(t, Options{})
	s.block("x", "abc", "1").want(t, "block", 201, "")
	crc := make([]byte, 8)
	binary.LittleEndian.PutUint64(crc, crc64.Checksum([]byte("body"), crcTable))
	good, sum := base64.StdEncoding.EncodeToString(crc), md5.Sum([]byte("body"))
	s.block("x", "crc", "body", "x-ms-content-crc64", good).want(t, "the right CRC-64", 201, "")
	s.block("x", "md5", "body", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])).want(t, "the right MD5", 201, "")
	for name, c := range map[string]struct {
		a      answer
		status int
		code   string
	}{
		"an id of another length":    {s.block("x", "abcd", "1"), 400, "InvalidBlobOrBlock"},
		"no id":                      {s.ask("PUT", "x", "comp=block", "1"), 400, "InvalidQueryParameterValue"},
		"an id that is not base64":   {s.ask("PUT", "x", "comp=block&blockid=abc", "1"), 400, "InvalidQueryParameterValue"},
		"an id that is too long":     {s.block("y", strings.Repeat("x", 65), "1"), 400, "InvalidQueryParameterValue"},
		"nothing in it":              {s.block("x", "abc", ""), 400, "InvalidHeaderValue"},
		"another CRC-64":             {s.block("x", "bad", "Body", "x-ms-content-crc64", good), 400, "Crc64Mismatch"},
		"a CRC-64 that is none":      {s.block("x", "bad", "body", "x-ms-content-crc64", "AAAA"), 400, "InvalidHeaderValue"},
		"another MD5":                {s.block("x", "bad", "Body", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])), 400, "Md5Mismatch"},
		"an MD5 that is none":        {s.block("x", "bad", "body", "Content-MD5", "AAAA"), 400, "InvalidMd5"},
		"both":                       {s.block("x", "bad", "body", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:]), "x-ms-content-crc64", good), 400, "InvalidHeaderValue"},
		"to be copied":               {s.block("x", "bad", "body", "x-ms-copy-source", "https://x/y"), 400, "UnsupportedHeader"},
		"a blob of another type":     {s.ask("PUT", "y", "", "", "x-ms-blob-type", "PageBlob"), 400, "UnsupportedHeader"},
		"a blob of no type":          {s.ask("PUT", "y", "", ""), 400, "MissingRequiredHeader"},
		"another MD5 of a blob":      {s.put("y", "Body", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])), 400, "Md5Mismatch"},
		"too much metadata":          {s.put("y", "", "x-ms-meta-a", strings.Repeat("x", maxMetadata)), 400, "MetadataTooLarge"},
		"a date that is none":        {s.put("y", "", "If-Modified-Since", "yesterday"), 400, "InvalidHeaderValue"},
		"a list with another block":  {s.commitList("x", "Latest:abc", "Latest:abd"), 400, "InvalidBlockList"},
		"a list of no blob":          {s.commitList("y", "Latest:abc"), 400, "InvalidBlockList"},
		"a list of bad ids":          {s.ask("PUT", "x", "comp=blocklist", "<BlockList><Latest>abc</Latest></BlockList>"), 400, "InvalidBlockList"},
		"a list of long ids":         {s.ask("PUT", "x", "comp=blocklist", "<BlockList><Latest>"+strings.Repeat("YWJj", 100)+"</Latest></BlockList>"), 400, "InvalidBlockList"},
		"a list of something else":   {s.ask("PUT", "x", "comp=blocklist", "<BlockList><Last>YWJj</Last></BlockList>"), 400, "InvalidXmlDocument"},
		"a list that is cut":         {s.ask("PUT", "x", "comp=blocklist", "<BlockList><Latest>YWJj</Latest>"), 400, "InvalidXmlDocument"},
		"a list in a list":           {s.ask("PUT", "x", "comp=blocklist", "<BlockList><Latest><a>YWJj</a></Latest></BlockList>"), 400, "InvalidXmlDocument"},
		"two lists":                  {s.ask("PUT", "x", "comp=blocklist", "<BlockList/><BlockList/>"), 400, "InvalidXmlDocument"},
		"a list that is no list":     {s.ask("PUT", "x", "comp=blocklist", "<Blocks/>"), 400, "InvalidXmlDocument"},
		"no list":                    {s.ask("PUT", "x", "comp=blocklist", ""), 400, "InvalidXmlDocument"},
		"a list that is JSON":        {s.ask("PUT", "x", "comp=blocklist", "{}"), 400, "InvalidXmlDocument"},
		"a list that is too large":   {s.ask("PUT", "x", "comp=blocklist", strings.Repeat(" ", maxList+1)), 413, "RequestBodyTooLarge"},
		"a list that is too long":    {s.ask("PUT", "x", "comp=blocklist", "<BlockList>"+strings.Repeat("<Latest>YWJj</Latest>", maxBlocks+1)+"</BlockList>"), 400, "BlockListTooLong"},
		"an unknown component":       {s.ask("PUT", "x", "comp=lease", ""), 405, "UnsupportedHttpVerb"},
		"an unknown verb":            {s.ask("PATCH", "x", "", ""), 405, "UnsupportedHttpVerb"},
		"a container's making":       {s.ask("PUT", "", "restype=container", ""), 405, "UnsupportedHttpVerb"},
		"a container without a word": {s.ask("GET", "", "", ""), 405, "UnsupportedHttpVerb"},
	} {
		c.a.want(t, name, c.status, c.code)
	}
	s.commitList("x", "Latest:abc", "Latest:crc", "Latest:md5").want(t, "the list at last", 201, "")
	s.wantBlob("x", "1bodybody")
	s.get("y").want(t, "what was refused", 404, "BlobNotFound")
}

func TestAListOfFiftyThousandBlocks(t *testing.T) {
	s := open(t, Options{})
	s.block("x", "abc", "12").want(t, "block", 201, "")
	list := make([]string, maxBlocks)
	for i := range list {
		list[i] = "Latest:abc"
	}
	s.commitList("x", list...).want(t, "commit", 201, "")
	s.wantBlob("x", strings.Repeat("12", maxBlocks))
	if a := s.get("x", "x-ms-range", "bytes=99999-"); a.body != "2" {
		t.Errorf("the last byte: %q", a.body)
	}
}

func TestRanges(t *testing.T) {
	s := open(t, Options{})
	s.block("x", "a", "0123").want(t, "block", 201, "")
	s.block("x", "b", "4567").want(t, "block", 201, "")
	s.commitList("x", "Latest:a", "Latest:b").want(t, "commit", 201, "")
	for _, c := range []struct{ text, want, contentRange string }{
		{"bytes=0-", "01234567", "bytes 0-7/8"},
		{"bytes=2-5", "2345", "bytes 2-5/8"},
		{"bytes=4-4", "4", "bytes 4-4/8"},
		{"bytes=7-900", "7", "bytes 7-7/8"},
		{"bytes=5-3", "01234567", ""},
		{"bytes=-3", "01234567", ""},
		{"lines=1-2", "01234567", ""},
		{"bytes=99999999999999999999-", "01234567", ""},
	} {
		status := http.StatusOK
		if c.contentRange != "" {
			status = http.StatusPartialContent
		}
		for _, name := range []string{"Range", "x-ms-range"} {
			a := s.get("x", name, c.text).want(t, c.text, status, "")
			if a.body != c.want || a.Header.Get("Content-Range") != c.contentRange {
				t.Errorf("%s %s: %q, %q", name, c.text, a.body, a.Header.Get("Content-Range"))
			}
		}
	}
	s.get("x", "Range", "bytes=8-").want(t, "behind the end", 416, "InvalidRange")
	s.put("empty", "").want(t, "put", 201, "")
	s.get("empty", "Range", "bytes=0-").want(t, "of nothing", 416, "InvalidRange")
}

func TestConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Options{})
		etag := s.put("x", "1").Header.Get("ETag")
		now := time.Now().UTC().Format(http.TimeFormat)
		before := time.Now().UTC().Add(-time.Hour).Format(http.TimeFormat)
		for _, c := range []struct {
			name, value string
			read, write string // codes
		}{
			{"If-Match", "its own", "", ""},
			{"If-Match", "*", "", ""},
			{"If-Match", `"0x1"`, "ConditionNotMet", "ConditionNotMet"},
			{"If-None-Match", `"0x1"`, "", ""},
			{"If-None-Match", "its own", "ConditionNotMet", "ConditionNotMet"},
			{"If-None-Match", "*", "ConditionNotMet", "BlobAlreadyExists"},
			{"If-Modified-Since", before, "", ""},
			{"If-Modified-Since", now, "ConditionNotMet", "ConditionNotMet"},
			{"If-Unmodified-Since", now, "", ""},
			{"If-Unmodified-Since", before, "ConditionNotMet", "ConditionNotMet"},
		} {
			name := c.name + ": " + c.value
			if c.value == "its own" {
				c.value = etag
			}
			if a := s.get("x", c.name, c.value); a.code() != c.read {
				t.Errorf("get with %s: %d %q", name, a.StatusCode, a.code())
			}
			if a := s.ask("HEAD", "x", "", "", c.name, c.value); a.code() != c.read {
				t.Errorf("head with %s: %d %q", name, a.StatusCode, a.code())
			}
			if a := s.put("x", "2", c.name, c.value); a.code() != c.write {
				t.Errorf("put with %s: %d %q", name, a.StatusCode, a.code())
			} else if a.code() == "" {
				etag = a.Header.Get("ETag")
			}
		}
		s.get("x", "If-None-Match", etag).want(t, "not modified", 304, "ConditionNotMet")
		s.put("x", "", "If-None-Match", "*").want(t, "exists", 409, "BlobAlreadyExists")
		s.put("new", "", "If-None-Match", "*").want(t, "does not exist", 201, "")
		s.put("newer", "", "If-Match", "*").want(t, "does not exist", 412, "ConditionNotMet")
		s.ask("DELETE", "x", "", "", "If-Match", `"0x1"`).want(t, "delete another", 412, "ConditionNotMet")
		s.get("newer").want(t, "what was not made", 404, "BlobNotFound")
	})
}

func TestAListOfBlobs(t *testing.T) {
	s := open(t, Options{})
	for _, name := range []string{"a", "b/1", "b/2", "b/c/3", "d&<>", "e"} {
		s.put(name, name).want(t, "put", 201, "")
	}
	s.block("f", "id", "uncommitted").want(t, "block", 201, "")
	all := func(query string) (names []string) {
		for marker := ""; ; {
			a := s.ask("GET", "", "restype=container&comp=list&marker="+marker+query, "").want(t, query, 200, "")
			for _, part := range strings.Split(a.body, "<Name>")[1:] {
				name, _, _ := strings.Cut(part, "</Name>")
				names = append(names, name)
			}
			_, rest, _ := strings.Cut(a.body, "<NextMarker>")
			if marker, _, _ = strings.Cut(rest, "</NextMarker>"); marker == "" {
				return names
			}
		}
	}
	for query, want := range map[string][]string{
		"":                                    {"a", "b/1", "b/2", "b/c/3", "d&amp;&lt;&gt;", "e"},
		"&maxresults=1":                       {"a", "b/1", "b/2", "b/c/3", "d&amp;&lt;&gt;", "e"},
		"&maxresults=4":                       {"a", "b/1", "b/2", "b/c/3", "d&amp;&lt;&gt;", "e"},
		"&prefix=b":                           {"b/1", "b/2", "b/c/3"},
		"&delimiter=/":                        {"a", "b/", "d&amp;&lt;&gt;", "e"},
		"&delimiter=/&maxresults=1":           {"a", "b/", "d&amp;&lt;&gt;", "e"},
		"&prefix=b/&delimiter=/":              {"b/1", "b/2", "b/c/"},
		"&prefix=b/&delimiter=/&maxresults=2": {"b/1", "b/2", "b/c/"},
		"&prefix=none":                        nil,
	} {
		if diff := cmp.Diff(want, all(query)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", query, diff)
		}
	}
	s.ask("GET", "", "restype=container&comp=list&maxresults=0", "").want(t, "no results", 400, "InvalidQueryParameterValue")
	s.ask("GET", "", "restype=container&comp=list&marker=!", "").want(t, "a bad marker", 400, "InvalidQueryParameterValue")
	if a := s.ask("HEAD", "", "restype=container", "").want(t, "container", 200, ""); a.Header.Get("ETag") == "" {
		t.Errorf("container: %v", a.Header)
	}
}
