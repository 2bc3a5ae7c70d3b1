//go:build !race

package testkit

// RaceEnabled says that the race detector is on. It makes code allocate, so
// allocation counts mean nothing under it.
const RaceEnabled = false

const raceTimes = 1
