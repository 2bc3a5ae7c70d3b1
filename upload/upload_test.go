package upload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// ways are the three functions, for the same bytes.
var ways = map[string]func(s *site, b []byte, o *Options) (*Result, error){
	"file": func(s *site, b []byte, o *Options) (*Result, error) {
		return File(s.Context(), s.device, "a/b c.bin", s.file(b), o)
	},
	"at": func(s *site, b []byte, o *Options) (*Result, error) {
		return At(s.Context(), s.device, "a/b c.bin", bytes.NewReader(b), int64(len(b)), o)
	},
	"stream": func(s *site, b []byte, o *Options) (*Result, error) {
		return Stream(s.Context(), s.device, "a/b c.bin", iotest.HalfReader(bytes.NewReader(b)), o)
	},
}

func TestFilesOfAllSizes(t *testing.T) {
	for name, way := range ways {
		for _, size := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize, 17*blockSize + 5} {
			t.Run(fmt.Sprintf("%s of %d", name, size), func(t *testing.T) {
				at(t, hub.Upload{}, func(s *site) {
					b := noise(size)
					var told []Progress
					r, err := way(s, b, &Options{BlockSize: blockSize, Concurrency: 3, Verify: size%2 == 1, Progress: func(p Progress) { told = append(told, p) }})
					if err != nil {
						s.Fatal(err)
					}
					etag := r.ETag
					if diff := cmp.Diff(&Result{BlobName: "dev/a/b c.bin", Size: int64(size), ETag: etag}, r); diff != "" || etag == "" {
						s.Errorf("ETag %q (-want +got)\n%s", etag, diff)
					}
					s.wantBlob("dev/a/b c.bin", b)
					s.wantPlaces()
					total := int64(size)
					if name == "stream" {
						total = -1
					}
					for i, p := range told {
						if p.Total != total || p.Skipped != 0 || i > 0 && p.Done <= told[i-1].Done {
							s.Fatalf("progress %d: %+v", i, p)
						}
					}
					if size > 0 && told[len(told)-1].Done != int64(size) {
						s.Errorf("progress ended with %+v", told[len(told)-1])
					}
				})
			})
		}
	}
}

func TestWhatIsSaidOfTheBlob(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		o := &Options{BlockSize: blockSize, ContentType: "text/plain", Metadata: map[string]string{"where": "here"}}
		for _, size := range []int{10, 3 * blockSize} {
			if _, err := Stream(s.Context(), s.device, "x", bytes.NewReader(noise(size)), o); err != nil {
				s.Fatal(err)
			}
			status, list := s.account("GET", "", "&restype=container&comp=list", nil)
			if status != 200 || !strings.Contains(string(list), "<Content-Type>text/plain</Content-Type>") {
				s.Errorf("%d bytes: %d %s", size, status, list)
			}
		}
	})
}

func TestAnUploadGoesOnWhereItWasInterrupted(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			at(t, hub.Upload{}, func(s *site) {
				b := noise(20 * blockSize)
				o := &Options{BlockSize: blockSize, Concurrency: 1, Retries: -1}
				s.judging(func(n int, op *hub.Op) hub.Verdict {
					if n > 10 { // the list of blocks, and ten of them
						return hub.Verdict{Refuse: hubwire.ServerError}
					}
					return hub.Verdict{}
				})
				_, err := way(s, b, o)
				var e *azcore.ResponseError
				if !errors.As(err, &e) || e.StatusCode != 500 {
					s.Fatalf("the first time: %v", err)
				}
				s.wantPlaces()
				s.judging(nil)
				copy(b[3*blockSize:], "another block") // since then
				r, err := way(s, b, o)
				if err != nil {
					s.Fatal(err)
				}
				if r.Skipped != 9*blockSize {
					s.Errorf("skipped %d bytes, want %d", r.Skipped, 9*blockSize)
				}
				if n := s.count("PUT"); n != 11+1 {
					s.Errorf("%d requests to write, want 12", n)
				}
				s.wantBlob("dev/a/b c.bin", b)

				// What is committed is not sent again either.
				s.judging(nil)
				if r, err = way(s, b, o); err != nil || r.Skipped != int64(len(b)) || s.count("PUT") != 1 {
					s.Errorf("once more: %+v, %v, %d requests", r, err, s.count("PUT"))
				}
				s.wantBlob("dev/a/b c.bin", b)
			})
		})
	}
}

func TestAnUploadEndsWithItsContext(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		b := noise(50 * blockSize)
		for i := range 11 { // more than the device has places
			ctx, cancel := context.WithCancel(s.Context())
			s.judging(func(n int, op *hub.Op) hub.Verdict {
				if n == 5 {
					cancel()
				}
				return hub.Verdict{Delay: time.Second}
			})
			_, err := At(ctx, s.device, fmt.Sprint(i), bytes.NewReader(b), int64(len(b)), &Options{BlockSize: blockSize})
			if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "could not be told") {
				s.Errorf("cancelled: %v", err)
			}
		}
		s.judging(nil)
		ctx, cancel := context.WithTimeout(s.Context(), 0)
		defer cancel()
		if _, err := At(ctx, s.device, "x", bytes.NewReader(b), int64(len(b)), nil); !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("when it has ended before: %v", err)
		}
		s.wantPlaces()
		if _, err := At(s.Context(), s.device, "x", bytes.NewReader(b), int64(len(b)), &Options{BlockSize: blockSize}); err != nil {
			s.Fatal(err)
		}
		s.wantBlob("dev/x", b)
	})
}

func TestATokenThatExpiresIsReplaced(t *testing.T) {
	at(t, hub.Upload{SASTTL: 5 * time.Minute}, func(s *site) {
		b := noise(20 * blockSize)
		var states []State
		s.judging(func(n int, op *hub.Op) hub.Verdict { return hub.Verdict{Delay: 50 * time.Second} })
		o := &Options{BlockSize: blockSize, Concurrency: 2, Started: func(st State) error { states = append(states, st); return nil }}
		if _, err := Stream(s.Context(), s.device, "x", bytes.NewReader(b), o); err != nil {
			s.Fatal(err)
		}
		s.wantBlob("dev/x", b)
		s.judging(nil)
		s.wantPlaces()
		if len(states) < 3 || len(states) > 5 {
			s.Errorf("%d tokens", len(states))
		}
	})
}

func TestATokenThatIsRefusedIsReplacedOnce(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		b := noise(10 * blockSize)
		bad := 0
		s.judging(func(n int, op *hub.Op) hub.Verdict {
			if n == 4 {
				bad++
				return hub.Verdict{Refuse: hubwire.Forbidden}
			}
			return hub.Verdict{}
		})
		if _, err := Stream(s.Context(), s.device, "x", bytes.NewReader(b), &Options{BlockSize: blockSize, Concurrency: 1}); err != nil || bad != 1 {
			s.Errorf("%v, refused %d times", err, bad)
		}
		s.wantBlob("dev/x", b)
		s.judging(func(n int, op *hub.Op) hub.Verdict { return hub.Verdict{Refuse: hubwire.Forbidden} })
		_, err := Stream(s.Context(), s.device, "x", bytes.NewReader(b), &Options{BlockSize: blockSize})
		var e *azcore.ResponseError
		if !errors.As(err, &e) || e.StatusCode != 403 || s.count("GET") != 1 {
			s.Errorf("always: %v, %d requests", err, s.count("GET"))
		}
		s.judging(nil)
		s.wantPlaces()
	})
}

func TestAnUploadThatExpiresBeforeItsEndIsToldOf(t *testing.T) {
	at(t, hub.Upload{SASTTL: 5 * time.Minute}, func(s *site) {
		// Before a byte was sent, and when all were.
		for name, r := range map[string]io.Reader{
			"a source that is late":      &lateReader{Reader: bytes.NewReader(noise(10)), wait: 10 * time.Minute},
			"a source that is late once": io.MultiReader(bytes.NewReader(noise(10)), &lateReader{Reader: bytes.NewReader(nil), wait: 10 * time.Minute}),
		} {
			if _, err := Stream(s.Context(), s.device, "x", r, nil); err != nil {
				s.Fatalf("%s: %v", name, err)
			}
			if n, err := s.hub.FileNotification(s.Context()); err != nil || n.Size != 10 {
				s.Errorf("%s: %+v, %v", name, n, err)
			}
		}
		// When the blob was there.
		u := &session{o: Options{NotifyTimeout: time.Second}, device: s.device, name: "x", renewing: make(chan struct{}, 1)}
		if err := u.begin(s.Context()); err != nil {
			s.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if err := u.complete(s.Context()); err != nil {
			s.Error(err)
		}
		s.wantPlaces()
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// lateReader takes its time at the beginning.
type lateReader struct {
	io.Reader
	wait time.Duration
}

func (r *lateReader) Read(b []byte) (int, error) {
	time.Sleep(r.wait)
	r.wait = 0
	return r.Reader.Read(b)
}

func TestAStateThatWasKeptGivesThePlaceBack(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		b := noise(3 * blockSize)
		killed, err := s.device.InitiateUpload(s.Context(), "x") // by a process that was killed then
		if err != nil {
			s.Fatal(err)
		}
		text, err := json.Marshal(State{BlobName: "x", CorrelationID: killed.CorrelationID, BlockSize: blockSize})
		if err != nil {
			s.Fatal(err)
		}
		var kept, started State
		if err := json.Unmarshal(text, &kept); err != nil {
			s.Fatal(err)
		}
		o := &Options{Resume: &kept, Started: func(st State) error { started = st; return nil }}
		if _, err := Stream(s.Context(), s.device, "x", bytes.NewReader(b), o); err != nil {
			s.Fatal(err)
		}
		if started.BlockSize != blockSize || started.BlobName != "x" || started.CorrelationID == kept.CorrelationID || s.count("PUT") != 4 {
			s.Errorf("%+v, %d requests", started, s.count("PUT"))
		}
		s.wantBlob("dev/x", b)
		s.wantPlaces()
	})
}

func TestBlocksOfAnotherToolAreDropped(t *testing.T) {
	for name, before := range map[string]func(*site){
		"nothing committed": func(*site) {},
		"a blob of blocks": func(s *site) {
			if _, err := Stream(s.Context(), s.device, "x", bytes.NewReader(noise(3*blockSize)), &Options{BlockSize: blockSize}); err != nil {
				s.Fatal(err)
			}
			if _, err := s.hub.FileNotification(s.Context()); err != nil {
				s.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			at(t, hub.Upload{}, func(s *site) {
				before(s)
				if status, body := s.account("PUT", "dev/x", "&comp=block&blockid=ICAgICAw", []byte("theirs")); status != 201 {
					s.Fatalf("%d %s", status, body)
				}
				b := noise(5 * blockSize)
				if _, err := Stream(s.Context(), s.device, "x", bytes.NewReader(b), &Options{BlockSize: blockSize}); err != nil {
					s.Fatal(err)
				}
				s.wantBlob("dev/x", b)
			})
		})
	}
}

func TestUploadsThatFail(t *testing.T) {
	broken := errors.New("disk on fire")
	big := noise(10 * blockSize)
	for name, c := range map[string]struct {
		run  func(*site) error
		want error
	}{
		"a source that breaks": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "x", io.MultiReader(bytes.NewReader(big), iotest.ErrReader(broken)), &Options{BlockSize: blockSize})
			return err
		}, broken},
		"a source that is cut off": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "x", io.MultiReader(bytes.NewReader(big[1:]), iotest.ErrReader(io.ErrUnexpectedEOF)), &Options{BlockSize: blockSize})
			return err
		}, io.ErrUnexpectedEOF},
		"a source that gives nothing": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "x", readFunc(func([]byte) (int, error) { return 0, nil }), nil)
			return err
		}, io.ErrNoProgress},
		"a source that is too slow": {func(s *site) error {
			ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			_, err := Stream(ctx, s.device, "x", readFunc(func([]byte) (int, error) { time.Sleep(time.Second); return 1, nil }), nil)
			if took := time.Since(start); took > 2*time.Minute {
				s.Errorf("it took %v", took)
			}
			return err
		}, context.DeadlineExceeded},
		"a source that breaks at once": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "x", iotest.ErrReader(broken), nil)
			return err
		}, broken},
		"a state that cannot be kept": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "x", bytes.NewReader(big), &Options{Started: func(State) error { return broken }})
			return err
		}, broken},
		"a source that is shorter": {func(s *site) error {
			_, err := At(s.Context(), s.device, "x", bytes.NewReader(big), int64(len(big))+1, nil)
			return err
		}, ErrChanged},
		"a source that is shorter by blocks": {func(s *site) error {
			_, err := At(s.Context(), s.device, "x", bytes.NewReader(big), int64(len(big))+blockSize, &Options{BlockSize: blockSize})
			return err
		}, ErrChanged},
		"a file that grows": {func(s *site) error {
			path := s.file(big)
			_, err := File(s.Context(), s.device, "x", path, &Options{BlockSize: blockSize, Started: func(State) error {
				return os.WriteFile(path, append(slices.Clone(big), "more"...), 0o600)
			}})
			return err
		}, ErrChanged},
		"a file that is not there": {func(s *site) error {
			_, err := File(s.Context(), s.device, "x", s.dir+"/none", nil)
			return err
		}, os.ErrNotExist},
		"a name that leads elsewhere": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "../x", bytes.NewReader(big), nil)
			return err
		}, hubwire.ArgumentInvalid},
		"no context": {func(s *site) error {
			var none context.Context
			_, err := Stream(none, s.device, "x", bytes.NewReader(big), nil)
			return err
		}, ErrArgument},
		"no client":        {func(s *site) error { _, err := Stream(s.Context(), nil, "x", bytes.NewReader(big), nil); return err }, hubwire.ArgumentInvalid},
		"no reader":        {func(s *site) error { _, err := Stream(s.Context(), s.device, "x", nil, nil); return err }, ErrArgument},
		"no reader for At": {func(s *site) error { _, err := At(s.Context(), s.device, "x", nil, 1, nil); return err }, ErrArgument},
		"a negative size": {func(s *site) error {
			_, err := At(s.Context(), s.device, "x", bytes.NewReader(big), -1, nil)
			return err
		}, ErrArgument},
		"a state of another blob": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "x", bytes.NewReader(big), &Options{Resume: &State{BlobName: "y"}})
			return err
		}, ErrArgument},
		"a block size that is none": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "x", bytes.NewReader(big), &Options{BlockSize: maxBlockSize + 1})
			return err
		}, ErrArgument},
		"no concurrency": {func(s *site) error {
			_, err := Stream(s.Context(), s.device, "x", bytes.NewReader(big), &Options{Concurrency: -1})
			return err
		}, ErrArgument},
		"a client that is closed": {func(s *site) error {
			c := s.dial()
			c.Close()
			_, err := Stream(s.Context(), c, "x", bytes.NewReader(big), nil)
			s.device = s.dial() // it took the place of the other
			return err
		}, os.ErrClosed},
	} {
		if c.want == os.ErrClosed {
			c.want = hubwire.Code(0)
		}
		t.Run(name, func(t *testing.T) {
			at(t, hub.Upload{}, func(s *site) {
				if err := c.run(s); err == nil || c.want != hubwire.Code(0) && !errors.Is(err, c.want) {
					s.Errorf("%v, want %v", err, c.want)
				}
				s.wantPlaces()
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				if n, err := s.hub.FileNotification(ctx); err == nil {
					s.Errorf("the service was told of %+v", n)
				}
			})
		})
	}
}

func TestTheEleventhUploadIsRefused(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		for range 10 {
			if _, err := s.device.InitiateUpload(s.Context(), "x"); err != nil {
				s.Fatal(err)
			}
		}
		if _, err := Stream(s.Context(), s.device, "y", strings.NewReader("body"), nil); !errors.Is(err, hubwire.MaxActiveFileUploadExceeded) {
			s.Errorf("the eleventh: %v", err)
		}
	})
}

func TestSizesOfBlocks(t *testing.T) {
	for size, want := range map[int64]int64{
		-1: 4 << 20, 0: 4 << 20, maxBlocks * (4 << 20): 4 << 20, maxBlocks*(4<<20) + 1: 5 << 20, 100 << 40: -1, maxBlocks * maxBlockSize: maxBlockSize, maxBlocks*maxBlockSize + 1: 0,
	} {
		o, err := (*Options)(nil).resolve("x", size)
		switch {
		case want == 0 && errors.Is(err, ErrTooLarge):
		case want == -1 && err == nil && o.BlockSize*maxBlocks >= size:
		case err != nil || o.BlockSize != want:
			t.Errorf("%d bytes: blocks of %d, %v", size, o.BlockSize, err)
		}
	}
	at(t, hub.Upload{}, func(s *site) {
		u := &session{o: Options{BlockSize: 1, Concurrency: 1}, device: s.device, name: "x", renewing: make(chan struct{}, 1)}
		if err := u.begin(s.Context()); err != nil {
			s.Fatal(err)
		}
		tr := newTransfer(u, source{strings.NewReader("abc"), -1, nil})
		tr.ids = make([]*string, maxBlocks)
		if _, err := tr.run(s.Context()); !errors.Is(err, ErrTooLarge) {
			s.Errorf("one block too many: %v", err)
		}
	})
}
