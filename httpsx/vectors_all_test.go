package httpsx

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/testkit"
)

// The tests of this package that run vectors, from both ends, and which ones each of them runs. Package
// hub has the requests of all of them answered by a hub.
var vectorTests = map[string]func(v *testkit.HTTPVector, r *http.Request) bool{
	"TestTelemetryVectors": func(v *testkit.HTTPVector, r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/messages/events") && !IsBatch(r.Header)
	},
	"TestBatchVectors": func(_ *testkit.HTTPVector, r *http.Request) bool { return IsBatch(r.Header) },
	"TestReceiveVectors": func(v *testkit.HTTPVector, r *http.Request) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(strings.ToLower(r.URL.Path), "/devicebound") && v.Response.Status == http.StatusOK
	},
	"TestSettleVectors": func(_ *testkit.HTTPVector, r *http.Request) bool {
		return strings.Contains(strings.ToLower(r.URL.Path), "/devicebound")
	},
	"TestUploadVectors": func(_ *testkit.HTTPVector, r *http.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/files")
	},
	"TestVectors": func(v *testkit.HTTPVector, r *http.Request) bool { // those of the service API, and all errors
		op, _, err := Match(r)
		return err != nil || op >= GetDevice || v.Response.Status >= 300
	},
}

// vectorsElsewhere are those of https.md parts 5 and 6, which are about other services than a
// hub: device provisioning and Azure's resource manager. This package does not speak to them.
var vectorsElsewhere = map[string]string{
	"dps-register": "provisioning", "dps-poll-assigned": "provisioning", "dps-tpm-challenge": "provisioning", "dps-query": "provisioning",
	"arm-list-keys": "resource manager", "arm-get-key": "resource manager", "arm-consumer-groups": "resource manager",
	"arm-quota-metrics": "resource manager", "arm-stats": "resource manager", "arm-name-availability": "resource manager",
}

// elsewhere says which other service than a hub a vector is about; "" for a hub.
func elsewhere(v *testkit.HTTPVector) string {
	switch host := v.Request.Headers["Host"]; {
	case strings.HasSuffix(host, ".azure-devices-provisioning.net"):
		return "provisioning"
	case host == "management.azure.com":
		return "resource manager"
	}
	return ""
}

// VectorsOf returns the vectors that are for a test, by their ids.
func VectorsOf(t *testing.T, test string) map[string]*testkit.HTTPVector {
	t.Helper()
	vs := map[string]*testkit.HTTPVector{}
	for _, v := range testkit.HTTPVectors(t) {
		if elsewhere(v) == "" && vectorTests[test](v, v.HTTPRequest(t)) {
			vs[v.ID] = v
		}
	}
	return vs
}

// TestEachVectorHasItsTest holds that no vector is passed over without a word.
func TestEachVectorHasItsTest(t *testing.T) {
	away, tests := map[string]string{}, map[string][]string{}
	for _, v := range testkit.HTTPVectors(t) {
		if v.ID == "" || tests[v.ID] != nil || away[v.ID] != "" {
			t.Errorf("there are two vectors %q", v.ID)
		}
		if where := elsewhere(v); where != "" {
			away[v.ID] = where
			continue
		}
		for test := range vectorTests {
			if vectorTests[test](v, v.HTTPRequest(t)) {
				tests[v.ID] = append(tests[v.ID], test)
			}
		}
		if tests[v.ID] == nil {
			t.Errorf("no test runs %s", v.ID)
		}
	}
	if os.Getenv(testkit.VectorsEnv) != "" {
		return // others of the kind
	}
	if diff := cmp.Diff(vectorsElsewhere, away); diff != "" {
		t.Errorf("vectors of other services (-want +got):\n%s", diff)
	}
	if len(tests) != 76 {
		t.Errorf("%d vectors of a hub", len(tests))
	}
}
