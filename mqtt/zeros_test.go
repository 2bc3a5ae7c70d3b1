package mqtt

import (
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake(t, well).start(SessionOptions{})
		testkit.Zeros(t, map[string]any{
			"AppendC2DTopic":       AppendC2DTopic,
			"AppendFilter":         AppendFilter[string],
			"AppendFilterName":     AppendFilterName[string],
			"AppendInputTopic":     AppendInputTopic,
			"AppendTelemetryBag":   AppendTelemetryBag,
			"AppendTelemetryTopic": AppendTelemetryTopic,
			"ClosePublish":         ClosePublish,
			"NewConn":              NewConn,
			"NewSecret":            NewSecret,
			"OpenPublish":          OpenPublish,
			"ParseConnack":         ParseConnack,
			"ParseConnect":         ParseConnect,
			"ParseDisconnect":      ParseDisconnect,
			"ParseMessage":         ParseMessage,
			"ParsePingreq":         ParsePingreq,
			"ParsePingresp":        ParsePingresp,
			"ParsePuback":          ParsePuback,
			"ParsePubcomp":         ParsePubcomp,
			"ParsePublish":         ParsePublish,
			"ParsePubrec":          ParsePubrec,
			"ParsePubrel":          ParsePubrel,
			"ParseSuback":          ParseSuback,
			"ParseSubscribe":       ParseSubscribe,
			"ParseUnsuback":        ParseUnsuback,
			"ParseUnsubscribe":     ParseUnsubscribe,
			"Split":                Split,
			"StartSession":         StartSession,
		}, &Conn{}, Connack{}, Connect{}, Disconnect{}, FilterNames{}, Filters{}, Packet{}, PacketError{}, Pingreq{}, Pingresp{}, Puback{}, Pubcomp{}, Publish{}, Pubrec{}, Pubrel{}, Receipt{}, ReturnCode(0), Secret{}, s, SessionState(0), Suback{}, Subscribe{}, SubscribeError{}, Type(0), Unsuback{}, Unsubscribe{})
	})
}
