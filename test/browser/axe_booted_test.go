//go:build booted

package browser

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// The checker of accessibility, as npm(1) has it.
const (
	axeName      = "axe-core"
	axeVersion   = "4.14.1"
	axeIntegrity = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// axe returns the script of the checker. npm gets its package once, and it is the one that is meant.
func axe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "service-monitor")
	file := filepath.Join(dir, axeName+"-"+axeVersion+".tgz")
	content, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", dir, axeName+"@"+axeVersion)
		cmd.Dir = t.TempDir()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("npm: %v: %s", err, out)
		}
		content, err = os.ReadFile(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha512.Sum512(content); "sha512-"+base64.StdEncoding.EncodeToString(sum[:]) != axeIntegrity {
		_ = os.Remove(file)
		t.Fatalf("%s is another package than that", file)
	}
	return unpack(t, content, "package/axe.min.js")
}

// unpack returns a file of an archive.
func unpack(t *testing.T, archive []byte, name string) string {
	t.Helper()
	plain, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(plain); ; {
		head, err := files.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if head.Name == name {
			text, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
}

// Each state of the page is accessible, by all rules of WCAG 2.2 AA and the best practices that the checker
// knows: contrast too, by day and by night.
func TestAccessible(t *testing.T) {
	script := axe(t)
	for _, dark := range []bool{false, true} {
		for _, tt := range []struct {
			name, scene, path string
			width             int64
			then, until       string
		}{
			{"well", "well", "", 1440, "", drawn},
			{"trouble", "trouble", "", 1440, "", drawn},
			{"away", "away", "", 1440, "", drawn},
			{"blind", "blind", "", 1440, "", drawn},
			{"none", "none", "", 1440, "", "true"},
			{"hostile", "hostile", "", 1440, "", drawn},
			{"phone", "trouble", "", 360, "", drawn},
			{"report", "trouble", "#wirepas-gateway.service", 1440, "", drawn + " && !!document.querySelector('.said')"},
			{"report on a phone", "trouble", "#lora-concentrator.service", 360, "", "!!document.querySelector('.said')"},
			{"report of nothing", "trouble", "#nothing", 1440, "", "$('failed').textContent !== ''"},
			{"search", "trouble", "", 1440, "$('search').value = 'failed'; search()", drawn},
			{"nothing found", "trouble", "", 1440, "$('search').value = 'zzz'; search()", "true"},
			{"lost", "trouble", "", 1440, "lose()", drawn},
		} {
			t.Run(fmt.Sprintf("%s, dark %v", tt.name, dark), func(t *testing.T) {
				b := open(t, tt.scene).visit(t, look{width: tt.width, height: 900, dark: dark, still: true}, tt.path)
				b.until("live.source.readyState === 1 && " + tt.until)
				b.do(chromedp.Evaluate[chromedp.Void](script))
				b.text("(() => {" + tt.then + "})()")
				const found = `axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], rules: { 'target-size': { enabled: true } } }).then(({ violations, passes }) =>
					(passes.some((p) => p.id === 'color-contrast') ? '' : 'contrast was not checked\n') +
					violations.map((v) => v.id + ': ' + v.help + '\n' + v.nodes.slice(0, 5).map((n) => '    ' + n.html.slice(0, 200) + '\n        ' + n.failureSummary.replace(/\s+/g, ' ')).join('\n')).join('\n'))`
				if text := js[string](b, found); text != "" {
					t.Error(text)
				}
			})
		}
	}
}
