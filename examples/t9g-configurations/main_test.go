package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	const (
		head = "t9g-deployment for tags.t9g = "
		tail = ", priority 10, map[label1:value1 label2:value2], with $edgeAgent $edgeHub sunny\n"
	)
	sitetest.Test(t, play, "added: "+head+"'nobody'"+tail+"got: "+head+"'nobody'"+tail+"updated: "+head+"'test'"+tail+
		`t9g-edge/sunny is there, and is to have {"temperature":69,"humidity":30}
devices: 1 targeted, 1 applied
listed: `+head+"'test'"+tail+"deleted\n")
}
