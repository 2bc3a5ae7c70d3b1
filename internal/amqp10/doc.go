// Package amqp10 is AMQP 1.0 as bytes (OASIS AMQP 1.0, parts 1 to 3): types, frames, performatives,
// SASL frames, delivery states, termini and the sections of a message. It knows no connection.
//
// # Writing
//
// Append functions write one value in its smallest form and cannot fail:
//
//	at := len(dst)
//	dst = amqp10.OpenCompound(dst)
//	dst = amqp10.AppendSymbol(dst, "status")
//	dst = amqp10.AppendInt(dst, 200)
//	dst = amqp10.CloseMap(dst, at, 2)
//
// They allocate only to grow dst. Structs ([Open], [Transfer], [Properties]) have AppendTo.
//
// # Reading
//
// A [Reader] is a cursor over values, and its first fault sticks; a [Value] is a view of one of
// them. Both are views of what they were made from, as are all byte fields of the structs: they
// hold while the caller leaves those bytes alone. Nothing allocates but [Error], which owns what
// it has. A length or a count from the wire is believed when the bytes are there, and no sooner.
//
// Readers are lenient where peers differ: a whole number may have any width that its value
// fits, a symbol may stand for a string and the reverse, a field that may repeat may be one value,
// an array, a list or null, a descriptor may be a number or a symbol, and there may be more fields
// than the standard knows.
//
// # Null
//
// A field that may be null is an [Opt], a []byte of which nil is null (and empty is not), or a
// [Value] of which the zero Value is null. Trailing nulls are not written.
package amqp10
