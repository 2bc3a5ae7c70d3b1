package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	sitetest.Test(t, play, `service: the jobs are for [t6-back-door t6-front-door]
service: schedules lockDoor, in 2s
t6-front-door: lockDoor called with {"lockTime":"10m"}
service: the job is done: 2 devices, 1 succeeded, 1 failed
service: t6-front-door completed with status 200, {"Response":"lockDoor called successfully"}
service: t6-back-door failed: DeviceNotOnline
service: once more, for [t6-back-door]
t6-back-door: lockDoor called with {"lockTime":"10m"}
service: the job is done: 1 devices, 1 succeeded, 0 failed
service: scheduled a change of desired properties
service: the job is done: 2 devices, 2 succeeded, 0 failed
service: t6-front-door: desired properties {"building":43,"floor":3}
service: t6-back-door: desired properties {"building":43,"floor":3}
service: a job in an hour is cancelled
`)
}
