package hub_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// blobOf reads a blob of a container by its URL.
func blobOf(t *testing.T, h *hub.Hub, container hub.Secret, name string) string {
	t.Helper()
	base, query, _ := strings.Cut(container.Reveal(), "?")
	res, err := webClient(t, h).Get(base + "/" + name + "?" + query)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %s %s, %v", name, res.Status, b, err)
	}
	return string(b)
}

// transfer makes an import or export job, and waits until it is over.
func transfer(t *testing.T, r *rest, body map[string]any) (status, reason string) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	res, got := r.do("POST", "/jobs/create"+version, string(b))
	var job struct{ JobID, Status, FailureReason string }
	if err := json.Unmarshal([]byte(got), &job); err != nil || res.StatusCode != 200 || job.JobID == "" {
		t.Fatalf("%s %s", res.Status, got)
	}
	for range 100 {
		_, got = r.do("GET", "/jobs/"+job.JobID+version, "")
		if err := json.Unmarshal([]byte(got), &job); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if job.Status == "completed" || job.Status == "failed" {
			return job.Status, job.FailureReason
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("the job is not over: %s", got)
	return "", ""
}

// TestRESTExportAndImport moves devices from one hub to another.
func TestRESTExportAndImport(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Tags: json.RawMessage(`{"a": 1}`), Desired: json.RawMessage(`{"b":[2]}`)}, ""); err != nil {
			t.Fatal(err)
		}
		r := newREST(t, h, "registryReadWrite")
		box, err := h.ContainerURL("box", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if status, reason := transfer(t, r, map[string]any{"type": "export", "outputBlobContainerUri": box.Reveal(), "excludeKeysInExport": false}); status != "completed" {
			t.Fatalf("export: %s %s", status, reason)
		}
		exported := blobOf(t, h, box, "devices.txt")
		before, err := h.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(strings.TrimSpace(exported), "\n"); len(lines) != 3 || !strings.Contains(lines[0], before.PrimaryKey.Reveal()) || !strings.Contains(lines[0], `"tags":{"a":1}`) {
			t.Fatalf("exported\n%s", exported)
		}
		for _, id := range []hubwire.Identity{dev, other} {
			if err := h.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		status, reason := transfer(t, r, map[string]any{"type": "Import", "inputBlobContainerUri": box.Reveal(), "outputBlobContainerUri": box.Reveal()})
		if status != "completed" {
			t.Fatalf("import: %s %s", status, reason)
		}
		if log := blobOf(t, h, box, "importErrors.log"); log != "" {
			t.Errorf("errors\n%s", log)
		}
		after, err := h.Device(dev)
		if err != nil || after.PrimaryKey.Reveal() != before.PrimaryKey.Reveal() {
			t.Errorf("the device: %v", err)
		}
		twin, err := h.Twin(t.Context(), dev)
		if err != nil || string(twin.Tags) != `{"a":1}` || string(twin.Desired.JSON) != `{"b":[2]}` {
			t.Errorf("its twin: %+v, %v", twin, err)
		}
		if _, err := h.Device(mod); err != nil {
			t.Errorf("its module: %v", err)
		}
		if res, body := r.do("GET", "/jobs"+version, ""); res.StatusCode != 200 || strings.Count(body, `"jobId"`) != 2 {
			t.Errorf("the list: %s %s", res.Status, body)
		}
	})
}

func TestRESTExportRefusals(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "registryReadWrite")
		box, err := h.ContainerURL("box", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		forged := strings.Replace(box.Reveal(), "/box", "/other", 1)
		for name, tt := range map[string]struct{ body, code string }{
			"a container with the token of another": {`{"type":"export","outputBlobContainerUri":"` + forged + `"}`, "BlobContainerValidationError"},
			"no container":                          {`{"type":"export"}`, "ArgumentInvalid"},
			"a managed identity":                    {`{"type":"export","storageAuthenticationType":"IdentityBased","outputBlobContainerUri":"` + box.Reveal() + `"}`, "ManagedIdentityNotEnabled"},
			"an import from nowhere":                {`{"type":"import","outputBlobContainerUri":"` + box.Reveal() + `"}`, "ArgumentInvalid"},
		} {
			t.Log(name)
			res, body := r.do("POST", "/jobs/create"+version, tt.body)
			refusedAs(t, res, body, 400, tt.code)
			if strings.Contains(body, "sig") {
				t.Errorf("the answer has a token: %s", body)
			}
		}
		res, body := r.do("GET", "/jobs/none"+version, "")
		refusedAs(t, res, body, 404, "JobNotFound")
		res, body = r.do("DELETE", "/jobs/none"+version, "")
		refusedAs(t, res, body, 404, "JobNotFound")
	})
}

// upload is what a device is given for a file.
type upload struct{ CorrelationID, HostName, ContainerName, BlobName, SASToken string }

func TestRESTUpload(t *testing.T) {
	for _, tt := range []struct {
		name, path, body string // ID stands for the correlation id
		notified         bool
	}{
		{"as the .NET SDK", "/devices/dev-1/files/notifications" + version, `{"correlationId":"ID","isSuccess":true,"statusCode":200,"statusDescription":"OK"}`, true},
		{"as the C SDK", "/devices/dev-1/files/notifications/" + version, `{"correlationId":"ID", "isSuccess":true, "statusCode":200, "statusDescription":"OK"}`, true},
		{"as the Node SDK", "/devices/dev-1/files/notifications/ID" + version, `{"isSuccess":true,"statusCode":201,"statusDescription":"OK"}`, true},
		{"a failure, as the .NET SDK", "/devices/dev-1/files/notifications/ID" + version, `{"correlationId":null,"isSuccess":false,"statusCode":-1,"statusDescription":"no"}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				r := newREST(t, h, "")
				res, body := r.do("POST", "/devices/dev-1/files/"+version, `{ "blobName": "logs/a b.txt" }`, as(t, h, dev)...)
				var u upload
				if err := json.Unmarshal([]byte(body), &u); err != nil || res.StatusCode != 200 || u.BlobName != "dev-1/logs/a b.txt" || u.SASToken[:1] != "?" {
					t.Fatalf("%s %s", res.Status, body)
				}
				put, err := http.NewRequest("PUT", "https://"+u.HostName+"/"+u.ContainerName+"/"+strings.ReplaceAll(u.BlobName, " ", "%20")+u.SASToken, strings.NewReader("text"))
				if err != nil {
					t.Fatal(err)
				}
				put.Header.Set("x-ms-blob-type", "BlockBlob")
				if res, err := r.client.Do(put); err != nil || res.StatusCode != 201 {
					t.Fatalf("the file: %+v, %v", res, err)
				}
				with := func(s, id string) string { return strings.ReplaceAll(s, "ID", id) }
				escaped := strings.NewReplacer("=", "%3D", "+", "%2B", "/", "%2F").Replace(u.CorrelationID)
				res, body = r.do("POST", with(tt.path, "bm9uZQ"), with(tt.body, "bm9uZQ"), as(t, h, dev)...)
				refusedAs(t, res, body, 400, "InvalidFileUploadCorrelationId")
				if res, body := r.do("POST", with(tt.path, escaped), with(tt.body, u.CorrelationID), as(t, h, dev)...); res.StatusCode != 204 || body != "" {
					t.Fatalf("%s %s", res.Status, body)
				}
				if tt.notified {
					n, err := h.FileNotification(t.Context())
					if err != nil || n.DeviceID != "dev-1" || n.BlobName != u.BlobName || n.Size != 4 {
						t.Errorf("%+v, %v", n, err)
					}
				}
				res, body = r.do("POST", with(tt.path, escaped), with(tt.body, u.CorrelationID), as(t, h, dev)...)
				refusedAs(t, res, body, 400, "InvalidFileUploadCorrelationId")
			})
		})
	}
}

func TestRESTUploadRefusals(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		for name, tt := range map[string]struct {
			path, body string
			id         hubwire.Identity
			code       string
		}{
			"no name":             {"/devices/dev-1/files", `{}`, dev, "ArgumentInvalid"},
			"a name of dots":      {"/devices/dev-1/files", `{"blobName":"../dev-2/x"}`, dev, "ArgumentInvalid"},
			"a module":            {"/devices/dev-1/modules/mod/files", `{"blobName":"x"}`, mod, "ArgumentInvalid"},
			"no id":               {"/devices/dev-1/files/notifications", `{"isSuccess":true}`, dev, "InvalidFileUploadCorrelationId"},
			"another device's id": {"/devices/dev-2/files/notifications/eA", `{"isSuccess":true}`, other, "InvalidFileUploadCorrelationId"},
		} {
			t.Log(name)
			res, body := r.do("POST", tt.path+version, tt.body, as(t, h, tt.id)...)
			refusedAs(t, res, body, 400, tt.code)
		}
		for range 10 {
			if res, body := r.do("POST", "/devices/dev-1/files"+version, `{"blobName":"x"}`, as(t, h, dev)...); res.StatusCode != 200 {
				t.Fatalf("%s %s", res.Status, body)
			}
		}
		res, body := r.do("POST", "/devices/dev-1/files"+version, `{"blobName":"x"}`, as(t, h, dev)...)
		refusedAs(t, res, body, 403, "DeviceMaximumActiveFileUploadLimitExceeded")
	})
}
