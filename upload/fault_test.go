package upload

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
)

// stream uploads b in blocks.
func (s *site) stream(b []byte) error {
	_, err := Stream(s.Context(), s.device, "x", bytes.NewReader(b), &Options{BlockSize: blockSize, Concurrency: 3})
	return err
}

func TestAnUploadComesThroughTrouble(t *testing.T) {
	for name, judge := range map[string]func(n int) hub.Verdict{
		"every third request is refused for now": func(n int) (v hub.Verdict) {
			if n%3 == 0 {
				v.Refuse = hubwire.ServiceUnavailable
			}
			return v
		},
		"every third request is throttled": func(n int) (v hub.Verdict) {
			if n%3 == 1 {
				v.Refuse, v.RetryAfter = hubwire.Throttled, 2*time.Second
			}
			return v
		},
		"every third connection is cut before": func(n int) hub.Verdict { return hub.Verdict{DropBefore: n%3 == 0} },
		"every third answer is cut":            func(n int) hub.Verdict { return hub.Verdict{DropAfter: n%3 == 0} },
		"every fifth answer does not come":     func(n int) hub.Verdict { return hub.Verdict{SwallowAck: n%5 == 0} },
		"all is slow":                          func(n int) hub.Verdict { return hub.Verdict{Delay: 30 * time.Second} },
	} {
		t.Run(name, func(t *testing.T) {
			at(t, hub.Upload{}, func(s *site) {
				b := noise(20*blockSize + 7)
				s.judging(func(n int, _ *hub.Op) hub.Verdict { return judge(n) })
				if err := s.stream(b); err != nil {
					s.Fatal(err)
				}
				s.wantBlob("dev/x", b)
				s.judging(nil)
				s.wantPlaces()
			})
		})
	}
}

// frail is a connection that breaks when so many bytes were written.
type frail struct {
	net.Conn
	left atomic.Int64
}

func (f *frail) Write(b []byte) (int, error) {
	left := f.left.Add(-int64(len(b)))
	if left >= 0 {
		return f.Conn.Write(b)
	}
	n, _ := f.Conn.Write(b[:max(0, len(b)+int(left))])
	f.Conn.Close()
	return n, errors.New("connection reset by peer")
}

func TestConnectionsThatBreakInTheMiddleOfABlock(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		var broken sync.Map
		s.wrap = func(nc net.Conn) net.Conn {
			f := &frail{Conn: nc}
			f.left.Store(100_000)
			broken.Store(f, true)
			return f
		}
		b := noise(10 * 40_000) // two blocks a connection
		if _, err := Stream(s.Context(), s.device, "x", bytes.NewReader(b), &Options{BlockSize: 40_000, Concurrency: 2}); err != nil {
			s.Fatal(err)
		}
		n := 0
		broken.Range(func(f, _ any) bool {
			if f.(*frail).left.Load() < 0 {
				n++
			}
			return true
		})
		if n < 3 {
			s.Errorf("%d connections broke", n)
		}
		s.wantBlob("dev/x", b)
		s.wantPlaces()
	})
}

func TestAHubThatIsStartedAgain(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		b := noise(20 * blockSize)
		now := make(chan struct{})
		s.judging(func(n int, _ *hub.Op) hub.Verdict {
			if n == 8 {
				close(now)
				return hub.Verdict{Delay: time.Hour} // it does not get that far
			}
			return hub.Verdict{}
		})
		done := make(chan error, 1)
		go func() { done <- s.stream(b) }()
		<-now
		if err := s.hub.Close(); err != nil {
			s.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		s.start()
		if err := <-done; err != nil {
			s.Fatal(err)
		}
		s.judging(nil)
		s.wantBlob("dev/x", b)
		s.wantPlaces()
	})
}

func TestAClientThatIsClosedEndsItsUploads(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		now := make(chan struct{})
		s.judging(func(n int, _ *hub.Op) hub.Verdict {
			if n == 3 {
				close(now)
			}
			return hub.Verdict{Delay: time.Second}
		})
		done := make(chan error, 1)
		go func() { done <- s.stream(noise(50 * blockSize)) }()
		<-now
		start := time.Now()
		if err := s.device.Close(); err != nil {
			s.Error(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "could not be told") {
			s.Errorf("%v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			s.Errorf("it took %v", took)
		}
	})
}

func TestErrorsQuoteNoToken(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		for name, judge := range map[string]hub.Verdict{
			"a refusal":       {Refuse: hubwire.Forbidden},
			"trouble":         {Refuse: hubwire.ServerError},
			"no answer":       {SwallowAck: true},
			"no connection":   {DropBefore: true},
			"a missing thing": {Refuse: hubwire.NotFound},
		} {
			s.judging(func(int, *hub.Op) hub.Verdict { return judge })
			_, err := Stream(s.Context(), s.device, "x", bytes.NewReader(noise(10)), &Options{Retries: -1})
			if text := err.Error(); err == nil || strings.Contains(text, "sig=") || strings.Contains(text, "SharedAccess") {
				s.Errorf("%s: %s", name, text)
			}
		}
	})
}

// An account that answers before it has all of the body does not get to read the next one's.
func TestNobodyReadsABodyWhoseRequestIsOver(t *testing.T) {
	var late io.Reader
	tr := transporter{roundTrip(func(r *http.Request) (*http.Response, error) {
		late = r.Body
		return &http.Response{StatusCode: 201, Body: http.NoBody}, nil
	})}
	r, err := http.NewRequestWithContext(context.Background(), "PUT", "https://account.example/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Do(r); err != nil {
		t.Fatal(err)
	}
	if n, err := late.Read(make([]byte, 4)); n != 0 || !errors.Is(err, errOver) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestABlockThatSomebodyElseTookAway(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		s.judging(func(n int, op *hub.Op) hub.Verdict {
			if n == 5 { // the commit, before which another client writes the blob
				s.mu.Lock()
				s.judge = nil
				s.mu.Unlock()
				if status, _ := s.account("PUT", "dev/x", "", []byte("theirs"), "x-ms-blob-type", "BlockBlob"); status != 201 {
					s.Errorf("status %d", status)
				}
			}
			return hub.Verdict{}
		})
		var e *azcore.ResponseError
		b := noise(4 * blockSize)
		if err := s.stream(b); !errors.As(err, &e) || e.ErrorCode != "InvalidBlockList" {
			s.Fatalf("%v", err)
		}
		s.wantPlaces()
		if err := s.stream(b); err != nil {
			s.Fatal(err)
		}
		s.wantBlob("dev/x", b)
	})
}

// damaging changes a byte of what goes through it, behind the first so many.
type damaging struct {
	http.RoundTripper
	bad atomic.Int32
}

func (d *damaging) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength == blockSize && d.bad.Add(1) == 3 {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		b[500] ^= 1
		own := *r
		own.Body = io.NopCloser(bytes.NewReader(b))
		r = &own
	}
	return d.RoundTripper.RoundTrip(r)
}

func TestTheAccountFindsABlockThatWasDamaged(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		u := &session{o: Options{BlockSize: blockSize, Concurrency: 1, Verify: true}, device: s.device, name: "x", renewing: make(chan struct{}, 1)}
		if err := u.begin(s.Context()); err != nil {
			s.Fatal(err)
		}
		o := &blockblob.ClientOptions{}
		o.Transport = transporter{&damaging{RoundTripper: s.device.StorageTransport()}}
		var err error
		if u.now.blob, err = blockblob.NewClientWithNoCredential(u.now.URL.Reveal(), o); err != nil {
			s.Fatal(err)
		}
		var e *azcore.ResponseError
		if _, err := newTransfer(u, source{bytes.NewReader(noise(5 * blockSize)), -1, nil}).run(s.Context()); !errors.As(err, &e) || e.ErrorCode != "Crc64Mismatch" {
			s.Errorf("%v", err)
		}
	})
}

func TestAFunctionThatPanicsEndsTheUpload(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		for name, o := range map[string]*Options{
			"Progress": {BlockSize: blockSize, Progress: func(Progress) { panic("no screen") }},
			"Started":  {BlockSize: blockSize, Started: func(State) error { panic("no disk") }},
		} {
			for _, size := range []int{10, 5 * blockSize} {
				_, err := Stream(s.Context(), s.device, "x", bytes.NewReader(noise(size)), o)
				if err == nil || !strings.Contains(err.Error(), "Options."+name+" panicked: no ") {
					s.Errorf("%s, %d bytes: %v", name, size, err)
				}
			}
		}
		s.wantPlaces()
	})
}

// TestAnUploadGoesThroughTheProxy has a proxy by which the hub and the account are reached,
// and no other way.
func TestAnUploadGoesThroughTheProxy(t *testing.T) {
	at(t, hub.Upload{}, func(s *site) {
		b := noise(5*blockSize + 1)
		var mu sync.Mutex
		var asked []string
		busy := 1 // how many it sends away first
		var open sync.WaitGroup
		o := &device.Options{TLSConfig: s.hub.ClientTLS(), MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Second}
		o.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
			if addr != "proxy.example:3128" {
				s.Errorf("a direct dial to %s", addr)
				return nil, errors.New("no way")
			}
			client, here := testkit.Pipe()
			open.Go(func() {
				defer here.Close()
				r, err := http.ReadRequest(bufio.NewReader(here))
				if err != nil {
					return
				}
				mu.Lock()
				asked = append(asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
				sends := len(asked) <= busy
				mu.Unlock()
				if sends {
					io.WriteString(here, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
					return
				}
				there, err := s.hub.Dial(context.Background(), "tcp", r.Host)
				if err != nil {
					return
				}
				defer there.Close()
				io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
				open.Go(func() { io.Copy(there, here); there.Close() })
				io.Copy(here, there)
			})
			return client, nil
		}
		proxy := &url.URL{Scheme: "http", Host: "proxy.example:3128", User: url.UserPassword("u", "p")}
		c, err := device.Dial(s.Context(), "HostName=localhost;DeviceId=dev;SharedAccessKey="+key, device.HTTPS(&device.HTTPSOptions{Proxy: proxy}), o)
		if err != nil {
			s.Fatal(err)
		}
		if _, err := Stream(s.Context(), c, "x", bytes.NewReader(b), &Options{BlockSize: blockSize, Concurrency: 3}); err != nil {
			s.Fatal(err)
		}
		if err := c.Close(); err != nil {
			s.Error(err)
		}
		open.Wait()
		for _, a := range asked {
			if a != "CONNECT localhost:443 Basic dTpw" {
				s.Errorf("the proxy was asked for %s", a)
			}
		}
		if len(asked) < 4 { // the one sent away, the device's own, that of uploads, and the account's
			s.Errorf("the proxy was asked %d times", len(asked))
		}
		s.wantBlob("dev/x", b)
	})
}
