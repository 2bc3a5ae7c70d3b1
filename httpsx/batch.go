package httpsx

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// BatchContentType is the Content-Type of a request that sends several messages.
const BatchContentType = "application/vnd.microsoft.iothub.json"

// MaxBatchSize is the largest body of a batch that the official SDKs send, in bytes. The
// hub's own limit is 262,144 for the request.
const MaxBatchSize = 255<<10 - 1

// IsBatch reports whether a request with the headers h sends a batch.
func IsBatch(h http.Header) bool {
	const n = len(BatchContentType)
	v := strings.TrimLeft(valueOf(h, "Content-Type"), " \t")
	if len(v) < n || !strings.EqualFold(v[:n], BatchContentType) {
		return false
	}
	parameters := strings.TrimLeft(v[n:], " \t")
	return parameters == "" || parameters[0] == ';'
}

// Batch builds the body of a request that sends several messages, which
// succeed or fail together:
//
//	[{"body":"b25l","base64Encoded":true,"properties":{"iothub-messageid":"1","iothub-app-k":"v"}},
//	 {"body":"dHdv","base64Encoded":true}]
//
// (without the line break). Properties are named as the headers of [SetMessage]
// are. The zero Batch is empty. It is not for use by several goroutines at once.
//
// Source: the device endpoint as the SDKs use it (spec/https.md 1.2).
type Batch struct {
	// MaxSize bounds the body, in bytes. 0 means [MaxBatchSize].
	MaxSize int

	body []byte // without the bracket at its end
	n    int
}

// Add appends m, unless the body would be larger than MaxSize: then it returns false, and the
// batch is as it was. m must have passed [CheckProperties]; nil is an empty message. m is
// copied. It allocates only to grow the body.
func (b *Batch) Add(m *hubwire.Message) bool {
	if b == nil {
		return false
	}
	limit := b.MaxSize
	if limit == 0 {
		limit = MaxBatchSize
	}
	if m == nil {
		m = new(hubwire.Message)
	}
	before := len(b.body)
	if before+base64.StdEncoding.EncodedLen(len(m.Body)) > limit {
		return false // not worth trying
	}
	if b.n == 0 {
		b.body = append(b.body[:0], '[')
	} else {
		b.body = append(b.body, ',')
	}
	b.body = appendElement(b.body, m)
	if len(b.body)+len("]") > limit {
		b.body = b.body[:before]
		return false
	}
	b.n++
	return true
}

// Len returns how many messages there are.
func (b *Batch) Len() int {
	if b == nil {
		return 0
	}
	return b.n
}

// Body returns the body. It is the Batch's, and good until the next Add or Reset.
func (b *Batch) Body() []byte {
	if b.Len() == 0 {
		return []byte("[]")
	}
	return append(b.body, ']')
}

// Reset empties the batch. It keeps the memory for the next.
func (b *Batch) Reset() {
	if b != nil {
		b.body, b.n = b.body[:0], 0
	}
}

// appendElement appends m as an element of a batch.
func appendElement(dst []byte, m *hubwire.Message) []byte {
	dst = append(dst, `{"body":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, m.Body)
	dst = append(dst, `","base64Encoded":true`...)
	start := len(dst)
	for s := sysMessageID; s < systems; s++ {
		if text := textField(m, s); text != nil {
			if *text != "" {
				dst = appendText(appendMember(dst, start, systemHeaders[s], ""), *text)
			}
		} else if at := timeField(m, s); !at.IsZero() {
			dst = append(systemtime.Append(appendMember(dst, start, systemHeaders[s], ""), *at), '"')
		}
	}
	for i := range m.Properties {
		p := &m.Properties[i]
		dst = appendText(appendMember(dst, start, appPrefix, p.Name), p.Value)
	}
	if len(dst) > start {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendMember appends the name of a property, up to and with the quote that
// its value begins with. start is where the first one's text begins.
func appendMember(dst []byte, start int, prefix, name string) []byte {
	if len(dst) == start {
		dst = append(dst, `,"properties":{"`...)
	} else {
		dst = append(dst, `,"`...)
	}
	dst = append(dst, prefix...)
	return append(appendText(dst, name), `:"`...)
}

// appendText appends what a JSON string holds of s, and its closing quote.
func appendText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
