package device

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/hubwire/hubwire/ws"
)

// Obstacle is the kind of thing that stands between here and a protocol of the hub.
type Obstacle uint8

// The obstacles, in the order in which they are met.
const (
	ObstacleNone        Obstacle = iota // the protocol was answered
	ObstacleFeature                     // it was not tried, as it lacks a feature that is needed
	ObstacleName                        // DNS does not know the host, or does not answer
	ObstacleUnreachable                 // no way leads to it, or none that is permitted here
	ObstacleRefused                     // its port is closed
	ObstacleTimeout                     // no answer in time, as when a firewall drops what is sent
	ObstacleProxy                       // the proxy does not let it through
	ObstacleTLS                         // what answers does not speak TLS, or not such as is wanted
	ObstacleCertificate                 // its certificate is not the hub's, as when the network looks into TLS
	ObstacleUpgrade                     // the WebSocket is refused
	ObstacleProtocol                    // something else answers in the protocol's place
	ObstacleCut                         // the connection was cut off before an answer
	ObstacleOther                       // something else; Err has it
)

// String says it in a few words.
func (o Obstacle) String() string {
	switch o {
	case ObstacleNone:
		return "none"
	case ObstacleFeature:
		return "lacks a feature"
	case ObstacleName:
		return "no such name"
	case ObstacleUnreachable:
		return "unreachable"
	case ObstacleRefused:
		return "refused"
	case ObstacleTimeout:
		return "timed out"
	case ObstacleProxy:
		return "refused by the proxy"
	case ObstacleTLS:
		return "no TLS"
	case ObstacleCertificate:
		return "not the hub's certificate"
	case ObstacleUpgrade:
		return "no WebSocket"
	case ObstacleProtocol:
		return "another protocol"
	case ObstacleCut:
		return "cut off"
	}
	return "failed"
}

// obstacleOf returns what err, of a way to the hub, is about.
func obstacleOf(err error) Obstacle {
	switch {
	case err == nil:
		return ObstacleNone
	case isA[*net.DNSError](err):
		return ObstacleName
	case timedOut(err):
		return ObstacleTimeout
	case isA[*ws.ProxyError](err):
		return ObstacleProxy
	case isA[*ws.HandshakeError](err):
		return ObstacleUpgrade
	case badCertificate(err):
		return ObstacleCertificate
	case isA[tls.RecordHeaderError](err):
		return ObstacleTLS
	case errors.Is(err, errOther):
		return ObstacleProtocol
	case errors.Is(err, syscall.ECONNREFUSED):
		return ObstacleRefused
	case isAny(err, syscall.ECONNRESET, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed):
		return ObstacleCut
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		switch op.Op {
		case "dial":
			return ObstacleUnreachable
		case "local error", "remote error": // an alert
			return ObstacleTLS
		}
	}
	return ObstacleOther
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

func timedOut(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout() || errors.Is(err, context.DeadlineExceeded)
}
