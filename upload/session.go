package upload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// session is an upload as the hub knows it: the place in the account, with a token that may
// have to be replaced, and the word at the end.
type session struct {
	o      Options
	device *device.Client
	name   string // as the caller gave it

	renewing chan struct{} // of one; who has put something in asks the hub for another token

	mu   sync.Mutex
	now  *grant
	used bool // it has worked since it was given
}

// grant is a place in the account, and a client for it.
type grant struct {
	*device.Upload
	blob    *blockblob.Client
	given   time.Time
	renewAt time.Time // zero for when the account does not take it any more
}

// earlier is how long before its end a token is replaced. One that holds for less than twice that
// is replaced when the account says so: it may be the clock here that is wrong.
const earlier = time.Minute

// fresh is how long a token that has not worked yet is taken for one that never will.
const fresh = 30 * time.Second

// leaveOld tells the hub that the upload before this one failed. That it knows already, or
// cannot be asked, is no reason not to go on.
func (s *session) leaveOld(ctx context.Context) {
	if r := s.o.Resume; r != nil && r.CorrelationID != "" {
		_ = s.device.FailUpload(ctx, r.CorrelationID, -1, "the upload was interrupted")
	}
}

// begin asks the hub for a place, and says so.
func (s *session) begin(ctx context.Context) error {
	up, err := s.device.InitiateUpload(ctx, s.name)
	if err != nil {
		return err
	}
	g, err := s.open(up)
	if err == nil && s.o.Started != nil {
		state := State{BlobName: s.name, CorrelationID: up.CorrelationID, BlockSize: s.o.BlockSize}
		err = contained("Options.Started", func() error { return s.o.Started(state) })
	}
	s.mu.Lock()
	s.now, s.used = g, false
	s.mu.Unlock()
	if err != nil {
		return s.fail(ctx, err)
	}
	return nil
}

// open returns a client for a place.
func (s *session) open(up *device.Upload) (*grant, error) {
	o := policy.ClientOptions{
		Transport: transporter{s.device.StorageTransport()},
		Retry:     policy.RetryOptions{MaxRetries: int32(s.o.Retries), RetryDelay: time.Second, MaxRetryDelay: 30 * time.Second},
		Telemetry: policy.TelemetryOptions{ApplicationID: "hubwire"},
	}
	blob, err := blockblob.NewClientWithNoCredential(up.URL.Reveal(), &blockblob.ClientOptions{ClientOptions: o})
	if err != nil {
		err = errors.New("upload: the hub gave a URL that is none") // the error may quote it
	}
	g := &grant{Upload: up, blob: blob, given: time.Now()}
	if up.Expires.Sub(g.given) > 2*earlier {
		g.renewAt = up.Expires.Add(-earlier)
	}
	return g, err
}

// do calls f with a client whose token holds, and again with another one when the account says
// that it does not.
func (s *session) do(ctx context.Context, f func(*blockblob.Client) error) error {
	for {
		g, err := s.current(ctx)
		if err != nil {
			return err
		}
		err = f(g.blob)
		if err == nil {
			s.worked(g)
			return nil
		}
		if !refused(err) {
			return err
		}
		if renewed, rerr := s.renew(ctx, g); rerr != nil || !renewed {
			return errors.Join(err, rerr)
		}
	}
}

// refused reports whether the account does not take the token.
func refused(err error) bool {
	var e *azcore.ResponseError
	return errors.As(err, &e) && (e.StatusCode == http.StatusForbidden || e.StatusCode == http.StatusUnauthorized) &&
		!bloberror.HasCode(err, bloberror.AuthorizationPermissionMismatch)
}

// current returns the grant, another one when it is about to end.
func (s *session) current(ctx context.Context) (*grant, error) {
	g := s.grant()
	if g.renewAt.IsZero() || time.Now().Before(g.renewAt) {
		return g, nil
	}
	if _, err := s.renew(ctx, g); err != nil {
		return nil, err
	}
	return s.grant(), nil
}

func (s *session) grant() *grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *session) worked(g *grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == g {
		s.used = true
	}
}

// renew replaces old, unless somebody has already. It reports false for a fresh grant that has not
// worked: the next one would not either.
func (s *session) renew(ctx context.Context, old *grant) (bool, error) {
	select {
	case s.renewing <- struct{}{}:
		defer func() { <-s.renewing }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	s.mu.Lock()
	now, used := s.now, s.used
	s.mu.Unlock()
	if now != old {
		return true, nil
	}
	if !used && time.Since(old.given) < fresh {
		return false, nil
	}
	// The blocks stay; the place among the device's uploads is given back.
	_ = s.device.FailUpload(ctx, old.CorrelationID, -1, "the token expired; the upload goes on with another")
	return true, s.begin(ctx)
}

// complete tells the hub that the blob is there. An upload that has expired meanwhile, or that
// the hub has forgotten, is begun once more for that: the blob stays what it is.
func (s *session) complete(ctx context.Context) error {
	err := s.device.CompleteUpload(ctx, s.grant().CorrelationID)
	if ended(err) {
		if err = s.begin(ctx); err == nil {
			err = s.device.CompleteUpload(ctx, s.grant().CorrelationID)
		}
	}
	return err
}

// fail tells the hub that the upload failed because of err, which it returns. ctx may have ended.
func (s *session) fail(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.NotifyTimeout)
	defer cancel()
	status, text := statusOf(err)
	if told := s.device.FailUpload(ctx, s.grant().CorrelationID, status, text); told != nil && !ended(told) {
		return fmt.Errorf("%w (and the hub could not be told: %w)", err, told)
	}
	return err
}

// ended reports whether an error says that the hub has no such upload under way.
func ended(err error) bool {
	return errors.Is(err, hubwire.InvalidFileUploadCorrelationID) || errors.Is(err, hubwire.ExpiredFileUploadCorrelationID)
}
