package testkit

// Fewer is n, or a fifth of it under the race detector (see [RaceEnabled]), where all takes many times
// as long. It is for how often a test does what the detector sees as well in few rounds.
func Fewer(n int) int { return n / raceTimes }
