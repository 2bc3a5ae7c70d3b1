package testkit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// VectorsEnv names the environment variable that points to a folder with other
// golden vectors of the same kinds.
const VectorsEnv = "HUBWIRE_VECTORS"

// Vectors returns the golden vector file name ("sas.json"): that of the folder
// $HUBWIRE_VECTORS when the variable is set and the folder has such a file, else
// that of the caller's testdata. Neither is a fatal failure, and so is a
// $HUBWIRE_VECTORS that is not a folder.
func Vectors(t testing.TB, name string) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if dir := os.Getenv(VectorsEnv); dir != "" {
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
			t.Fatalf("testkit: $%s is %q, which is not a folder (%v)", VectorsEnv, dir, err)
		}
		override := filepath.Join(dir, name)
		_, err := os.Stat(override)
		switch {
		case err == nil:
			path = override
		case !errors.Is(err, fs.ErrNotExist):
			t.Fatalf("testkit: vectors: %v", err)
		default:
			t.Logf("testkit: no %s in $%s: using %s", name, VectorsEnv, path)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("testkit: vectors: %v", err)
	}
	return b
}
