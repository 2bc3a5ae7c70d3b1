package hubwire

import "encoding/json"

// Twin is the state document of a device or module. A device reads only
// Desired and Reported; the other fields are the service's.
// Source: IoT Hub developer guide, "Understand and use device twins".
type Twin struct {
	Identity Identity // whose it is
	ETag     string   // of the whole twin, for conditional writes
	Version  int64    // of the whole twin
	ModelID  string   // Plug and Play model, as the device announced it

	Tags     json.RawMessage // a JSON object that devices do not see
	Desired  TwinSection     // written by the service, read by the device
	Reported TwinSection     // written by the device, read by the service
}

// TwinSection is the desired or the reported half of a twin.
type TwinSection struct {
	Version int64 // $version; counts the changes of this section

	// JSON is the section as an object, without $version and $metadata.
	JSON json.RawMessage

	// Metadata is the section's $metadata; nil for a device, which does not get it.
	Metadata json.RawMessage
}

// Decode unmarshals the section into v, as [json.Unmarshal] does, with its errors: a section that was
// never read is one. $version and $metadata are not in it.
func (s TwinSection) Decode(v any) error { return json.Unmarshal(s.JSON, v) }

// DesiredChange is one step in the life of the desired properties as a device
// sees them. Applying each to the state before it (RFC 7396, JSON merge
// patch; or replacing the state, when Full) gives the hub's state.
type DesiredChange struct {
	Version int64           // $version after the change
	Full    bool            // JSON is the whole section, not a patch
	JSON    json.RawMessage // without $version
}
