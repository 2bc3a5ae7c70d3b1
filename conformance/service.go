package main

const rest, everyway = "REST", "REST " + onAMQP

// tourREST is a row of `hubwire demo` that is the back end's, over REST.
func tourREST(feature string) string {
	return "cmd/hubwire.TestTheWholeTourPassesAndJSONAgrees/service: " + feature + "/https"
}

// tourService is one that is the back end's over AMQP.
func tourService(feature string) string { return tour("service: " + feature) }

const (
	programService = "interop.TestProgramService/"
	office         = "interop.TestOfficeAMQP/*/"
	onlyREST       = "it is REST's"
)

// byREST is a row of what back ends have over REST alone.
func byREST(id, title string, tests ...string) row {
	return row{id, title, "Y--", []claim{ok(rest, tests...), impossible(onAMQP, onlyREST)}}
}

// services is section 2.2 of the matrix: the side of back ends. The operations of its first
// row have a row each.
var services = table{
	title:   "Back ends",
	columns: []string{rest, "amqp", "amqp-ws"},
	rows: []row{
		byREST("Q-01a", "devices of the registry: created, read, updated, deleted, ETags",
			tourREST("a device, created to deleted"), tourREST("a stale ETag is refused: 412"), "service.TestTheLifeOfADevice", "service.TestETagsKeepWritersApart", "interop.TestProgram/registry", "hub.TestShapeREST"),
		byREST("Q-01b", "modules of the registry",
			tourREST("a module, created to deleted"), "service.TestTheLifeOfAModule", "interop.TestProgram/registry of modules", programService+"modules and their etags"),
		byREST("Q-01c", "keys made anew", tourREST("keys made anew"), "service.TestKeysAreRegenerated"),
		byREST("Q-01d", "bulk", tourREST("bulk, with a result for each"), "service.TestBulkNamesThoseThatFailed", programService+"bulk registry"),
		byREST("Q-01e", "list and statistics", tourREST("list and statistics"), "interop.TestProgram/registry"),
		byREST("Q-01f", "twins: read, patched, replaced, tags",
			tourREST("twin read, patched and replaced"), "service.TestATwinFromBothEnds", programService+"twins"),
		byREST("Q-01g", "query, page by page, with aggregates",
			tourREST("query with pages and aggregates"), "service.TestQueriesOfAFleet", "service.TestAQueryCanBeResumed", programService+"queries"),
		byREST("Q-01h", "jobs: twins, methods, on a schedule, cancelled",
			tourREST("job that updates twins"), tourREST("job that calls a method"), tourREST("job on a schedule, cancelled"), "service.TestJobs", programService+"jobs"),
		byREST("Q-01i", "configurations, with metrics, and edge deployments",
			tourREST("configuration applied, with metrics"), "service.TestAConfiguration", "service.TestADeployment", programService+"configurations"),
		byREST("Q-01j", "direct methods, of devices and modules",
			tourREST("method of a device, with time-outs"), tourREST("method of a module"), "service.TestDirectMethods", "interop.TestNpmMethods/a method with an object over mqtt", "interop.TestNpmModules/a method of a module over mqtt", "hub.TestShapeRESTMethods"),
		byREST("Q-01k", "digital twins and commands", tourREST("digital twin and command"), "service.TestADigitalTwinFromBothEnds", programService+"digital twins"),
		byREST("Q-01l", "export and import", tourREST("export and import of the registry"), "service.TestARegistryIsExportedAndImported", "interop.TestNodeHTTPS/"+"export and import"),
		byREST("Q-01m", "purge of a queue", tourREST("purge of a queue"), "hub.TestRESTPurge"),
		{"Q-02", "C2D, sent", "nYY", []claim{
			ok(onAMQP, tourService("messages, with what became of each"), "service.TestAMessageAndItsFeedback/*", "service.TestTheOutcomesOfSending/*", office+"messages to devices", npm("C2D/the service is refused")),
			ok("amqp", "hub.TestShapeAMQPService"),
			impossible(rest, "the service documents no such request; the hub has one of its own, for who has no AMQP", "hub.TestRESTC2D"),
		}},
		{"Q-03", "feedback", "nYY", []claim{
			ok(onAMQP, tourService("messages, with what became of each"), "service.TestAMessageAndItsFeedback/*", "service.TestFeedbackIsGivenBack/*",
				office+"feedback", "interop.TestNpmFeedback/*/a message that is rejected over *", "interop.TestNpmFeedback/*/a message that is expired over *"),
			ok("amqp", "hub.TestShapeAMQPService"),
			limited(rest, "the hub gives it out as the Python packages of version 1 ask for it; our client reads it over AMQP", "hub.TestRESTFeedback"),
		}},
		{"Q-04", "notifications of file uploads", "-YY", []claim{
			ok(onAMQP, "service.TestAFileNotification/*", office+"file notifications", npm("Upload/a file, of which the service hears")),
			ok("amqp", "hub.TestShapeAMQPServiceNotifications"),
			impossible(rest, "it is AMQP's"),
		}},
		{"Q-05", "events, from the built-in endpoint", "-YY", []claim{
			ok(onAMQP, tourService("events read again, from a place on"), "service.TestEvents/*", "service.TestLatestMissesNothing/*",
				"interop.TestReader/*/what each protocol sends", "interop.TestNpmEvents/*/events from an offset over *", "interop.TestNpmEvents/*/events from a time over *",
				"interop.TestConsumer/*/where to start", asUAMQP+"events"),
			ok("amqp", "hub.TestShapeEventHub"),
			impossible(rest, "it is AMQP's"),
		}},
		{"Q-06a", "auth with the key or a token of a policy", "YYY", []claim{
			ok(rest, tourREST("a policy without the right is refused"), "service.TestAPolicyThatLacksTheRight", "interop.TestNodeHTTPS/"+"rights of policies", programService+"tokens that are refused"),
			ok(onAMQP, "service.TestServiceLinksLastForDays/*", office+"policies that may not", office+"logins that are refused"),
		}},
		{"Q-06b", "auth with Microsoft Entra ID", "YYY", []claim{
			limited(everyway, "our client; the hub knows no such tokens, so that what goes out is all that can be looked at", "service.TestATokenOfEntraID/*"),
		}},
		{"Q-07", "throttles", "nnn", []claim{
			limited(rest, "off by default; each of the service's rates can be set, and our client waits as it is told", "hub.TestRESTRequestsAreThrottled",
				"hub.TestRules/2.6 throttling: services share the rates of twins", "hub.TestRules/2.6 throttling: methods over the rate of bytes, in blocks of 4 KiB, fail with 429", "service.TestAThrottledHubIsWaitedFor"),
			limited(onAMQP, "off by default; a message over the rate is refused, and tried again by who sent it", "service.TestAMessageIsSentOnce/throttled/*"),
		}},
		{"Q-08", "management plane: hubs made, keys listed, storage linked", "Y--", []claim{
			notYet(rest, "that is Azure Resource Manager's, and not a part of the hub's own interface"),
			impossible(onAMQP, onlyREST),
		}},
	},
}
