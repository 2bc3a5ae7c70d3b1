package topics_test

import (
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/topics"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	testkit.Zeros(t, map[string]any{
		"AppendAcknowledged":    topics.AppendAcknowledged,
		"AppendC2D":             topics.AppendC2D,
		"AppendC2DFilter":       topics.AppendC2DFilter,
		"AppendClientID":        topics.AppendClientID,
		"AppendCommand":         topics.AppendCommand,
		"AppendDPSQuery":        topics.AppendDPSQuery[string, string],
		"AppendDPSRegister":     topics.AppendDPSRegister[string],
		"AppendDPSRegistration": topics.AppendDPSRegistration,
		"AppendDPSResponse":     topics.AppendDPSResponse[string],
		"AppendDPSResult":       topics.AppendDPSResult,
		"AppendDPSUserName":     topics.AppendDPSUserName,
		"AppendEscape":          topics.AppendEscape[string],
		"AppendInput":           topics.AppendInput[string],
		"AppendInputFilter":     topics.AppendInputFilter,
		"AppendMethodRequest":   topics.AppendMethodRequest[string, string],
		"AppendMethodResponse":  topics.AppendMethodResponse[string],
		"AppendModuleFilter":    topics.AppendModuleFilter,
		"AppendNull":            topics.AppendNull[string],
		"AppendProperty":        topics.AppendProperty[string, string],
		"AppendReported":        topics.AppendReported,
		"AppendSystem":          topics.AppendSystem[string],
		"AppendTelemetry":       topics.AppendTelemetry,
		"AppendTwinDesired":     topics.AppendTwinDesired,
		"AppendTwinGet":         topics.AppendTwinGet[string],
		"AppendTwinReported":    topics.AppendTwinReported[string],
		"AppendTwinResponse":    topics.AppendTwinResponse[string],
		"AppendUnescape":        topics.AppendUnescape[string],
		"AppendUserName":        topics.AppendUserName,
		"LookupSystem":          topics.LookupSystem[string],
		"Parse":                 topics.Parse,
		"ParseAcknowledgement":  topics.ParseAcknowledgement,
		"ParseClientID":         topics.ParseClientID,
		"ParseDPSRegistration":  topics.ParseDPSRegistration,
		"ParseDPSResult":        topics.ParseDPSResult,
		"ParseDPSUserName":      topics.ParseDPSUserName,
		"ParseFilter":           topics.ParseFilter,
		"ParseUserName":         topics.ParseUserName,
		"SplitCommand":          topics.SplitCommand,
		"TwinProperties":        topics.TwinProperties,
	}, topics.AuthChain{}, topics.Bag{}, &topics.DPSResult{}, topics.Filter{}, topics.Kind(0), topics.Pair{}, &topics.SyntaxError{}, topics.System(0), &topics.Topic{})
}
