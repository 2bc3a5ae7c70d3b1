// Package testkit is what hubwire's tests share: goroutine leak checks, a check that
// nothing grows, an allocation check, a check that secrets don't show, loaders of golden
// vectors and of the published error codes, a proxy, and connections that misbehave the way
// networks do. Only tests import it.
//
// Everything here works inside a testing/synctest bubble: there is no package
// state, waiting is on channels and conditions, and timers are made where they
// are used.
package testkit
