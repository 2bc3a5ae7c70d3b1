// Package faults holds no code but its tests: a table of cases, protocol ×
// feature × fault, that package device and package hub must come through
// together, and the themes that need more than one fault at a time.
//
// Each case runs in a testing/synctest bubble, where a lost hour takes no time:
// a hub in memory, a client, and a network between them that can be told to
// fail at any byte. A part of the table runs over sockets, too.
//
// What holds for every case: a call returns nil only when the hub has done what
// was asked; else its error is a *hubwire.Error; no call outlasts its context; what
// was acknowledged is at the hub, in order; every feature works again within
// one back-off period; and nothing is left behind, no goroutine and no memory.
// TestMain prints the figures.
//
// Without the race detector, all protocols run in full. With it, which costs ten times as much, AMQP over TCP runs in
// full like MQTT and HTTPS, and the columns through WebSockets run one case in three of the parts that cost most (see skips):
// each feature still meets each group of faults, and each fault several features. One seed stands for three. The whole
// suite then takes two processes of one thread each, one of them for AMQP, whose output comes last.
//
// A link on which AMQP's hub is still heard, but hears nothing, cannot be noticed by silence: what is said on it
// has no outcome within AckTimeout, and who says nothing learns of it from the hub, after twice its idle time-out.
//
// # Adding to the table
//
// A protocol is a line in mqttProtocols or amqpProtocols or, when it has no connections, in everywhere: the suite dials its
// transport and knows nothing of it but what the line says. Its port leads to the right door of the hub.
//
// What a hub may say in AMQP that ours does not is said in its place by the network (see speaker).
//
// A feature is an entry in features: it is given a client, and returns a
// function that uses the feature once and says how that went. It names the
// operations that the hub sees of it, so that faults can strike between them.
//
// A fault is an entry in cuts, holes, troubles, handlers, verdicts or, when nothing can mend it, ends:
// what hits, what heals, how long it lasts and how long a client may take to notice it.
//
// A theme that needs a test of its own has a file of its own. It makes a venue by overEach or inBubble,
// breaks the network by its relays and the hub by rules, and counts by the venue's log.
package faults
