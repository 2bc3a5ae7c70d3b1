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

// What several rows are proved by.
const (
	nodeMQTT     = "interop.TestNode/*/"
	nodeAMQP     = "interop.TestNodeAMQP/*/"
	nodeHTTPS    = "interop.TestNodeHTTPS/"
	programHTTPS = "interop.TestProgramHTTPS/"
	asSent       = "device.TestTelemetryArrivesAsItWasSent/*"
	asSentHTTPS  = "device.TestHTTPSTelemetryArrivesAsItWasSent"
)

// devices is section 2.1 of the matrix: the device's side.
var devices = table{
	title:   "Devices",
	columns: []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"},
	rows: []row{
		{"P-01", "SAS token auth", "YYYYY", []claim{
			ok(anywhere, tour("telemetry, plain"), tour("a wrong key is refused"), "device.TestARefusedLoginEndsDialAtOnce/a wrong key/*", "device.TestARefusedLoginEndsDialAtOnce/an expired token/*"),
			ok(onMQTT, nodeMQTT+"logins of other kinds", nodeMQTT+"logins that are refused"),
			ok(onAMQP, nodeAMQP+"logins of other kinds", nodeAMQP+"logins that are refused"),
			ok(onHTTPS, nodeHTTPS+"telemetry", programHTTPS+"logins that are refused"),
		}},
		{"P-02", "token renewal without dropping the connection", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, trial("token renewal in place"), tour("token renewal on the same connection")),
			ok(onAMQP, "interop.TestNodeSessionAMQP/*/token renewal"),
			impossible(onMQTT, "MQTT 3.1.1 cannot authenticate again, so the client says good-bye and is back with the next token, and nothing is lost",
				trial("token renewal in place"), "device.TestTokensAreRenewedWithoutLoss/*", "interop.TestNodeSession/*/token renewal"),
		}},
		{"P-03", "X.509 by thumbprint, X.509 by an authority", "YnYnn", []claim{
			ok("mqtt amqp", tour("X.509 by thumbprint"), tour("X.509 by an authority"), "device.TestCertificatesOfAnAuthority/by the root/*"),
			limited("mqtt-ws amqp-ws https", "by thumbprint; the SDKs say that the service takes no certificates of an authority here, which the hub does not refuse",
				tour("X.509 by thumbprint"), trial("X.509 certificates")),
			ok(onMQTT, nodeMQTT+"X.509"),
			ok(onAMQP, nodeAMQP+"X.509"),
			ok(onHTTPS, programHTTPS+"X.509"),
		}},
		{"P-04", "telemetry, a message", "YYYYY", []claim{
			ok(connected, tour("telemetry, plain"), tour("telemetry over the limit is refused"), asSent),
			ok(onHTTPS, tour("telemetry, plain"), tour("telemetry over the limit is refused"), asSentHTTPS),
			ok(onMQTT, nodeMQTT+"telemetry", nodeMQTT+"a burst of telemetry", nodeMQTT+"what is too large"),
			ok(onAMQP, nodeAMQP+"telemetry", nodeAMQP+"a burst of telemetry", nodeAMQP+"what is too large", "interop.TestUAMQP/*/telemetry"),
			ok(onHTTPS, nodeHTTPS+"telemetry"),
		}},
		{"P-05", "telemetry, a batch on the wire", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, trial("batches on the wire"), tour("telemetry in batches that are one message")),
			ok(onAMQP, "interop.TestRhea/*/batches", "interop.TestGoAMQP/*/a burst, and a batch", "interop.TestUAMQP/*/telemetry"),
			ok(onHTTPS, nodeHTTPS+"a batch of telemetry"),
			impossible(onMQTT, "a PUBLISH is one message", trial("batches on the wire"), nodeMQTT+"a burst of telemetry"),
		}},
		{"P-06", "telemetry, application and system properties", "YYYYn", []claim{
			ok(connected, tour("telemetry with every system property"), tour("telemetry with awkward property values"), asSent),
			limited(onHTTPS, "they travel as headers: ASCII, in the characters of HTTP's tokens, names in lower case; anything else is refused before it is sent, and a batch takes it all",
				tour("telemetry with every system property"), asSentHTTPS, "device.TestHTTPSPropertiesThatItCannotCarry", nodeHTTPS+"telemetry"),
			ok(onMQTT, nodeMQTT+"telemetry"),
			ok(onAMQP, nodeAMQP+"telemetry", "interop.TestUAMQP/*/telemetry"),
		}},
		{"P-07", "telemetry, content type and encoding", "YYYYY", []claim{
			ok(connected, tour("telemetry with every system property"), asSent),
			ok(onHTTPS, tour("telemetry with every system property"), asSentHTTPS),
			ok(onMQTT, nodeMQTT+"telemetry"),
			ok(onAMQP, nodeAMQP+"telemetry"),
			ok(onHTTPS, nodeHTTPS+"telemetry"),
		}},
		{"P-08", "telemetry at most once (QoS 0)", "YYnn-", []claim{
			ok(onMQTT, trial("telemetry at most once"), "device.TestAtMostOnceNeedsNoAcknowledgement/*"),
			ok("mqtt", "interop.TestMosquitto/telemetry/QoS 0"),
			limited(onAMQP, "the hub takes messages that are sent settled; like the SDKs, our client has no option for it",
				"hub.TestAMQPTelemetryThatNobodySettles/*", "interop.TestRhea/*/telemetry/settled by the sender"),
			impossible(onHTTPS, "each request is answered", trial("telemetry at most once")),
		}},
		{"P-09", "QoS 2, retained messages, wildcards, free topics", "-----", []claim{
			impossible(onMQTT, "QoS 2 and unknown topics end the connection, retain becomes the property mqtt-retain, a subscription is granted QoS 1 at most", "hub.TestWhatMQTTHasNot/*"),
			impossible("mqtt", "so it is for mosquitto's clients", "interop.TestMosquitto/what is not allowed", "interop.TestMosquitto/telemetry/retain"),
			impossible(onAMQP+" "+onHTTPS, "the protocol has no such words"),
		}},
		{"P-10", "last will as telemetry", "YY---", []claim{
			ok(onMQTT, tour("last will"), "device.TestTheWillIsPublishedWhenTheClientVanishes/*"),
			ok("mqtt", "interop.TestMosquitto/will"),
			impossible(onAMQP+" "+onHTTPS, "the protocol has no wills", trial("last will")),
		}},
		{"P-11", "C2D, pushed", "YYYY-", []claim{
			ok(connected, trial("C2D messages pushed")),
			ok("mqtt-ws mqtt", "device.TestAMessageIsReceivedAsItWasSentAndCompleted/*", nodeMQTT+"cloud-to-device"),
			ok(onAMQP, "device.TestAMessageIsReceivedAsItWasSentAndCompleted/*", nodeAMQP+"cloud-to-device"),
			impossible(onHTTPS, "the hub is polled, by default every 25 minutes", trial("C2D messages pushed"), "device.TestHTTPSMessagesArePolledFor"),
		}},
		{"P-12", "C2D, complete", "nnYYY", []claim{
			limited(onMQTT, "by PUBACK, in the order of delivery", tour("C2D complete, with feedback"), nodeMQTT+"cloud-to-device"),
			ok(onAMQP+" "+onHTTPS, tour("C2D complete, with feedback"), trial("C2D messages")),
			ok(onAMQP, nodeAMQP+"cloud-to-device", "interop.TestUAMQP/*/messages to a device, and feedback"),
			ok(onHTTPS, programHTTPS+"cloud-to-device/complete", nodeHTTPS+"what became of messages"),
		}},
		{"P-13", "C2D, reject", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, tour("C2D reject and abandon"), trial("C2D reject")),
			ok(onAMQP, nodeAMQP+"cloud-to-device", "interop.TestUAMQP/*/messages to a device, and feedback"),
			ok(onHTTPS, programHTTPS+"cloud-to-device/reject", nodeHTTPS+"what became of messages"),
			impossible(onMQTT, "PUBACK is the only word, so it is an error that matches errors.ErrUnsupported",
				trial("C2D reject"), "device.TestMQTTCannotRejectOrAbandon/*", nodeMQTT+"cloud-to-device"),
		}},
		{"P-14", "C2D, abandon", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, tour("C2D reject and abandon"), trial("C2D abandon")),
			ok(onAMQP, "device.TestAMQPHasThreeWordsForAMessage/*", nodeAMQP+"cloud-to-device that is abandoned", "interop.TestUAMQP/*/messages to a device, and feedback"),
			ok(onHTTPS, programHTTPS+"cloud-to-device/abandon", programHTTPS+"a lock that is lost"),
			impossible(onMQTT, "PUBACK is the only word, so it is an error that matches errors.ErrUnsupported",
				trial("C2D abandon"), "device.TestMQTTCannotRejectOrAbandon/*", nodeMQTT+"cloud-to-device"),
		}},
		{"P-15", "C2D, queued while the device is away", "nnYYY", []claim{
			limited(onMQTT, "they come with the next subscription, and right behind CONNACK when the session was kept",
				tour("C2D queued while offline"), "device.TestMessagesWaitForADeviceThatIsAway/*", nodeMQTT+"cloud-to-device to who is away"),
			ok("mqtt", "interop.TestMosquitto/clean and kept"),
			ok(onAMQP+" "+onHTTPS, tour("C2D queued while offline"), "device.TestMessagesWaitForADeviceThatIsAway/*"),
			ok(onAMQP, nodeAMQP+"cloud-to-device to who is away"),
			ok(onHTTPS, programHTTPS+"cloud-to-device"),
		}},
		{"P-16", "twin: read, reported, desired pushed", "YYYY-", []claim{
			ok(connected, tour("twin get"), tour("twin reported properties"), tour("twin desired properties, as a stream"), "device.TestDesiredFollowsTheHubWithoutGaps/*"),
			ok(onMQTT, nodeMQTT+"twin", nodeMQTT+"desired properties"),
			ok(onAMQP, nodeAMQP+"twin", nodeAMQP+"desired properties"),
			impossible(onHTTPS, "an error that matches errors.ErrUnsupported", trial("twin"), "device.TestHTTPSWhatItHasNot", programHTTPS+"what HTTPS has not"),
		}},
		{"P-17", "direct methods", "YYYY-", []claim{
			ok(connected, tour("method answered"), tour("method not answered in time: 504101"), "device.TestMethodsAreAnswered/*"),
			ok(onMQTT, nodeMQTT+"direct methods", nodeMQTT+"methods that nobody answers"),
			ok(onAMQP, nodeAMQP+"direct methods", nodeAMQP+"methods that nobody answers"),
			impossible(onHTTPS, "an error that matches errors.ErrUnsupported", trial("direct methods"), "device.TestHTTPSWhatItHasNot", programHTTPS+"what HTTPS has not"),
		}},
		{"P-18", "module identities", "YYYYn", []claim{
			ok(connected, trial("modules"), tour("module twin"), tour("module method")),
			ok(onMQTT, nodeMQTT+"module", "interop.TestProgram/*/module"),
			ok(onAMQP, nodeAMQP+"module", "interop.TestProgramAMQP/*/module"),
			limited(onHTTPS, "telemetry alone", trial("modules"), asSentHTTPS),
		}},
		{"P-19", "module outputs and inputs", "YYYY-", []claim{
			ok(connected, tour("module output and input"), "device.TestAModuleSendsToOutputsAndReceivesByInputs/*"),
			ok(onMQTT, nodeMQTT+"module/output", nodeMQTT+"module/input"),
			ok(onAMQP, nodeAMQP+"module/output", nodeAMQP+"module/input", "interop.TestGoAMQP/*/module inputs"),
			impossible(onHTTPS, "HTTPS has no inputs", trial("module inputs")),
		}},
		{"P-20", "file upload", "nnnnY", []claim{
			limited(connected, "its three requests go over HTTPS beside the connection, which needs port 443",
				tour("file upload, with its notification"), tour("file upload, the 11th at a time, is refused"), trial("file upload")),
			ok(onMQTT, nodeMQTT+"file upload"),
			ok(onHTTPS, tour("file upload, with its notification"), tour("file upload, the 11th at a time, is refused"), programHTTPS+"file upload", nodeHTTPS+"what became of files"),
		}},
		{"P-21", "many identities on one connection", "--YYn", []claim{
			ok(onAMQP, tour("many devices on one connection"), trial("many devices on a connection"), "interop.TestGoAMQP/*/many devices on one connection"),
			impossible(onMQTT, "a connection is of who logged in: a second CONNECT ends it, as does a second connection of the same device",
				"hub.TestAnMQTTConnectionIsOfOneIdentity/*", nodeMQTT+"a second client takes over"),
			impossible(onHTTPS, "each request says whose it is; there is no connection of a device that others could share", trial("many devices on a connection")),
		}},
		{"P-22", "Plug and Play model id", "YYnn-", []claim{
			ok(onMQTT, trial("model id"), nodeMQTT+"Plug and Play"),
			limited(onAMQP, "in the properties of the device's links, as the .NET SDK does; the C SDK has it over MQTT alone", trial("model id")),
			impossible(onHTTPS, "there is no connection to say it on", trial("model id")),
		}},
		{"P-23", "connection state, as the hub sees it", "YYYY-", []claim{
			ok(connected, trial("presence")),
			ok(onMQTT, "interop.TestProgram/*/device"),
			ok(onAMQP, "interop.TestProgramAMQP/*/device"),
			impossible(onHTTPS, "there is no connection to see", trial("presence"), programHTTPS+"telemetry/makes no connection"),
		}},
		{"P-24", "why something was refused", "--YYY", []claim{
			ok(onAMQP+" "+onHTTPS, trial("refusals with their reason")),
			ok(onAMQP, "interop.TestRhea/*/links that are refused", "interop.TestUAMQP/*/what is refused"),
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
