package device

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp/links"
)

func (l *amqpLink) serveMethods(ctx context.Context, serve func(hubwire.MethodRequest, replyFunc)) error {
	return l.during(ctx, func(ctx context.Context) error {
		return l.device.ServeMethods(ctx, func(r hubwire.MethodRequest, reply links.MethodReply) { serve(r, replyFunc(reply)) })
	})
}
