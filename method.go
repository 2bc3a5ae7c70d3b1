package hubwire

import "encoding/json"

// MethodRequest is a direct method call as the device gets it.
type MethodRequest struct {
	Name    string          // case-sensitive
	Payload json.RawMessage // at most [MaxMethodPayload]; empty when the caller gave none
}

// MethodResponse is the device's answer to a direct method call.
type MethodResponse struct {
	Status  int             // the device's own, by custom like HTTP's: 200, 404, 500
	Payload json.RawMessage // at most [MaxMethodPayload]; empty for none
}
