// Package filestest has what tests need that write files under a limit.
package filestest

import (
	"os"
	"os/exec"
	"testing"
)

// Alone runs the rest of a test in a process of its own, and reports whether this is that
// process. A resource limit holds for the whole process, and go test makes a test write a
// list of the files it opens: the limit would cut that file, too.
func Alone(t *testing.T) bool {
	t.Helper()
	const mark = "SERVICE_MONITOR_TEST_ALONE"
	if os.Getenv(mark) != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mark+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}
