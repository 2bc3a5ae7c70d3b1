// Package sas makes, reads and checks the shared access signatures of Azure IoT
// Hub, its Device Provisioning Service and Event Hubs, and reads connection strings.
//
//	SharedAccessSignature sr={resource}&sig={base64 of the MAC}&se={seconds since 1970}[&skn={policy}]
//
// The MAC is HMAC-SHA256 over the resource as it stands in the token, a line
// feed, and the expiry as it stands in the token.
//
// The clients of packages device and service do all of this by themselves. Who speaks the wire
// makes tokens of a connection string so, of a key with [Source] or [AppendToken], and of a key behind a
// door with a [Signer]:
//
//	cs, err := sas.ParseConnectionString("HostName=…;DeviceId=…;SharedAccessKey=…")
//	tokens, err := cs.Tokens(0) // each for an hour
//	token, expires, err := tokens.Token(ctx, sas.Audience(cs.HostName, cs.Identity()))
//
// Who gets one reads it with [ParseToken] and then asks it: [Token.CheckResource], [Token.CheckExpiry],
// [Token.SignedBy].
//
// Keys, tokens and connection strings do not print: every formatting verb,
// String, JSON and log/slog show "(secret)" in their place.
//
// Source: "Control access to IoT Hub by using shared access signatures", and
// the official SDKs where it is silent.
package sas
