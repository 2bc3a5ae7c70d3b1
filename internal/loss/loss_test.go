package loss

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestALossIsAnEndAndItsCause(t *testing.T) {
	closed := &Error{Text: "mqtt: session closed"}
	lost := &Error{"mqtt: connection lost", io.ErrUnexpectedEOF}
	for _, tt := range []struct {
		err, is error
		want    bool
		text    string
	}{
		{closed, net.ErrClosed, true, "mqtt: session closed"},
		{closed, closed, true, "mqtt: session closed"},
		{closed, io.ErrUnexpectedEOF, false, "mqtt: session closed"},
		{lost, net.ErrClosed, true, "mqtt: connection lost: unexpected EOF"},
		{lost, io.ErrUnexpectedEOF, true, "mqtt: connection lost: unexpected EOF"},
		{lost, closed, false, "mqtt: connection lost: unexpected EOF"},
	} {
		if got := errors.Is(tt.err, tt.is); got != tt.want || tt.err.Error() != tt.text {
			t.Errorf("%q is %q: %v, want %v and the text %q", tt.err, tt.is, got, tt.want, tt.text)
		}
	}
}
