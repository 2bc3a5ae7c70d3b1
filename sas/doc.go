// Package sas makes, reads and checks the shared access signatures of Azure IoT
// Hub, its Device Provisioning Service and Event Hubs, and reads connection strings.
//
//	SharedAccessSignature sr={resource}&sig={base64 of the MAC}&se={seconds since 1970}[&skn={policy}]
//
// The MAC is HMAC-SHA256 over the resource as it stands in the token, a line
// feed, and the expiry as it stands in the token.
//
// Keys, tokens and connection strings do not print: every formatting verb,
// String, JSON and log/slog show "(secret)" in their place.
//
// Source: "Control access to IoT Hub by using shared access signatures", and
// the official SDKs where it is silent.
package sas
