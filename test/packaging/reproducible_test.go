package packaging

import (
	"bytes"
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
	for i, p := range programs {
		if !bytes.Equal(one[i], other[i]) {
			t.Errorf("two builds of %s differ (%d and %d bytes); diffoscope(1) shows where", p.name, len(one[i]), len(other[i]))
		}
	}
}

// build builds the packages in a copy of the checkout.
func build(t *testing.T, surroundings string) (packages [][]byte) {
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
	for _, p := range programs {
		files, err := filepath.Glob(filepath.Join(dir, "build/deb", p.name+"_*_armhf.deb"))
		if err != nil || len(files) != 1 {
			t.Fatalf("got %q (%v), want one package %s", files, err, p.name)
		}
		packages = append(packages, []byte(read(t, files[0])))
	}
	return packages
}
