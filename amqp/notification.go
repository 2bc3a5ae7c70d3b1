package amqp

import (
	"bytes"
	"time"

	"github.com/hubwire/hubwire"
)

// What the bodies of notifications to a service are, as their content type says.
const (
	FeedbackType         = "application/vnd.microsoft.iothub.feedback.json"         // an array of records
	FileNotificationType = "application/vnd.microsoft.iothub.filenotification.json" // an object
)

// Notification is what a service gets over a link to [Feedback] or [FileNotifications]. The
// transfer that carries it must have a delivery tag as [UUID.AppendTag] makes it.
type Notification struct {
	ContentType  string    // [FeedbackType] or [FileNotificationType]
	Hub          string    // the name of the hub, in user-id
	EnqueuedTime time.Time // of the oldest record, or of the notification
	Body         []byte    // JSON
}

// AppendNotification appends the message of n. All of it is written always: the .NET SDK
// reads the user's id and the annotation with the time without a look whether they are
// there. A nil n is the zero Notification. It allocates only to grow dst.
//
// Source: spec/amqp.md 5.2 and 5.3.
func AppendNotification(dst []byte, n *Notification) []byte {
	n = orZero(n)
	enqueued := [...]Pair{{KeyEnqueuedTime, Timestamp(n.EnqueuedTime)}}
	return AppendMessage(dst, &Draft{
		Annotations: enqueued[:],
		Properties:  Properties{UserID: n.Hub, ContentType: n.ContentType},
		Body:        DataBody,
		Data:        n.Body,
	})
}

// ParseNotification returns the notification that m is. It copies. The error is a
// [*hubwire.Error] with code [hubwire.FormatError]: the content type is neither, or the body
// is not data.
func ParseNotification(m *Message) (Notification, error) {
	const op = "receive notification"
	n := Notification{
		ContentType:  string(m.ContentType()),
		Hub:          string(m.UserID()),
		EnqueuedTime: m.Annotations().time(KeyEnqueuedTime),
	}
	body, ok := m.orZero().content()
	switch {
	case n.ContentType != FeedbackType && n.ContentType != FileNotificationType:
		return n, refused(op, hubwire.FormatError, "the content type is %.100q", n.ContentType)
	case !ok:
		return n, refused(op, hubwire.FormatError, "the body is not data")
	}
	n.Body = bytes.Clone(body)
	return n, nil
}
