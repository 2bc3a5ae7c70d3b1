package httpsx

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
)

// lockTimeout is the header and the query parameter that ask for how long a message stays locked.
const lockTimeout = "iothub-messagelocktimeout"

// The lock times that a request can ask for. Source: the limits of the hub's other locks; that of
// the device queue, 60 s by default, is not documented.
const (
	MinLockTimeout = 5 * time.Second
	MaxLockTimeout = 300 * time.Second
)

// SetLockTimeout asks, in the headers of a request to receive, for a lock of
// d, in whole seconds. 0 asks for nothing: the hub's default is 60 s.
func SetLockTimeout(h http.Header, d time.Duration) {
	if d > 0 && h != nil {
		h[lockTimeout] = []string{strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)}
	}
}

// LockTimeout returns what lock a request to receive asks for, in either spelling:
//
//	IotHub-MessageLockTimeout: 60            Java, the CLI
//	?iothub-messagelocktimeout=60            .NET
//
// 0 means that it does not say. The header counts when there are both. The error is a
// [*hubwire.Error] with [hubwire.ArgumentInvalid]: it is not a number, or not from
// [MinLockTimeout] to [MaxLockTimeout].
func LockTimeout(h http.Header, query url.Values) (time.Duration, error) {
	v := h.Get(lockTimeout)
	if v == "" {
		for name, values := range query {
			if strings.EqualFold(name, lockTimeout) && len(values) > 0 {
				v = values[0]
			}
		}
	}
	if v == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(v, 10, 16)
	d := time.Duration(seconds) * time.Second
	if err != nil || d < MinLockTimeout || d > MaxLockTimeout {
		return 0, refused(ReceiveC2D, hubwire.ArgumentInvalid, "%s is %.40q, not a number of seconds from %v to %v", lockTimeout, v, MinLockTimeout, MaxLockTimeout)
	}
	return d, nil
}
