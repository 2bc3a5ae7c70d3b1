package main

// The protocols of devices, and some of them together.
const (
	onMQTT    = "mqtt mqtt-ws"
	onAMQP    = "amqp amqp-ws"
	onHTTPS   = "https"
	connected = onMQTT + " " + onAMQP
	anywhere  = connected + " " + onHTTPS
)

// trial is the test that tries what package device says of a protocol, both ways: what a
// protocol has works, and what it has not fails.
func trial(feature string) string { return "device.TestTheMatrixIsTrue/" + feature + " over *" }

// tour is a row of `hubwire demo`, over TLS on sockets.
func tour(feature string) string {
	return "cmd/hubwire.TestTheWholeTourPassesAndJSONAgrees/" + feature + "/*"
}

// npm is a check of the official packages for Node, at both ends of `hubwire hub`.
func npm(check string) string { return "interop.TestNpm" + check + " over *" }

// What several rows are proved by.
const (
	asSent       = "device.TestTelemetryArrivesAsItWasSent/*"
	asSentHTTPS  = "device.TestHTTPSTelemetryArrivesAsItWasSent"
	livesAsSDKs  = "hub.TestShapeMQTT"
	nodeMQTT     = "interop.TestNode/*/"
	nodeAMQP     = "interop.TestNodeAMQP/*/"
	programHTTPS = "interop.TestProgramHTTPS/"
	asUAMQP      = "interop.TestUAMQP/*/"
	cannotMQTT   = "PUBACK is the only word, so it is an error that matches errors.ErrUnsupported"
	cannotHTTPS  = "an error that matches errors.ErrUnsupported"
)

// devices is section 2.1 of the matrix: the device's side.
var devices = table{
	title:   "Devices",
	columns: []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"},
	rows: []row{
		{"P-01", "SAS token auth", "YYYYY", []claim{
			ok(anywhere, tour("telemetry, plain"), tour("a wrong key is refused"),
				"device.TestARefusedLoginEndsDialAtOnce/a wrong key/*", "device.TestARefusedLoginEndsDialAtOnce/an expired token/*",
				npm("Connect/connects with the primary key"), npm("Connect/connects with a token of its own"), npm("Connect/connects with a token of a policy"),
				npm("Connect/refused: a key that is not the device's"), npm("Connect/refused: a token that expired an hour ago")),
			ok("mqtt amqp https", "hub.TestShapeTokens"),
		}},
		{"P-02", "token renewal without dropping the connection", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, trial("token renewal in place"), tour("token renewal on the same connection"),
				npm("Renewal/the SDK renews the token of a key"), npm("Renewal/the program gives another token")),
			ok(onAMQP, "interop.TestNodeSessionAMQP/*/token renewal"),
			impossible(onMQTT, "MQTT 3.1.1 cannot authenticate again, so the client says good-bye and is back with the next token, and nothing is lost",
				trial("token renewal in place"), "device.TestTokensAreRenewedWithoutLoss/*", npm("Renewal/the SDK renews the token of a key")),
		}},
		{"P-03", "X.509 by thumbprint, X.509 by an authority", "YnYnn", []claim{
			ok("mqtt amqp", tour("X.509 by thumbprint"), tour("X.509 by an authority"), "device.TestCertificatesOfAnAuthority/by the root/*"),
			limited("mqtt-ws amqp-ws https", "by thumbprint; the SDKs say that the service takes no certificates of an authority here, which the hub does not refuse",
				tour("X.509 by thumbprint"), trial("X.509 certificates")),
			ok(anywhere, npm("Connect/connects with a certificate"), npm("Connect/refused: another certificate of the same name")),
		}},
		{"P-04", "telemetry, a message", "YYYYY", []claim{
			ok(connected, asSent),
			ok(onHTTPS, asSentHTTPS),
			ok(anywhere, tour("telemetry, plain"), tour("telemetry over the limit is refused"), npm("Telemetry/telemetry: a body of every byte"),
				npm("Telemetry/telemetry: a hundred at once, each once"), npm("Telemetry/telemetry: over 256 KiB is refused, and then goes on")),
			ok(onMQTT, livesAsSDKs),
			ok(onAMQP, asUAMQP+"telemetry"),
			ok("amqp", "hub.TestShapeAMQPTelemetry"),
			ok(onHTTPS, "hub.TestShapeHTTPSTelemetry"),
		}},
		{"P-05", "telemetry, a batch on the wire", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, trial("batches on the wire"), tour("telemetry in batches that are one message")),
			ok(onAMQP, "interop.TestRhea/*/batches", "interop.TestGoAMQP/*/a burst, and a batch", asUAMQP+"telemetry"),
			ok("amqp", "hub.TestShapeAMQPTelemetry"),
			ok(onHTTPS, npm("Telemetry/a batch"), "hub.TestShapeHTTPSTelemetry"),
			impossible(onMQTT, "a PUBLISH is one message", trial("batches on the wire"), npm("Telemetry/a batch")),
		}},
		{"P-06", "telemetry, application and system properties", "YYYYn", []claim{
			ok(connected, asSent),
			limited(onHTTPS, "they travel as headers: ASCII, in the characters of HTTP's tokens, names in lower case; what does not fit is refused before it is sent",
				asSentHTTPS, "device.TestHTTPSPropertiesThatItCannotCarry"),
			ok(anywhere, tour("telemetry with every system property"), npm("Telemetry/telemetry: every system property that all transports have"), npm("Telemetry/telemetry: awkward properties")),
			ok(connected, tour("telemetry with awkward property values")),
		}},
		{"P-07", "telemetry, content type and encoding", "YYYYY", []claim{
			ok(connected, asSent),
			ok(onHTTPS, asSentHTTPS),
			ok(anywhere, tour("telemetry with every system property"), npm("Telemetry/telemetry: every system property that all transports have")),
		}},
		{"P-08", "telemetry at most once (QoS 0)", "YYnn-", []claim{
			ok(onMQTT, trial("telemetry at most once"), "device.TestAtMostOnceNeedsNoAcknowledgement/*", livesAsSDKs),
			ok("mqtt", "interop.TestMosquitto/telemetry/QoS 0"),
			limited(onAMQP, "the hub takes messages that are sent settled; like the SDKs, our client has no option for it",
				"hub.TestAMQPTelemetryThatNobodySettles/*", "interop.TestRhea/*/telemetry/settled by the sender"),
			impossible(onHTTPS, "each request is answered", trial("telemetry at most once")),
		}},
		{"P-09", "QoS 2, retained messages, wildcards, free topics", "-----", []claim{
			impossible(onMQTT, "QoS 2 and unknown topics end the connection, retain becomes the property mqtt-retain, a subscription is granted QoS 1 at most", "hub.TestWhatMQTTHasNot/*"),
			impossible("mqtt", "so mosquitto's clients find it", "interop.TestMosquitto/what is not allowed", "interop.TestMosquitto/telemetry/retain"),
			impossible(onAMQP+" "+onHTTPS, "the protocol has no such words"),
		}},
		{"P-10", "last will as telemetry", "YY---", []claim{
			ok(onMQTT, tour("last will"), "device.TestTheWillIsPublishedWhenTheClientVanishes/*"),
			ok("mqtt", "interop.TestMosquitto/will"),
			impossible(onAMQP+" "+onHTTPS, "the protocol has no wills", trial("last will")),
		}},
		{"P-11", "C2D, pushed", "YYYY-", []claim{
			ok(connected, trial("C2D messages pushed"), "device.TestAMessageIsReceivedAsItWasSentAndCompleted/*",
				npm("C2D/system and other properties"), npm("C2D/twenty, each once and in their order")),
			ok(onMQTT, livesAsSDKs),
			ok("amqp", "hub.TestShapeAMQPReceives"),
			impossible(onHTTPS, "the hub is polled, by default every 25 minutes", trial("C2D messages pushed"), "device.TestHTTPSMessagesArePolledFor"),
		}},
		{"P-12", "C2D, complete", "nnYYY", []claim{
			limited(onMQTT, "by PUBACK, in the order of delivery", trial("C2D messages")),
			ok(onAMQP+" "+onHTTPS, trial("C2D messages")),
			ok(anywhere, tour("C2D complete, with feedback"), npm("C2D/complete"), "interop.TestNpmFeedback/*/a message that is completed over *"),
			ok(onAMQP, asUAMQP+"messages to a device, and feedback"),
			ok("amqp", "hub.TestShapeAMQPReceives"),
			ok(onHTTPS, "hub.TestShapeHTTPSReceives"),
		}},
		{"P-13", "C2D, reject", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, trial("C2D reject"), tour("C2D reject and abandon"), npm("C2D/reject"), "interop.TestNpmFeedback/*/a message that is rejected over *"),
			ok(onAMQP, asUAMQP+"messages to a device, and feedback"),
			ok("amqp", "hub.TestShapeAMQPReceives"),
			ok(onHTTPS, "hub.TestShapeHTTPSReceives"),
			impossible(onMQTT, cannotMQTT, trial("C2D reject"), "device.TestMQTTCannotRejectOrAbandon/*", npm("C2D/reject")),
		}},
		{"P-14", "C2D, abandon", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, trial("C2D abandon"), tour("C2D reject and abandon"), npm("C2D/abandon"), "interop.TestNpmFeedback/*/a message that is abandoned ten times over *"),
			ok(onAMQP, "device.TestAMQPHasThreeWordsForAMessage/*", asUAMQP+"messages to a device, and feedback"),
			ok("amqp", "hub.TestShapeAMQPReceives"),
			ok(onHTTPS, programHTTPS+"a lock that is lost", "hub.TestShapeHTTPSReceives"),
			impossible(onMQTT, cannotMQTT, trial("C2D abandon"), "device.TestMQTTCannotRejectOrAbandon/*", npm("C2D/abandon")),
		}},
		{"P-15", "C2D, queued while the device is away", "nnYYY", []claim{
			limited(onMQTT, "they come with the next subscription, and right behind CONNACK when the session was kept", "device.TestMessagesWaitForADeviceThatIsAway/*"),
			ok("mqtt", "interop.TestMosquitto/clean and kept"),
			ok(onAMQP+" "+onHTTPS, "device.TestMessagesWaitForADeviceThatIsAway/*"),
			ok(anywhere, tour("C2D queued while offline"), npm("C2D/queued while the device is away")),
		}},
		{"P-16", "twin: read, reported, desired pushed", "YYYY-", []claim{
			ok(connected, tour("twin get"), tour("twin reported properties"), tour("twin desired properties, as a stream"), "device.TestDesiredFollowsTheHubWithoutGaps/*",
				npm("Twin/get"), npm("Twin/reported properties"), npm("Twin/desired properties, as they change"), npm("Twin/what changed while the device was away")),
			ok(onMQTT, livesAsSDKs),
			ok("amqp", "hub.TestShapeAMQPTwin"),
			impossible(onHTTPS, cannotHTTPS, trial("twin"), "device.TestHTTPSWhatItHasNot", npm("Twin/there are no twins")),
		}},
		{"P-17", "direct methods", "YYYY-", []claim{
			ok(connected, tour("method answered"), tour("method not answered in time: 504101"), "device.TestMethodsAreAnswered/*",
				npm("Methods/a method with an object"), npm("Methods/a slow method, too late"), npm("Methods/twenty calls at once, each with its answer")),
			ok(onMQTT, livesAsSDKs),
			ok("amqp", "hub.TestShapeAMQPMethods"),
			impossible(onHTTPS, cannotHTTPS, trial("direct methods"), "device.TestHTTPSWhatItHasNot", npm("Methods/there are no methods")),
		}},
		{"P-18", "module identities", "YYYYn", []claim{
			ok(connected, trial("modules"), tour("module twin"), tour("module method"),
				npm("Modules/telemetry of a module"), npm("Modules/the twin of a module"), npm("Modules/a method of a module")),
			ok(onMQTT, livesAsSDKs),
			limited(onHTTPS, "telemetry alone", trial("modules"), asSentHTTPS),
		}},
		{"P-19", "module outputs and inputs", "YYYY-", []claim{
			ok(connected, tour("module output and input"), "device.TestAModuleSendsToOutputsAndReceivesByInputs/*", npm("Modules/an output of a module")),
			ok(onMQTT, nodeMQTT+"module/input", livesAsSDKs),
			ok(onAMQP, nodeAMQP+"module/input", "interop.TestGoAMQP/*/module inputs"),
			impossible(onHTTPS, "HTTPS has no inputs", trial("module inputs")),
		}},
		{"P-20", "file upload", "nnnnY", []claim{
			limited(connected, "its requests go over HTTPS beside the connection, which needs port 443", trial("file upload")),
			ok(anywhere, tour("file upload, with its notification"), tour("file upload, the 11th at a time, is refused"),
				npm("Upload/a file, of which the service hears"), npm("Upload/a file of several blocks, as it was")),
			ok(onHTTPS, programHTTPS+"file upload", "hub.TestShapeUpload"),
		}},
		{"P-21", "many identities on one connection", "--YYn", []claim{
			ok(onAMQP, tour("many devices on one connection"), trial("many devices on a connection"), "interop.TestGoAMQP/*/many devices on one connection"),
			impossible(onMQTT, "a connection is of who logged in: a second CONNECT ends it, as does a second connection of the same device",
				"hub.TestAnMQTTConnectionIsOfOneIdentity/*", npm("Revoke/a second connection takes the device over")),
			impossible(onHTTPS, "each request says whose it is; there is no connection of a device that others could share", trial("many devices on a connection")),
		}},
		{"P-22", "Plug and Play model id", "YYnn-", []claim{
			ok(onMQTT, trial("model id"), npm("Telemetry/a model that the device has"), livesAsSDKs),
			limited(onAMQP, "in the properties of the device's links, as the .NET SDK does; the C SDK has it over MQTT alone", trial("model id")),
			impossible(onHTTPS, "there is no connection to say it on", trial("model id")),
		}},
		{"P-23", "connection state, as the hub sees it", "YYYY-", []claim{
			ok(connected, trial("presence"), npm("Revoke/who closes is disconnected for the registry")),
			impossible(onHTTPS, "there is no connection to see", trial("presence"), programHTTPS+"telemetry/makes no connection"),
		}},
		{"P-24", "why something was refused", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, trial("refusals with their reason")),
			ok(onAMQP, "interop.TestRhea/*/links that are refused", asUAMQP+"what is refused"),
			ok("amqp", "hub.TestShapeAMQPRejectedTelemetry"),
			ok(onHTTPS, "device.TestHTTPSEachCodeOfASendComesThrough", "interop.TestNodeErrors"),
			impossible(onMQTT, "the hub ends the connection, or answers CONNACK 5", trial("refusals with their reason"), nodeMQTT+"what is too large"),
		}},
		{"P-25", "HTTP proxy, which lets port 443 through", "-Y-YY", []claim{
			ok("mqtt-ws amqp-ws https", trial("HTTP proxy on port 443")),
			ok("mqtt-ws amqp-ws", "device.TestEverythingGoesThroughTheProxy/*"),
			ok(onHTTPS, "device.TestHTTPSThroughAProxyThatFailsAtTimes"),
			impossible("mqtt amqp", "the port is another, for which the proxy would have to make tunnels", trial("HTTP proxy on port 443")),
		}},
		{"P-26", "DPS with X.509 or a symmetric key", "YYYYY", []claim{
			notYet(onMQTT, "the hub has it, for clients of others; ours has none", "interop.TestNodeProvisioning/*/with a key of its own",
				"interop.TestNodeProvisioning/*/with the key of a group", "interop.TestNodeProvisioning/*/with a certificate"),
			notYet(onAMQP+" "+onHTTPS, "neither the hub nor our client has it"),
		}},
		{"P-27", "DPS with a TPM", "--YYY", []claim{
			notYet(onAMQP+" "+onHTTPS, "neither the hub nor our client has it"),
			impossible(onMQTT, "the service takes none over MQTT"),
		}},
		{"P-28", "device streams", "nnnnn", []claim{
			notYet(anywhere, "a preview of 2019, in no main branch of any SDK"),
		}},
		{"P-29", "MQTT 5", "nn---", []claim{
			notYet(onMQTT, "a limited preview of the service's; the hub refuses its CONNECT"),
			notYet("mqtt", "as it tells mosquitto's clients", "interop.TestMosquitto/logins/MQTT 5"),
			impossible(onAMQP+" "+onHTTPS, "it is MQTT's"),
		}},
		{"P-30", "five subscriptions at most", "nn---", []claim{
			limited(onMQTT, "a sixth filter ends the connection; our client has five at most", "hub.TestFiveSubscriptions/*", "device.TestAModuleHasATwinAndMethodsOfItsOwn/*"),
			impossible(onAMQP+" "+onHTTPS, "it is MQTT's"),
		}},
		{"P-31", "bounds of the keep-alive", "nn---", []claim{
			limited(onMQTT, "the hub waits for 1.5 times the keep-alive, and 1767 s at most; our client takes 1177 s at most",
				"hub.TestHowLongAClientMayBeSilent/*", "device.TestOptionsAreHeldAgainstTheirLimits", "interop.TestNodeSession/*/keep-alive"),
			impossible(onAMQP+" "+onHTTPS, "it is MQTT's"),
		}},
	},
}
