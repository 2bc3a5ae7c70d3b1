package blob

import (
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
)

// files counts the files of a directory.
func files(t testing.TB, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// wantNoBlobs fails the test when there is a blob, or anything is left of one.
func (s *shop) wantNoBlobs() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.containers[box].blobs); n > 0 || s.used != 0 {
		s.t.Errorf("%d blobs, of %d bytes", n, s.used)
	}
	if s.root != nil {
		if n := files(s.t, s.root.Name()); n > 1 { // the key
			s.t.Errorf("%d files are left", n)
		}
	}
}

func TestBlobsAndBlocksOutliveTheEndpoint(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	s.put("whole", "1").want(t, "put", 201, "")
	etag := s.put("whole", "22", "x-ms-meta-a", "b").want(t, "put", 201, "").Header.Get("ETag")
	s.block("dev/x", "one", "1st ").want(t, "block", 201, "")
	s.commitList("dev/x", "Latest:one").want(t, "commit", 201, "")
	s.block("dev/x", "one", "first ").want(t, "block", 201, "")
	s.block("dev/x", "two", "second").want(t, "block", 201, "")
	s.block("staged", "one", "only").want(t, "block", 201, "")
	used, url := s.used, "/box/whole?"+s.key()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	blob := s.containers[box].blobs["staged"].dir
	for _, name := range []string{"block-000000000009-aa" + partSuffix, "block-000000000010-", metaFile + partSuffix} { // a crash left them
		if err := os.WriteFile(filepath.Join(dir, blob, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, box, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}

	s = open(t, Options{Dir: dir})
	if s.used != used {
		t.Errorf("used %d bytes, before %d", s.used, used)
	}
	a := s.askURL("GET", url, "").want(t, "with the token of before", 200, "")
	if a.body != "22" || a.Header.Get("ETag") != etag || a.Header.Get("x-ms-meta-a") != "b" {
		t.Errorf("%q, %v", a.body, a.Header)
	}
	s.wantBlob("dev/x", "1st ")
	s.commitList("dev/x", "Committed:one", "Latest:one", "Latest:two").want(t, "commit", 201, "")
	s.wantBlob("dev/x", "1st first second")
	s.commitList("staged", "Latest:one").want(t, "commit", 201, "")
	for _, name := range []string{"whole", "dev/x", "staged"} {
		s.ask("DELETE", name, "", "").want(t, "delete", 202, "")
	}
	s.wantNoBlobs()
	if left, err := os.ReadDir(filepath.Join(dir, box)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestADamagedBlobIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	for _, name := range []string{"good", "cut", "garbled", "lost"} {
		s.put(name, "content").want(t, "put", 201, "")
	}
	path := func(name, file string) string { return filepath.Join(dir, s.containers[box].blobs[name].dir, file) }
	block := filepath.Base(s.containers[box].blobs["cut"].content.segments[0].file)
	if err := errors.Join(os.Truncate(path("cut", block), 3), os.WriteFile(path("garbled", metaFile), []byte("{"), 0o600), os.Remove(path("lost", block)), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, Options{Dir: dir})
	s.wantBlob("good", "content")
	for _, name := range []string{"cut", "garbled", "lost"} {
		s.get(name).want(t, name, 404, "BlobNotFound")
	}
}

func TestADirectoryThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"a key that is none":            {Dir: dir, Container: box},
		"a file":                        {Dir: filepath.Join(dir, keyFile), Container: box},
		"a container without a name":    {Dir: t.TempDir()},
		"a container with a bad name":   {Dir: t.TempDir(), Container: "Box"},
		"a container that leads upward": {Dir: t.TempDir(), Container: "../box"},
	} {
		if e, err := Open(&o); err == nil {
			e.Close()
			t.Errorf("%s is taken", name)
		}
	}
}

func TestATemporaryDirectoryIsGoneAtLast(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := open(t, Options{})
	if n, _ := os.ReadDir(os.TempDir()); len(n) != 0 {
		t.Errorf("%d directories before anything was written", len(n))
	}
	s.put("x", "1").want(t, "put", 201, "")
	if n, _ := os.ReadDir(os.TempDir()); len(n) != 1 {
		t.Errorf("%d directories, want one", len(n))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _ := os.ReadDir(os.TempDir()); len(n) != 0 {
		t.Errorf("%d directories are left", len(n))
	}
	s.put("x", "1").want(t, "put after Close", 503, "ServerBusy")
	s.get("x").want(t, "get after Close", 503, "ServerBusy")
	s.commitList("y").want(t, "commit after Close", 503, "ServerBusy")
}

func TestStorageIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Options{MaxBytes: 10 * footprint})
		s.put("big", strings.Repeat("x", 10*footprint)).want(t, "too large at once", 507, "AccountIsFull")
		for i := range 4 {
			s.block("x", string(rune('a'+i)), strings.Repeat("x", footprint)).want(t, "block", 201, "")
		}
		s.block("x", "z", "x").want(t, "one too many", 507, "AccountIsFull")
		s.put("y", "").want(t, "an empty one", 507, "AccountIsFull")
		time.Sleep(stagedLife + time.Second)
		s.put("y", strings.Repeat("x", 5*footprint)).want(t, "when blocks were forgotten", 201, "")
		s.ask("DELETE", "y", "", "").want(t, "delete", 202, "")
		s.wantNoBlobs()
	})
}

func TestABodyThatDoesNotArriveLeavesNothing(t *testing.T) {
	s := open(t, Options{})
	for _, query := range []string{"", "comp=block&blockid=YQ%3D%3D&"} {
		r := httptest.NewRequest("PUT", "/box/x?"+query+s.key(), io.MultiReader(strings.NewReader("half"), brokenReader{}))
		r.ContentLength = 8
		r.Header.Set("x-ms-blob-type", "BlockBlob")
		w := httptest.NewRecorder()
		s.Serve(w, r, func() {})
		if w.Code != 400 || written(w.Header(), "x-ms-error-code") != "IncompleteBody" || w.Header().Get("Connection") != "close" {
			t.Errorf("%q: %d %v", query, w.Code, w.Header())
		}
	}
	r := httptest.NewRequest("PUT", "/box/x?"+s.key(), io.MultiReader(strings.NewReader("chunked")))
	r.Header.Set("x-ms-blob-type", "BlockBlob")
	w := httptest.NewRecorder()
	if s.Serve(w, r, func() {}); w.Code != 411 {
		t.Errorf("without a length: %d", w.Code)
	}
	r.ContentLength = maxPut + 1
	w = httptest.NewRecorder()
	if s.Serve(w, r, func() {}); w.Code != 413 {
		t.Errorf("too long: %d", w.Code)
	}
	s.wantNoBlobs()
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestWhatIsBeingReadCanBeReplaced(t *testing.T) {
	s := open(t, Options{})
	for _, name := range []string{"replaced", "deleted"} {
		s.block(name, "a", "first ").want(t, "block", 201, "")
		s.block(name, "b", "second").want(t, "block", 201, "")
		s.commitList(name, "Latest:a", "Latest:b").want(t, "commit", 201, "")
		r, err := s.open(place{box, name})
		if err != nil {
			t.Fatal(err)
		}
		if name == "deleted" {
			s.ask("DELETE", name, "", "").want(t, "delete", 202, "")
			s.get(name).want(t, "get", 404, "BlobNotFound")
		} else {
			s.put(name, "new").want(t, "put", 201, "")
		}
		var got strings.Builder
		if err := r.copy(3, 7, func(b []byte) error { got.Write(b); return nil }); err != nil || got.String() != "st seco" {
			t.Errorf("%s: %q, %v", name, got.String(), err)
		}
		r.close()
	}
	s.wantBlob("replaced", "new")
	s.ask("DELETE", "replaced", "", "").want(t, "delete", 202, "")
	s.wantNoBlobs()
}

func TestManyAtOnce(t *testing.T) {
	s := open(t, Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := string(rune('a' + i))
			for range 20 {
				s.block("x", id, strings.Repeat(id, 1000))
				s.commitList("x", "Latest:"+id)
				s.put("y", id)
				s.get("x")
				s.ask("GET", "x", "comp=blocklist&blocklisttype=all", "")
				s.ask("GET", "", "restype=container&comp=list", "")
				s.ask("DELETE", "x", "", "")
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"x", "y"} {
		s.put(name, "").want(t, "put", 201, "")
		s.ask("DELETE", name, "", "").want(t, "delete", 202, "")
	}
	s.wantNoBlobs()
}

func TestTheHubsOwnView(t *testing.T) {
	s := open(t, Options{})
	target, err := s.Target(t.Context(), "", "dev/a b", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if target.HostName != "hub.example" || target.ContainerName != box || target.BlobName != "dev/a b" {
		t.Errorf("%+v", target)
	}
	if other, _ := s.Target(t.Context(), "gateway:444", "x", time.Now()); other.HostName != "gateway:444" {
		t.Errorf("%+v", other)
	}
	if _, err := s.Properties(t.Context(), "dev/a b"); !errors.Is(err, core.ErrNoBlob) {
		t.Errorf("before the upload: %v", err)
	}
	s.askURL("PUT", "/box/dev/a%20b"+target.SASToken.Reveal(), "12345", "x-ms-blob-type", "BlockBlob").want(t, "put", 201, "")
	p, err := s.Properties(t.Context(), "dev/a b")
	if err != nil || p.Size != 5 || p.URI != "https://hub.example/box/dev/a%20b" || time.Since(p.LastModified) > time.Minute {
		t.Errorf("%+v, %v", p, err)
	}
	container := s.ContainerURL(box, "l", time.Now().Add(time.Hour)).Reveal()
	rest, ok := strings.CutPrefix(container, "https://hub.example")
	if a := s.askURL("GET", rest+"&restype=container&comp=list", ""); !ok || a.StatusCode != 200 || !strings.Contains(a.body, "dev/a b") {
		t.Errorf("%s: %s", container, a.body)
	}
}
