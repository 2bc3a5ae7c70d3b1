package device

import (
	"context"
	"errors"

	"github.com/hubwire/hubwire"
)

func (l *amqpLink) receive(context.Context) (*hubwire.Received, error) {
	return nil, &hubwire.Error{Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent, Err: errors.ErrUnsupported}
}
