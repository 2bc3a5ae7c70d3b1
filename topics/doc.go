// Package topics reads and writes everything that Azure IoT Hub and its Device
// Provisioning Service (DPS) put into the text fields of MQTT: topics in both
// directions, topic filters, property bags, client ids and user names, and the
// JSON bodies of DPS and of Plug and Play.
//
// [Parse] turns the topic of any PUBLISH into a [Topic], which is a view; the
// Append functions are its inverse. What a device sends, the same package reads
// for a hub, and the reverse. The package depends on no MQTT library and opens
// no connection.
//
//	topic := topics.AppendTelemetry(nil, hubwire.Identity{DeviceID: "pump"})
//	topic = topics.AppendProperty(topic, "alert", "no") // devices/pump/messages/events/alert=no
//	t, err := topics.Parse(topic)                       // t.Kind is Telemetry, t.DeviceID() "pump"
//	value, ok := t.Bag().Find("alert")
//
// It is for who has an MQTT library and wants to speak to a hub with it, or to be one. Package mqtt has the
// packets and makes messages of topics, package device is a whole client. The Example of the package
// goes through a conversation, those of the functions show each topic.
//
// A nil pointer given to a function of this package stands for the zero value.
//
// Append functions return the extended slice. They allocate only to grow dst,
// keep nothing, and may leave a few bytes of scratch between the length that
// they return and dst's capacity. They do not check what they append: ids pass
// [hubwire.Identity.Check] where they enter, and a topic must be valid in MQTT
// 3.1.1 section 4.7 (no '+', '#' or NUL), which the MQTT layer checks.
//
// Sources: "Communicate with an IoT hub using the MQTT protocol" and
// "Communicate with DPS using the MQTT protocol" (Microsoft Learn), the official
// device SDKs for C, Embedded C, Node, Python, .NET and Java, and Edge Hub's
// parsers, whose rules the server side follows where the guides are silent.
package topics
