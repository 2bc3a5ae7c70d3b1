package httpsx

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/testkit"
)

// The tests of this package that run vectors, from both ends, and which ones each of them runs. Package
// hub has the requests of all of them answered by a hub.
var vectorTests = map[string]func(v *deviceVector, r *http.Request) bool{
	"TestTelemetryVectors": func(v *deviceVector, r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/messages/events") && !IsBatch(r.Header)
	},
	"TestBatchVectors": func(_ *deviceVector, r *http.Request) bool { return IsBatch(r.Header) },
	"TestReceiveVectors": func(v *deviceVector, r *http.Request) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(strings.ToLower(r.URL.Path), "/devicebound") && v.Response.Status == http.StatusOK
	},
	"TestSettleVectors": func(_ *deviceVector, r *http.Request) bool {
		return strings.Contains(strings.ToLower(r.URL.Path), "/devicebound")
	},
	"TestUploadVectors": func(_ *deviceVector, r *http.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/files")
	},
	"TestVectors": func(v *deviceVector, r *http.Request) bool { // those of the service API, and all errors
		op, _, err := Match(r)
		return err != nil || op >= GetDevice || v.Response.Status >= 300
	},
}

// vectorsElsewhere are those of https.md parts 5 and 6, which are about other services than a hub: device provisioning and
// Azure's resource manager. This package does not speak to them.
var vectorsElsewhere = map[string]string{
	"dps-register": "provisioning", "dps-poll-assigned": "provisioning", "dps-tpm-challenge": "provisioning", "dps-query": "provisioning",
	"arm-list-keys": "resource manager", "arm-get-key": "resource manager", "arm-consumer-groups": "resource manager",
	"arm-quota-metrics": "resource manager", "arm-stats": "resource manager", "arm-name-availability": "resource manager",
}

// elsewhere says which other service than a hub a vector is about; "" for a hub.
func (v *deviceVector) elsewhere() string {
	switch host := v.Request.Headers["Host"]; {
	case strings.HasSuffix(host, ".azure-devices-provisioning.net"):
		return "provisioning"
	case host == "management.azure.com":
		return "resource manager"
	}
	return ""
}

// VectorsOf returns the ids of the vectors that are for a test.
func VectorsOf(t *testing.T, test string) map[string]bool {
	ids := map[string]bool{}
	for id := range vectorsOf(t, test) {
		ids[id] = true
	}
	return ids
}

func vectorsOf(t *testing.T, test string) map[string]*deviceVector {
	t.Helper()
	vs := deviceVectors(t)
	for id, v := range vs {
		if v.elsewhere() != "" || !vectorTests[test](v, v.request(t)) {
			delete(vs, id)
		}
	}
	return vs
}

// TestEachVectorHasItsTest holds that no vector is passed over without a word.
func TestEachVectorHasItsTest(t *testing.T) {
	var file struct{ Vectors []*deviceVector }
	if err := json.Unmarshal(testkit.Vectors(t, "https.json"), &file); err != nil {
		t.Fatal(err)
	}
	elsewhere, tests := map[string]string{}, map[string][]string{}
	for _, v := range file.Vectors {
		if v.ID == "" || tests[v.ID] != nil || elsewhere[v.ID] != "" {
			t.Errorf("there are two vectors %q", v.ID)
		}
		if where := v.elsewhere(); where != "" {
			elsewhere[v.ID] = where
			continue
		}
		for test := range vectorTests {
			if vectorTests[test](v, v.request(t)) {
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
	if diff := cmp.Diff(vectorsElsewhere, elsewhere); diff != "" {
		t.Errorf("vectors of other services (-want +got):\n%s", diff)
	}
	if len(tests) != 76 {
		t.Errorf("%d vectors of a hub", len(tests))
	}
}
