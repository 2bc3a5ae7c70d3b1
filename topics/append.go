package topics

import (
	"strconv"
	"time"

	"github.com/hubwire/hubwire"
)

// AppendTelemetry appends the device-to-cloud topic of id, for a property bag to follow:
//
//	devices/{device}[/modules/{module}]/messages/events/
//
// It is also the topic of a will. Ids are not escaped. Messages of a module's
// output carry its name as the system property [Output].
func AppendTelemetry(dst []byte, id hubwire.Identity) []byte {
	return append(appendDevice(dst, id), "/messages/events/"...)
}

// AppendC2D appends the cloud-to-device topic of id, for a property bag to follow:
//
//	devices/{device}[/modules/{module}]/messages/devicebound/
//
// What follows must not be empty, and system properties must come first: the
// .NET SDK drops the connection without a bag, and Java reads from the first "%24" on.
func AppendC2D(dst []byte, id hubwire.Identity) []byte {
	return append(appendDevice(dst, id), "/messages/devicebound/"...)
}

// AppendInput appends the topic of a module input, for a property bag to follow:
//
//	devices/{device}/modules/{module}/inputs/{input}/
//
// The input name is escaped as far as a path segment needs. The C SDK needs the last slash.
func AppendInput[T Text](dst []byte, id hubwire.Identity, input T) []byte {
	dst = append(appendDevice(dst, id), "/inputs/"...)
	return append(appendEscaped(dst, input, nameEscapes), '/')
}

func appendDevice(dst []byte, id hubwire.Identity) []byte {
	dst = append(dst, "devices/"...)
	dst = append(dst, id.DeviceID...)
	if id.ModuleID != "" {
		dst = append(dst, "/modules/"...)
		dst = append(dst, id.ModuleID...)
	}
	return dst
}

// AppendMethodRequest appends the topic of a direct method call, hub to device:
//
//	$iothub/methods/POST/{method}/?$rid={rid}
//
// The name is escaped as far as a path segment needs, which leaves ordinary
// names alone. rid must be of "0-9a-f-" only: the SDKs disagree on anything else.
func AppendMethodRequest[N, R Text](dst []byte, method N, rid R) []byte {
	dst = append(dst, "$iothub/methods/POST/"...)
	dst = appendEscaped(dst, method, nameEscapes)
	return appendRequestID(dst, rid)
}

// AppendMethodResponse appends the topic of the answer to a direct method call,
// device to hub. rid is the request's, byte for byte.
//
//	$iothub/methods/res/{status}/?$rid={rid}
func AppendMethodResponse[R Text](dst []byte, status int, rid R) []byte {
	dst = append(dst, "$iothub/methods/res/"...)
	return appendRequestID(appendStatus(dst, status), rid)
}

// AppendTwinGet appends the topic that asks for the twin, device to hub:
//
//	$iothub/twin/GET/?$rid={rid}
func AppendTwinGet[R Text](dst []byte, rid R) []byte {
	return appendRequestID(append(dst, "$iothub/twin/GET"...), rid)
}

// AppendTwinReported appends the topic that patches the reported properties,
// device to hub. A version other than 0 is the one that the patch is for: the
// hub refuses it when the section has moved on.
//
//	$iothub/twin/PATCH/properties/reported/?$rid={rid}[&$version={version}]
func AppendTwinReported[R Text](dst []byte, rid R, version int64) []byte {
	dst = appendRequestID(append(dst, "$iothub/twin/PATCH/properties/reported"...), rid)
	return appendVersion(dst, version)
}

// AppendTwinResponse appends the topic of the answer to either twin request, hub
// to device. status has three digits; rid is the request's, byte for byte. A version
// other than 0 is that of the reported properties after the patch.
//
//	$iothub/twin/res/{status}/?$rid={rid}[&$version={version}]
func AppendTwinResponse[R Text](dst []byte, status int, rid R, version int64) []byte {
	dst = appendStatus(append(dst, "$iothub/twin/res/"...), status)
	return appendVersion(appendRequestID(dst, rid), version)
}

// AppendTwinDesired appends the topic of a change of the desired properties, hub
// to device. version is that after the change.
//
//	$iothub/twin/PATCH/properties/desired/?$version={version}
func AppendTwinDesired(dst []byte, version int64) []byte {
	dst = append(dst, "$iothub/twin/PATCH/properties/desired/?$version="...)
	return strconv.AppendInt(dst, version, 10)
}

// AppendDPSRegister appends the topic of a registration, device to DPS; its body is [DPSRegistration]'s:
//
//	$dps/registrations/PUT/iotdps-register/?$rid={rid}
func AppendDPSRegister[R Text](dst []byte, rid R) []byte {
	return appendRequestID(append(dst, "$dps/registrations/PUT/iotdps-register"...), rid)
}

// AppendDPSQuery appends the topic that asks how a registration is going, device to DPS; it has no body:
//
//	$dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={operation}
func AppendDPSQuery[R, O Text](dst []byte, rid R, operation O) []byte {
	dst = appendRequestID(append(dst, "$dps/registrations/GET/iotdps-get-operationstatus"...), rid)
	return appendEscaped(append(dst, "&operationId="...), operation, uriEscapes)
}

// AppendDPSResponse appends the topic of DPS's answer; its body is [DPSResult]'s.
// A retryAfter of 0 is left out, others are rounded up to seconds.
//
//	$dps/registrations/res/{status}/?$rid={rid}[&retry-after={seconds}]
func AppendDPSResponse[R Text](dst []byte, status int, rid R, retryAfter time.Duration) []byte {
	dst = appendStatus(append(dst, "$dps/registrations/res/"...), status)
	dst = appendRequestID(dst, rid)
	if retryAfter <= 0 {
		return dst
	}
	dst = append(dst, "&retry-after="...)
	return strconv.AppendInt(dst, int64((retryAfter+time.Second-1)/time.Second), 10)
}

// appendRequestID appends the slash before the query too: half of the SDKs need it.
func appendRequestID[R Text](dst []byte, rid R) []byte {
	return append(append(dst, "/?$rid="...), rid...)
}

func appendVersion(dst []byte, version int64) []byte {
	if version == 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, "&$version="...), version, 10)
}

func appendStatus(dst []byte, status int) []byte {
	if status >= 100 && status <= 999 { // nearly always
		return append(dst, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10))
	}
	return strconv.AppendInt(dst, int64(status), 10)
}
