package interop

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// refuse refuses requests for devices that are called after an error.
func refuse(_ context.Context, op *hub.Op) hub.Verdict {
	if op.Kind != hub.OpRequest {
		return hub.Verdict{}
	}
	_, rest, _ := strings.Cut(op.Name, "/refused-")
	number, _, _ := strings.Cut(rest, "/")
	code, _ := strconv.Atoi(number)
	return hub.Verdict{Refuse: hubwire.Code(code)}
}

// TestNodeErrors has the hub refuse all sorts of requests, and looks at what
// class of error the SDKs make of each.
func TestNodeErrors(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{Intercept: refuse, Upload: hub.Upload{Off: true}})
	j := startJudge(t, s.caFile)
	cs, err := s.PolicyConnectionString("iothubowner")
	if err != nil {
		t.Fatal(err)
	}
	office := j.office(t, cs)
	for _, tt := range []struct {
		code            hubwire.Code
		service, device string // the class
	}{
		{hubwire.ArgumentInvalid, "ArgumentError", "ArgumentError"},
		{hubwire.Unauthorized, "UnauthorizedError", "UnauthorizedError"},
		{hubwire.QuotaExceeded, "TooManyDevicesError", "IotHubQuotaExceededError"},
		{hubwire.DeviceNotFound, "DeviceNotFoundError", "DeviceNotFoundError"},
		{hubwire.HubNotFound, "UnauthorizedError", "UnauthorizedError"}, // 401001
		{hubwire.DeviceNotOnline, "Error", "DeviceNotFoundError"},
		{hubwire.DeviceAlreadyExists, "DeviceAlreadyExistsError", "Error"},
		{hubwire.PreconditionFailed, "InvalidEtagError", "Error"},
		{hubwire.MessageTooLarge, "Error", "MessageTooLargeError"},
		{hubwire.Throttled, "ThrottlingError", "Error"},
		{hubwire.ServerError, "InternalServerError", "InternalServerError"},
		{hubwire.BadGateway, "BadDeviceResponseError", "Error"},
		{hubwire.ServiceUnavailable, "ServiceUnavailableError", "ServiceUnavailableError"},
		{hubwire.GatewayTimeout, "GatewayTimeoutError", "Error"},
	} {
		t.Run(tt.code.Name(), func(t *testing.T) {
			id := hubwire.Identity{DeviceID: fmt.Sprintf("refused-%d", tt.code)}
			d, err := s.Create(within(t), &hub.Device{Identity: id})
			if err != nil {
				t.Fatal(err)
			}
			office.fails(t, tt.service, "", "get", address{DeviceID: id.DeviceID})
			office.fails(t, tt.service, "", "twin", address{DeviceID: id.DeviceID})
			p := j.client(t, setup{ConnectionString: "HostName=localhost;DeviceId=" + id.DeviceID + ";SharedAccessKey=" + d.PrimaryKey.Reveal(), Transport: "https"})
			p.fails(t, tt.device, "Could not send message", "send", sdkMessage{})
			p.fails(t, tt.device, "Could not send message", "sendBatch", []sdkMessage{{}})
		})
	}
	t.Run("no storage for files", func(t *testing.T) {
		_, cs := s.device(t)
		p := j.client(t, setup{ConnectionString: cs, Transport: "https"})
		p.fails(t, "Error", "Bad Request", "slot", map[string]string{"name": "x"})
		p.fails(t, "BlobSasError", "", "upload", map[string]any{"name": "x", "size": 1})
	})
}
