package interop

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// transfer is of an import or export job what is looked at here.
type transfer struct {
	JobID    string `json:"jobId"`
	Type     string `json:"type"`
	Status   string `json:"status"`
	Progress int    `json:"progress"`
	Reason   string `json:"failureReason"`
}

// place is where a job reads and writes, or a blob there.
type place struct {
	To          string `json:"to,omitempty"`
	From        string `json:"from,omitempty"`
	ExcludeKeys bool   `json:"excludeKeys"`
	Container   string `json:"container,omitempty"`
	Name        string `json:"name,omitempty"`
	Text        string `json:"text,omitempty"`
}

// transfers writes the registry to a blob, and reads one that was written by hand.
func (c *court) transfers(t *testing.T) {
	cs, err := c.PolicyConnectionString("iothubowner")
	if err != nil {
		t.Fatal(err)
	}
	office := c.office(t, cs)
	secret, err := c.ContainerURL("transfers", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	url := secret.Reveal()
	ends := func(t *testing.T, made transfer, status string) {
		t.Helper()
		now := made
		poll(t, "the job does not end", func() bool {
			now = answered[transfer](t, office, "transfer", made)
			return slices.Contains([]string{"completed", "failed", "cancelled"}, now.Status)
		})
		if now.JobID != made.JobID || now.Status != status {
			t.Fatalf("the job %+v, want %s", now, status)
		}
	}
	id, _ := c.device(t)
	for name, keys := range map[string]bool{"export with keys": true, "export without": false} {
		t.Run(name, func(t *testing.T) {
			made := answered[transfer](t, office, "exportDevices", place{To: url, ExcludeKeys: !keys})
			if made.Type != "export" || made.JobID == "" {
				t.Errorf("made %+v", made)
			}
			ends(t, made, "completed")
			text := answered[string](t, office, "blob", place{Container: url, Name: "devices.txt"})
			var there []string
			for line := range strings.Lines(text) {
				var d struct {
					ID             string `json:"id"`
					Authentication struct {
						SymmetricKey struct {
							Primary string `json:"primaryKey"`
						} `json:"symmetricKey"`
					} `json:"authentication"`
				}
				if err := json.Unmarshal([]byte(line), &d); err != nil {
					t.Fatal(err)
				}
				if d.ID == id.DeviceID {
					there = append(there, d.ID)
					if has := len(d.Authentication.SymmetricKey.Primary) == 44; has != keys {
						t.Errorf("the key is there: %v", has)
					}
				}
			}
			if len(there) != 1 {
				t.Errorf("%d times in %d bytes", len(there), len(text))
			}
		})
	}
	t.Run("import", func(t *testing.T) {
		office.do(t, "putBlob", place{Container: url, Name: "devices.txt", Text: `{"id":"imported","importMode":"create","status":"disabled","tags":{"a":"ü"}}
{"id":"` + id.DeviceID + `","importMode":"delete"}
{"id":"nobody","importMode":"delete"}
`})
		made := answered[transfer](t, office, "importDevices", place{From: url, To: url})
		if made.Type != "import" {
			t.Errorf("made %+v", made)
		}
		ends(t, made, "completed")
		d := answered[identity](t, office, "get", address{DeviceID: "imported"})
		if d.Status != "disabled" || len(d.Authentication.SymmetricKey.Primary) != 44 {
			t.Errorf("imported %+v", redacted(d))
		}
		sameValue(t, "tags", `{"a":"ü"}`, answered[twinOfService](t, office, "twin", address{DeviceID: "imported"}).Tags)
		office.fails(t, "DeviceNotFoundError", "", "get", address{DeviceID: id.DeviceID})
		if log := answered[string](t, office, "blob", place{Container: url, Name: "importErrors.log"}); !strings.Contains(log, "nobody") || !strings.Contains(log, "404001") {
			t.Errorf("the log of errors: %q", log)
		}
		all := answered[[]transfer](t, office, "transfers", nil)
		if !slices.ContainsFunc(all, func(j transfer) bool { return j.JobID == made.JobID && j.Status == "completed" }) {
			t.Errorf("it is not among %d jobs", len(all))
		}
	})
	t.Run("a container that is not there", func(t *testing.T) {
		office.fails(t, "ArgumentError", "", "exportDevices", place{To: strings.Replace(url, "/transfers", "/nowhere", 1)})
	})
	t.Run("by an identity of the hub's, which has none", func(t *testing.T) {
		office.fails(t, "ArgumentError", "", "exportDevicesByIdentity", place{To: strings.Split(url, "?")[0]})
	})
	t.Run("a job of nobody", func(t *testing.T) {
		office.fails(t, "Error", "Not found", "transfer", transfer{JobID: "none"})
		office.fails(t, "Error", "Not found", "cancelTransfer", transfer{JobID: "none"})
	})
}
