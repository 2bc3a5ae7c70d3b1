package device

import (
	"context"
	"errors"

	"github.com/hubwire/hubwire"
)

func (l *amqpLink) serveMethods(context.Context, func(hubwire.MethodRequest, replyFunc)) error {
	return &hubwire.Error{Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent, Err: errors.ErrUnsupported}
}
