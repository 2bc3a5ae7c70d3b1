package httpsx

import (
	"errors"
	"io"
	"net/http"

	"github.com/hubwire/hubwire"
)

// maxAhead is as much as is set aside for a body by what it says of its own length, in bytes.
const maxAhead = 64 << 10

// ReadBody reads the body of a request for op, of at most [Operation.MaxBody] bytes. The
// error is an [*hubwire.Error] with code [hubwire.MessageTooLarge], whose message names the
// limit, or [hubwire.FormatError] for a body that did not arrive. A nil r has an empty body.
func ReadBody(op Operation, r *http.Request) ([]byte, error) {
	if r == nil || r.Body == nil {
		return nil, nil
	}
	limit := op.MaxBody()
	if r.ContentLength > limit {
		return nil, tooLarge(op, limit)
	}
	b, err := readAtMost(r.Body, limit, r.ContentLength)
	var more *http.MaxBytesError
	switch {
	case errors.As(err, &more):
		return nil, tooLarge(op, more.Limit)
	case err != nil:
		return nil, refused(op, hubwire.FormatError, "the body did not arrive")
	case int64(len(b)) > limit:
		return nil, tooLarge(op, limit)
	}
	return b, nil
}

func tooLarge(op Operation, limit int64) error {
	return refused(op, hubwire.MessageTooLarge, "the body has more than %d bytes", limit)
}

// readAtMost reads r to its end, or a byte beyond limit. It returns what it read also when that ended
// in an error. announced is the length that r is said to have.
func readAtMost(r io.Reader, limit, announced int64) ([]byte, error) {
	b := make([]byte, 0, min(max(announced, 0), maxAhead)+1) // a byte more, to meet the end in
	r = io.LimitReader(r, limit+1)
	for {
		n, err := r.Read(b[len(b):cap(b)])
		switch b = b[:len(b)+n]; {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		case len(b) == cap(b):
			b = append(b, 0)[:len(b)]
		}
	}
}
