package device

import (
	"slices"
	"strings"
)

// Feature is something that a device may want of its protocol. Not each protocol has
// each ([Transport.Supports]); [Features] are all.
type Feature uint8

// The features, with their row in spec/features.md 2.1.
const (
	FeatureTelemetry    Feature = iota // messages to the hub, acknowledged (P-04)
	FeatureBatch                       // many messages in one transfer or request (P-05)
	FeatureProperties                  // properties of messages, in any characters (P-06)
	FeatureAtMostOnce                  // messages that nobody acknowledges (P-08)
	FeatureWill                        // what the hub publishes when the connection breaks (P-10)
	FeatureReceive                     // cloud-to-device messages, to complete (P-12)
	FeaturePush                        // which come as soon as they are sent (P-11)
	FeatureReject                      // and can be rejected (P-13)
	FeatureAbandon                     // or abandoned (P-14)
	FeatureTwin                        // the twin: read, report, desired properties (P-16)
	FeatureMethods                     // direct methods (P-17)
	FeatureModules                     // modules as devices are (P-18)
	FeatureInputs                      // messages by a module's inputs (P-19)
	FeatureUpload                      // file uploads (P-20)
	FeatureCertificates                // X.509 in the place of tokens (P-03)
	FeatureRenewal                     // a new token on the same connection (P-02)
	FeatureMultiplexing                // many identities on one connection (P-21)
	FeatureModelID                     // a Plug and Play model is announced (P-22)
	FeaturePresence                    // the hub knows whether the device is there (P-23)
	FeatureReasons                     // a refusal says why (P-24)
	FeatureProxy                       // an HTTP proxy that lets only port 443 through (P-25)
	numFeatures
)

// columns are the protocols in the order of the matrix, by their short names.
var columns = [...]string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"}

// What the notes of several protocols say.
const (
	thumbprintsOnly = "the service takes no certificates signed by a CA here, only thumbprints"
	besideIt        = "over HTTPS beside it, which needs port 443"
	byReconnecting  = "by a new connection each time"
)

// matrix says for each feature what it is called, and for each protocol "yes", "no", or
// either with a note after a colon.
var matrix = [numFeatures]struct {
	name string
	has  [len(columns)]string
}{
	//                       mqtt, mqtt-ws, amqp, amqp-ws, https
	FeatureTelemetry:    {"telemetry", [...]string{"yes", "yes", "yes", "yes", "yes"}},
	FeatureBatch:        {"batches on the wire", [...]string{"no", "no", "yes", "yes", "yes"}},
	FeatureProperties:   {"message properties", [...]string{"yes", "yes", "yes", "yes", "yes: in the characters of HTTP tokens, names in lower case"}},
	FeatureAtMostOnce:   {"telemetry at most once", [...]string{"yes", "yes", "no", "no", "no"}},
	FeatureWill:         {"last will", [...]string{"yes", "yes", "no", "no", "no"}},
	FeatureReceive:      {"C2D messages", [...]string{"yes", "yes", "yes", "yes", "yes"}},
	FeaturePush:         {"C2D messages pushed", [...]string{"yes", "yes", "yes", "yes", "no: the hub is asked, by default every 25 minutes"}},
	FeatureReject:       {"C2D reject", [...]string{"no", "no", "yes", "yes", "yes"}},
	FeatureAbandon:      {"C2D abandon", [...]string{"no", "no", "yes", "yes", "yes"}},
	FeatureTwin:         {"twin", [...]string{"yes", "yes", "yes", "yes", "no"}},
	FeatureMethods:      {"direct methods", [...]string{"yes", "yes", "yes", "yes", "no"}},
	FeatureModules:      {"modules", [...]string{"yes", "yes", "yes", "yes", "yes: telemetry alone"}},
	FeatureInputs:       {"module inputs", [...]string{"yes", "yes", "yes", "yes", "no"}},
	FeatureUpload:       {"file upload", [...]string{"yes: " + besideIt, "yes", "yes: " + besideIt, "yes", "yes"}},
	FeatureCertificates: {"X.509 certificates", [...]string{"yes", "yes: " + thumbprintsOnly, "yes", "yes: " + thumbprintsOnly, "yes: " + thumbprintsOnly}},
	FeatureRenewal:      {"token renewal in place", [...]string{"no: " + byReconnecting, "no: " + byReconnecting, "yes", "yes", "yes"}},
	FeatureMultiplexing: {"many devices on a connection", [...]string{"no", "no", "yes", "yes", "no"}},
	FeatureModelID:      {"model id", [...]string{"yes", "yes", "yes", "yes", "no"}},
	FeaturePresence:     {"presence", [...]string{"yes", "yes", "yes", "yes", "no: there is no connection to count"}},
	FeatureReasons:      {"refusals with their reason", [...]string{"no: the hub closes, or answers 5", "no: the hub closes, or answers 5", "yes", "yes", "yes"}},
	FeatureProxy:        {"HTTP proxy on port 443", [...]string{"no", "yes", "no", "yes", "yes"}},
}

// Features returns all there are, in order.
func Features() []Feature {
	all := make([]Feature, numFeatures)
	for f := range all {
		all[f] = Feature(f)
	}
	return all
}

// String returns what the feature is called, such as "direct methods".
func (f Feature) String() string {
	if f >= numFeatures {
		return "no feature"
	}
	return matrix[f].name
}

// Support is whether a protocol has a feature.
type Support struct {
	Has bool // it has, be it within limits

	// Note says how far, where that is not all the way, or what there is instead. Empty: no more to say.
	Note string
}

// String returns "yes" or "no", and the note.
func (s Support) String() string {
	text := "no"
	if s.Has {
		text = "yes"
	}
	if s.Note != "" {
		text += ": " + s.Note
	}
	return text
}

// whole reports whether a protocol has a feature without limits.
func (s Support) whole() bool { return s.Has && s.Note == "" }

// Supports says whether Clients over t have a feature. Of [Auto] it says what the least of its
// transports has, which is what can be counted on. The zero Transport has nothing.
//
// Source: spec/features.md 2.1.
func (t Transport) Supports(f Feature) Support {
	if f >= numFeatures {
		return Support{}
	}
	var least Support
	for i, leaf := range t.leaves() {
		if s := leaf.supports(f); i == 0 || least.Has && !s.Has || least.whole() {
			least = s
		}
	}
	return least
}

// supports is Supports for a transport that is not Auto.
func (t Transport) supports(f Feature) Support {
	column := slices.Index(columns[:], t.name)
	if column < 0 {
		return Support{}
	}
	has, note, _ := strings.Cut(matrix[f].has[column], ": ")
	return Support{Has: has == "yes", Note: note}
}

// Loss is a feature that a choice costs.
type Loss struct {
	Feature Feature     // what is lost
	Support Support     // what is left of it
	By      []Transport // who would have it, or more of it
}

// Lost returns what is lost by the choice of t: the features that t lacks, or has with
// limits, and one of others has, or has without.
func Lost(t Transport, others ...Transport) []Loss {
	var lost []Loss
	for _, f := range Features() {
		mine := t.Supports(f)
		better := slices.DeleteFunc(slices.Clone(others), func(o Transport) bool {
			its := o.Supports(f)
			return !its.Has || mine.Has && (mine.whole() || !its.whole())
		})
		if len(better) > 0 {
			lost = append(lost, Loss{f, mine, better})
		}
	}
	return lost
}
