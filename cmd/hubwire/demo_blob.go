package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

// blobVersion is the version of the API of Azure Blob Storage that the demo speaks.
const blobVersion = "2021-12-02"

// writeBlob writes a blob by its URL, as any client of Azure Blob Storage may.
func writeBlob(ctx context.Context, way http.RoundTripper, url sas.Secret, b []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url.Reveal(), bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("x-ms-blob-type", "BlockBlob")
	_, err = storage(way, req, http.StatusCreated)
	return err
}

func readBlob(ctx context.Context, way http.RoundTripper, url sas.Secret) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url.Reveal(), nil)
	if err != nil {
		return nil, err
	}
	return storage(way, req, http.StatusOK)
}

// storage sends a request to a storage account. Its errors hold no URL, which has a token.
func storage(way http.RoundTripper, req *http.Request, want int) ([]byte, error) {
	req.Header.Set("x-ms-version", blobVersion)
	resp, err := way.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("the storage account answers %s: %.200s", resp.Status, body)
	}
	return body, err
}

// blobIn is the URL of a blob in a container, whose URL has a token behind its path.
func blobIn(container sas.Secret, name string) sas.Secret {
	path, token, _ := strings.Cut(container.Reveal(), "?")
	return sas.NewSecret(path + "/" + name + "?" + token)
}

func (s *stage) readBlob(ctx context.Context, container sas.Secret, name string) ([]byte, error) {
	return readBlob(ctx, s.storage, blobIn(container, name))
}

// readDevices reads what an export has written.
func (s *stage) readDevices(ctx context.Context, container sas.Secret, name string) ([]service.ImportDevice, error) {
	text, err := s.readBlob(ctx, container, name)
	if err != nil {
		return nil, err
	}
	var devices []service.ImportDevice
	for line := range bytes.Lines(text) {
		var d service.ImportDevice
		if err := json.Unmarshal(line, &d); err != nil {
			return nil, err
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// writeDevices writes what an import is to read.
func (s *stage) writeDevices(ctx context.Context, container sas.Secret, name string, devices []service.ImportDevice) error {
	var text []byte
	for _, d := range devices {
		line, err := httpsx.Marshal(&d)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	return writeBlob(ctx, s.storage, blobIn(container, name), text)
}
