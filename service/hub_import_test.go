package service_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/service"
)

// TestARegistryIsExportedAndImported has a fleet come back with its keys and tags.
func TestARegistryIsExportedAndImported(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		ctx := t.Context()
		fleet(t, c, 150)
		before, err := c.Device(ctx, "d149")
		if err != nil {
			t.Fatal(err)
		}
		container, err := h.ContainerURL("backup", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		run := func(j *service.ImportExportJob) {
			t.Helper()
			j, err := c.CreateImportExport(ctx, j)
			if err != nil {
				t.Fatal(err)
			}
			j, err = c.WaitImportExport(ctx, j.ID, 0)
			if err != nil || j.Status != service.JobCompleted || j.Progress != 100 {
				t.Fatalf("%+v, %v", j, err)
			}
		}
		run(&service.ImportExportJob{Type: service.JobExport, OutputContainer: container})
		var gone []service.ImportDevice
		for i := range 150 {
			gone = append(gone, service.ImportDevice{ID: fmt.Sprintf("d%03d", i), ImportMode: service.ImportDelete})
		}
		if _, _, err := c.BulkAll(ctx, gone); err != nil {
			t.Fatal(err)
		}
		run(&service.ImportExportJob{Type: service.JobImport, InputContainer: container, OutputContainer: container})
		after, err := c.Device(ctx, "d149")
		if err != nil || !after.Authentication.SymmetricKey.Primary.Equal(before.Authentication.SymmetricKey.Primary) {
			t.Errorf("%+v, %v", after, err)
		}
		if tw, err := c.Twin(ctx, hubwire.Identity{DeviceID: "d149"}); err != nil || string(tw.Tags) != `{"n":149,"room":"it's 2"}` {
			t.Errorf("%+v, %v", tw, err)
		}
		if all, err := c.ImportExports(ctx); err != nil || len(all) != 2 {
			t.Errorf("%d jobs, %v", len(all), err)
		}
		if err := c.CancelImportExport(ctx, "nonsense"); !errors.Is(err, hubwire.JobNotFound) {
			t.Errorf("cancel what is not there: %v", err)
		}
	})
}
