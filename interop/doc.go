// Package interop has no code of its own: its tests let clients that nobody
// here wrote, unmodified, judge the hub, and a broker the MQTT session. See
// README.md for who they are and how to run them.
package interop
