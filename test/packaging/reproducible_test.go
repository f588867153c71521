package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// top is the top directory of the checkout.
const top = "../.."

// TestReproducible builds the same files twice: in different directories, at different times, and
// with a different umask and time zone. Both builds must give the same bytes.
func TestReproducible(t *testing.T) {
	one, other := build(t, "umask 022; export TZ=UTC"), build(t, "umask 077; export TZ=Asia/Kolkata")
	if !bytes.Equal(one, other) {
		t.Errorf("two builds differ (%d and %d bytes); diffoscope(1) shows where", len(one), len(other))
	}
}

// build builds one package in a copy of the checkout.
func build(t *testing.T, surroundings string) []byte {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("sh", "-ec", surroundings+`
		unset GOARCH GOARM # of the tests, where they are emulated
		cp -R cmd pipeline stages debian systemd go.mod go.sum Makefile nfpm.yaml "$0"
		exec make -C "$0" deb TARGETS=arm.7`, dir)
	build.Dir = top
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	packages, err := filepath.Glob(filepath.Join(dir, "build/deb/*_armhf.deb"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("got %q (%v), want one package", packages, err)
	}
	text, err := os.ReadFile(packages[0])
	if err != nil {
		t.Fatal(err)
	}
	return text
}
