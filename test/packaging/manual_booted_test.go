//go:build booted

package packaging

import "testing"

// TestManualPages lets man(1) and mandoc(1) read the pages. make deps installs these programs.
func TestManualPages(t *testing.T) {
	for _, page := range []string{monitor.manual, fileManual, web.manual, mqtt.manual} {
		// lintian calls it in the same way.
		if run(t, "man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page) == "" {
			t.Errorf("man shows nothing of %s", page)
		}
		if said := run(t, "mandoc", "-T", "lint", page); said != "" {
			t.Errorf("%s", said)
		}
	}
}
