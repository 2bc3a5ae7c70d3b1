package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/sas"
)

// fakeStorage is an account that has the blobs which a test says it has.
type fakeStorage struct {
	mu    sync.Mutex
	blobs map[string]BlobProperties
	err   error
}

func (s *fakeStorage) Target(_ context.Context, host, blob string, expires time.Time) (UploadTarget, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return UploadTarget{
		HostName: host, ContainerName: "box", BlobName: blob,
		SASToken: sas.NewSecret("?se=" + expires.Format(time.RFC3339)),
	}, s.err
}

func (s *fakeStorage) Properties(_ context.Context, blob string) (BlobProperties, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.blobs[blob]
	if !ok {
		return p, fmt.Errorf("looking for it: %w", ErrNoBlob)
	}
	return p, s.err
}

func (s *fakeStorage) put(blob string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs = map[string]BlobProperties{}
	}
	s.blobs[blob] = BlobProperties{URI: "https://acct/box/" + blob, Size: size, LastModified: time.Now()}
}

func initiate(t *testing.T, c *Core, name string) *Upload {
	t.Helper()
	u, err := c.InitiateUpload(ctx, dev, UploadRequest{BlobName: name, Host: "hub"})
	if err != nil {
		t.Fatalf("InitiateUpload(%q): %v", name, err)
	}
	return u
}

func success(u *Upload) UploadResult {
	return UploadResult{CorrelationID: u.CorrelationID, Success: true, StatusCode: 201}
}

func TestAnUploadEndsInANotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(fakeStorage)
		c := newCore(t, &Config{Storage: s})
		u := initiate(t, c, "logs/a b.txt")
		want := &Upload{
			UploadTarget: UploadTarget{
				HostName: "hub", ContainerName: "box", BlobName: "dev/logs/a b.txt",
				SASToken: sas.NewSecret("?se=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339)),
			},
			CorrelationID: u.CorrelationID, Expires: time.Now().Add(time.Hour).UTC(),
		}
		if diff := cmp.Diff(want, u, cmp.Comparer(sas.Secret.Equal)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		time.Sleep(time.Minute)
		written := time.Now().UTC()
		s.put("dev/logs/a b.txt", 12)
		time.Sleep(time.Second)
		must(t, c.CompleteUpload(ctx, dev, success(u)))
		n := c.FileNotification()
		if n == nil {
			t.Fatal("no notification")
		}
		wantN := FileNotification{
			DeviceID: "dev", BlobURI: "https://acct/box/dev/logs/a b.txt", BlobName: "dev/logs/a b.txt",
			LastUpdated: written, Size: 12, EnqueuedTime: time.Now().UTC(),
		}
		if diff := cmp.Diff(wantN, n.FileNotification); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		wantCode(t, "completing twice", c.CompleteUpload(ctx, dev, success(u)), hubwire.InvalidFileUploadCorrelationID)
	})
}

func TestOnlyAnUploadThatWentWellIsNotified(t *testing.T) {
	s := new(fakeStorage)
	s.put("dev/x", 1)
	for _, c := range []struct {
		name string
		cfg  Config
		r    UploadResult
	}{
		{"a failure", Config{}, UploadResult{StatusCode: 500, Description: "no network"}},
		{"a failure as the .NET SDK tells of one", Config{}, UploadResult{StatusCode: -1}},
		{"a hub that does not notify", Config{NoFileNotifications: true}, UploadResult{Success: true, StatusCode: 200}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Storage = s
			core := newCore(t, &c.cfg)
			c.r.CorrelationID = initiate(t, core, "x").CorrelationID
			must(t, core.CompleteUpload(ctx, dev, c.r))
			if n := core.FileNotification(); n != nil {
				t.Errorf("got %+v", n)
			}
			wantCode(t, "again", core.CompleteUpload(ctx, dev, c.r), hubwire.InvalidFileUploadCorrelationID)
		})
	}
}

func TestTheEleventhUploadIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Storage: new(fakeStorage), UploadTTL: 10 * time.Minute})
		create(t, c, &Device{ID: hubwire.Identity{DeviceID: "other"}})
		eleventh := func() error {
			_, err := c.InitiateUpload(ctx, dev, UploadRequest{BlobName: "more"})
			return err
		}
		var ups []*Upload
		for i := range maxUploads {
			ups = append(ups, initiate(t, c, fmt.Sprint(i)))
			time.Sleep(time.Second)
		}
		wantCode(t, "the eleventh", eleventh(), hubwire.MaxActiveFileUploadExceeded)
		if _, err := c.InitiateUpload(ctx, hubwire.Identity{DeviceID: "other"}, UploadRequest{BlobName: "x"}); err != nil {
			t.Errorf("another device: %v", err)
		}
		must(t, c.CompleteUpload(ctx, dev, UploadResult{CorrelationID: ups[3].CorrelationID}))
		must(t, eleventh())
		wantCode(t, "and one more", eleventh(), hubwire.MaxActiveFileUploadExceeded)
		time.Sleep(10*time.Minute - 10*time.Second)
		must(t, eleventh()) // the first has expired
		wantCode(t, "the expired one", c.CompleteUpload(ctx, dev, success(ups[0])), hubwire.ExpiredFileUploadCorrelationID)
		wantCode(t, "that of another device", c.CompleteUpload(ctx, hubwire.Identity{DeviceID: "other"}, success(ups[9])), hubwire.InvalidFileUploadCorrelationID)
	})
}

func TestExpiredUploadsAreForgottenAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Storage: new(fakeStorage)})
		first := initiate(t, c, "x")
		for range 10 {
			time.Sleep(time.Hour)
			for range maxUploads {
				initiate(t, c, "x")
			}
		}
		e := c.entity(dev)
		if n := len(e.uploads); n > maxUploads+maxExpiredUploads {
			t.Errorf("%d uploads are remembered", n)
		}
		rs, err := c.store.Scan(ctx, store.Key{Kind: store.Uploads}, 1000)
		if err != nil || len(rs) != len(e.uploads) {
			t.Errorf("%d are in the store, %d in memory, %v", len(rs), len(e.uploads), err)
		}
		wantCode(t, "the first", c.CompleteUpload(ctx, dev, success(first)), hubwire.InvalidFileUploadCorrelationID)
	})
}

func TestBlobNamesThatAreRefused(t *testing.T) {
	c := newCore(t, &Config{Storage: new(fakeStorage)})
	for name, blob := range map[string]string{
		"empty":                "",
		"too long":             strings.Repeat("ä", 1021),
		"not UTF-8":            "a\xffb",
		"a control character":  "a\x00b",
		"a line feed":          "a\nb",
		"a way up":             "../other/x",
		"a way up inside":      "a/../../other/x",
		"this folder":          "a/./b",
		"a slash at the start": "/a",
		"a slash at the end":   "a/",
		"an empty segment":     "a//b",
		"too many segments":    strings.Repeat("a/", 253) + "a",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.InitiateUpload(ctx, dev, UploadRequest{BlobName: blob})
			wantCode(t, blob, err, hubwire.ArgumentInvalid)
		})
	}
	for _, blob := range []string{"a", "a b+c%41?#&=.txt", "..a", "日本語/😀", strings.Repeat("ä", 1020), strings.Repeat("a/", 252) + "a"} {
		u := initiate(t, c, blob)
		must(t, c.CompleteUpload(ctx, dev, UploadResult{CorrelationID: u.CorrelationID}))
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	broken := &fakeStorage{err: errors.New("no such host")}
	stale := &brokenStore{Store: store.NewMemory(nil)}
	c := newCore(t, &Config{Storage: new(fakeStorage)})
	u := initiate(t, c, "x")
	begin := func(c *Core, id hubwire.Identity) error {
		_, err := c.InitiateUpload(ctx, id, UploadRequest{BlobName: "x"})
		return err
	}
	complete := func(r UploadResult) error { return c.CompleteUpload(ctx, dev, r) }
	id := u.CorrelationID
	for _, r := range []struct {
		name string
		err  error
		code hubwire.Code
	}{
		{"a hub without storage", begin(newCore(t, nil), dev), hubwire.DefaultStorageEndpointNotConfigured},
		{"its word on one of before", newCore(t, nil).CompleteUpload(ctx, dev, success(u)), hubwire.DefaultStorageEndpointNotConfigured},
		{"an account that fails", begin(newCore(t, &Config{Storage: broken}), dev), hubwire.InvalidStorageEndpointOrBlob},
		{"an unknown device", begin(c, hubwire.Identity{DeviceID: "nobody"}), hubwire.DeviceNotFound},
		{"a module", begin(c, mod), hubwire.ArgumentInvalid},
		{"an unknown correlation id", complete(UploadResult{CorrelationID: "bm9uZQ==", Success: true}), hubwire.InvalidFileUploadCorrelationID},
		{"no correlation id", complete(UploadResult{Success: true}), hubwire.InvalidFileUploadCorrelationID},
		{"a correlation id with another's case", complete(UploadResult{CorrelationID: strings.ToLower(id)}), hubwire.InvalidFileUploadCorrelationID},
		{"a success with status 500", complete(UploadResult{CorrelationID: id, Success: true, StatusCode: 500}), hubwire.InvalidFileUploadCompletionStatus},
		{"a description that is too long", complete(UploadResult{CorrelationID: id, Description: strings.Repeat("x", 1025)}), hubwire.ArgumentInvalid},
		{"a description that is not UTF-8", complete(UploadResult{CorrelationID: id, Description: "\xff"}), hubwire.ArgumentInvalid},
		{"a success without a blob", complete(UploadResult{CorrelationID: id, Success: true}), hubwire.InvalidStorageEndpointOrBlob},
		{"the unknown device's word", c.CompleteUpload(ctx, hubwire.Identity{DeviceID: "nobody"}, success(u)), hubwire.DeviceNotFound},
	} {
		wantCode(t, r.name, r.err, r.code)
	}
	must(t, complete(UploadResult{CorrelationID: id})) // it was under way through all this

	c = newCoreOn(t, &Config{Storage: new(fakeStorage)}, stale)
	stale.broken = true
	wantCode(t, "a store that fails", begin(c, dev), hubwire.ServerError)
	must(t, c.Close())
	wantCode(t, "a hub that is closed", begin(c, dev), hubwire.ServiceUnavailable)
}

func TestAnAccountThatFailsCostsNoPlace(t *testing.T) {
	s := &fakeStorage{err: errors.New("no such host")}
	c := newCore(t, &Config{Storage: s})
	for range 2 * maxUploads {
		_, err := c.InitiateUpload(ctx, dev, UploadRequest{BlobName: "x"})
		wantCode(t, "initiate", err, hubwire.InvalidStorageEndpointOrBlob)
	}
}

func TestUploadsAndNotificationsOutliveTheHub(t *testing.T) {
	s, kept := new(fakeStorage), store.NewMemory(nil)
	s.put("dev/done", 3)
	c := newCoreOn(t, &Config{Storage: s}, kept)
	done, open := initiate(t, c, "done"), initiate(t, c, "open")
	must(t, c.CompleteUpload(ctx, dev, success(done)))
	must(t, c.Close())

	c = newCoreOn(t, &Config{Storage: s}, kept)
	if n := c.FileNotification(); n == nil || n.BlobName != "dev/done" || n.Size != 3 {
		t.Errorf("notification %+v", n)
	}
	must(t, c.CompleteUpload(ctx, dev, UploadResult{CorrelationID: open.CorrelationID}))
	wantCode(t, "the one that was done", c.CompleteUpload(ctx, dev, success(done)), hubwire.InvalidFileUploadCorrelationID)
}

func TestADeletedDeviceHasNoUploads(t *testing.T) {
	c := newCore(t, &Config{Storage: new(fakeStorage)})
	u := initiate(t, c, "x")
	must(t, c.Delete(ctx, dev, "*"))
	create(t, c, &Device{ID: dev})
	wantCode(t, "after deletion", c.CompleteUpload(ctx, dev, UploadResult{CorrelationID: u.CorrelationID}), hubwire.InvalidFileUploadCorrelationID)
}

func TestFileNotificationsAreLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(fakeStorage)
		c := newCore(t, &Config{Storage: s})
		for _, name := range []string{"one", "two"} {
			s.put("dev/"+name, 1)
			must(t, c.CompleteUpload(ctx, dev, success(initiate(t, c, name))))
		}
		one, two := c.FileNotification(), c.FileNotification()
		if one.BlobName != "dev/one" || two.BlobName != "dev/two" || c.FileNotification() != nil {
			t.Fatalf("%+v, %+v", one, two)
		}
		must(t, c.SettleFileNotification(ctx, two.LockToken, hubwire.Complete))
		wantCode(t, "twice", c.SettleFileNotification(ctx, two.LockToken, hubwire.Complete), hubwire.MessageLockLost)
		for i := 1; i < fileNotificationRules.deliveries; i++ {
			must(t, c.SettleFileNotification(ctx, one.LockToken, hubwire.Abandon))
			if one = c.FileNotification(); one == nil || one.DeliveryCount != i {
				t.Fatalf("delivery %d: %+v", i, one)
			}
		}
		start := time.Now()
		one, err := c.WaitFileNotification(ctx) // when the lock ends
		if err != nil || one.BlobName != "dev/one" || time.Since(start) != time.Minute {
			t.Errorf("%+v, %v after %v", one, err, time.Since(start))
		}
		must(t, c.SettleFileNotification(ctx, one.LockToken, hubwire.Abandon)) // once too often
		if n := c.FileNotification(); n != nil {
			t.Errorf("after its last delivery %+v", n)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := c.WaitFileNotification(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with the context's end: %v", err)
		}
		s.put("dev/late", 1)
		must(t, c.CompleteUpload(ctx, dev, success(initiate(t, c, "late"))))
		time.Sleep(time.Hour)
		if n := c.FileNotification(); n != nil {
			t.Errorf("after an hour %+v", n)
		}
	})
}

// strictStore deletes nothing under a context that has ended.
type strictStore struct{ store.Store }

func (s strictStore) Delete(ctx context.Context, k store.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, k)
}

// hastyStorage has the device go away while it looks for a place.
type hastyStorage struct {
	fakeStorage
	leave context.CancelFunc
}

func (s *hastyStorage) Target(ctx context.Context, _, _ string, _ time.Time) (UploadTarget, error) {
	s.leave()
	return UploadTarget{}, ctx.Err()
}

func TestADeviceThatGoesAwayTakesNoPlace(t *testing.T) {
	storage := new(hastyStorage)
	c := newCoreOn(t, &Config{Storage: storage}, strictStore{store.NewMemory(nil)})
	for i := range maxUploads + 1 {
		var gone context.Context
		gone, storage.leave = context.WithCancel(ctx)
		_, err := c.InitiateUpload(gone, dev, UploadRequest{BlobName: "b", Host: "hub"})
		wantCode(t, fmt.Sprintf("upload %d", i), err, hubwire.InvalidStorageEndpointOrBlob)
	}
}
