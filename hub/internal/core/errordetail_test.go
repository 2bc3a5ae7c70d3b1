package core

import (
	"encoding/json"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire"
)

func TestErrorDetails(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  hubwire.Error
		want string
	}{
		{"a refusal", *refuse("x", hubwire.DeviceNotOnline, "offline"), `{"errorCode":404103,"trackingId":"ID","message":"offline","timestampUtc":"2000-01-01T00:00:00.0000000Z"}`},
		{"one that says nothing", hubwire.Error{}, `{"errorCode":500001,"trackingId":"ID","message":"the hub does not say more","timestampUtc":"2000-01-01T00:00:00.0000000Z"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which begins with the year 2000
				b, err := json.Marshal(NewErrorDetail(&tt.err))
				must(t, err)
				id := regexp.MustCompile(`"[0-9a-f]{32}-G:0-TimeStamp:01/01/2000 00:00:00"`)
				if got := id.ReplaceAllString(string(b), `"ID"`); got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			})
		})
	}
}
