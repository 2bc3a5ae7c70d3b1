// Command conformance makes CONFORMANCE.md: what IoT Hub has for devices and for
// back ends, over which protocol, and the tests that prove that it works here.
//
//	go run ./conformance                   # runs the tests that it needs, and writes the file
//	go run ./conformance -results FILE…    # takes what `go test -json` wrote
//	go run ./conformance -check FILE…      # compares the file with the results, and changes nothing
//	go run ./conformance -count FILE…      # prints what became of each package's tests
//
// The table is in device.go and service.go: for each cell the tests that prove it, or
// why there is none. A test that the results do not have is an error, as is a skipped
// one: no cell is ok because nobody looked. What can be claimed at all is held against
// the service's own matrix, which each row repeats (see row.service).
package main
