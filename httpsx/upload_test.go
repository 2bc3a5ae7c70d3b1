package httpsx

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func TestTheFourSpellingsOfAnUploadsEnd(t *testing.T) {
	const id = "MjAy/+L=="
	ok := &UploadResult{CorrelationID: id, IsSuccess: true, StatusCode: 200, Description: "OK"}
	for _, tt := range []struct {
		name, path, body string
		want             *UploadResult
		code             hubwire.Code
	}{
		{".NET, Python, Java, the CLI", "", `{"correlationId":"` + id + `","isSuccess":true,"statusCode":200,"statusDescription":"OK"}`, ok, 0},
		{"C", "", `{"correlationId":"` + id + `", "isSuccess":true, "statusCode":200, "statusDescription":"OK"}`, ok, 0},
		{"Node", id, `{"isSuccess":true,"statusCode":200,"statusDescription":"OK"}`, ok, 0},
		{".NET, of a failure", id, `{"correlationId":null,"isSuccess":false,"statusCode":-1,"statusDescription":null}`, &UploadResult{CorrelationID: id, StatusCode: -1}, 0},
		{"both, the path counts", id, `{"correlationId":"other","isSuccess":true,"statusCode":200,"statusDescription":"OK"}`, ok, 0},
		{"neither", "", `{"isSuccess":true}`, nil, hubwire.InvalidFileUploadCorrelationID},
		{"a status that is text", id, `{"isSuccess":true,"statusCode":"200"}`, nil, hubwire.FormatError},
		{"no JSON", id, `isSuccess`, nil, hubwire.FormatError},
		{"nothing", id, ``, nil, hubwire.FormatError},
	} {
		got, err := ReadUploadResult(tt.path, []byte(tt.body))
		if diff := cmp.Diff(tt.want, got); diff != "" || tt.code != 0 && !errors.Is(err, tt.code) || tt.code == 0 && err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
		if tt.want == nil {
			continue
		}
		b, err := Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadUploadResult("", b)
		if diff := cmp.Diff(got, again); diff != "" || err != nil {
			t.Errorf("%s, written again: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

func TestWhichBlobsCanBeAskedFor(t *testing.T) {
	for name, ok := range map[string]bool{
		"myfile.txt": true, "a/b c/\u00e9": true, strings.Repeat("a", MaxBlobName): true,
		"": false, strings.Repeat("a", MaxBlobName+1): false, "a\x00": false, "\xff": false,
	} {
		if err := (&UploadRequest{BlobName: name}).Check(); (err == nil) != ok || err != nil && !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func TestWhereAFileGoes(t *testing.T) {
	slot := &UploadSlot{
		CorrelationID: "id", HostName: "localhost:8443", ContainerName: "device-upload", BlobName: "d'1/my file?#\u00e9/x.txt",
		SASToken: sas.NewSecret("?sv=2018-03-28&sig=abc%3D&sp=rw"),
	}
	if err := slot.Check(); err != nil {
		t.Fatal(err)
	}
	want := "https://localhost:8443/device-upload/d%271/my%20file%3F%23%C3%A9/x.txt?sv=2018-03-28&sig=abc%3D&sp=rw"
	if got := slot.URL().Reveal(); got != want && got != strings.Replace(want, "%27", "'", 1) {
		t.Errorf("%s, want %s", got, want)
	}
	testkit.Hides(t, "a slot", "sig=abc%3D", *slot)
	testkit.Hides(t, "its URL", "sig=abc%3D", slot.URL())
	for name, change := range map[string]func(*UploadSlot){
		"correlationId": func(u *UploadSlot) { u.CorrelationID = "" }, "hostName": func(u *UploadSlot) { u.HostName = "" },
		"containerName": func(u *UploadSlot) { u.ContainerName = "" }, "blobName": func(u *UploadSlot) { u.BlobName = "" },
		"sasToken": func(u *UploadSlot) { u.SASToken = sas.Secret{} },
	} {
		u := *slot
		change(&u)
		if err := u.Check(); !errors.Is(err, hubwire.DeserializationError) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestUploadVectors(t *testing.T) {
	for id, v := range VectorsOf(t, "TestUploadVectors") {
		t.Run(id, func(t *testing.T) {
			op, target, err := Match(v.HTTPRequest(t))
			if err != nil {
				t.Fatal(err)
			}
			body := v.Request.Body.Bytes(t)
			switch op {
			case InitUpload:
				uploadBegins(t, v, body)
			case NotifyUpload:
				got, err := ReadUploadResult(target.Name, body)
				if err != nil || got.CorrelationID == "" || !got.IsSuccess || got.StatusCode != 200 || got.Description != "OK" {
					t.Errorf("%+v, %v", got, err)
				}
				b, err := Marshal(got)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tree(t, body), tree(t, b)); diff != "" {
					t.Errorf("the client's end (-want +got):\n%s", diff)
				}
			default:
				t.Errorf("it is %v", op)
			}
		})
	}
}

func uploadBegins(t *testing.T, v *testkit.HTTPVector, body []byte) {
	var req UploadRequest
	if err := Decode(InitUpload, body, &req); err != nil {
		t.Fatal(err)
	}
	if err := req.Check(); err != nil {
		t.Fatal(err)
	}
	b, err := Marshal(&req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree(t, body), tree(t, b)); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	answer := v.Response.Body.Bytes(t)
	if v.Response.Status != 200 {
		h := http.Header{"Iothub-Errorcode": {v.Response.Headers["iothub-errorcode"]}}
		if e := ParseError(InitUpload, v.Response.Status, h, answer); e.Code.Status() != v.Response.Status || e.Code.Name() != h.Get("iothub-errorcode") {
			t.Errorf("the refusal is %v", e)
		}
		return
	}
	var slot UploadSlot
	if err := Decode(InitUpload, answer, &slot); err != nil {
		t.Fatal(err)
	}
	if err := slot.Check(); err != nil {
		t.Fatal(err)
	}
	if b, err = Marshal(&slot); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree(t, answer), tree(t, b)); diff != "" {
		t.Errorf("the answer (-want +got):\n%s", diff)
	}
}

// tree is what JSON says, whatever its blanks.
func tree(t *testing.T, b []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
