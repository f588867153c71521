//go:build booted

package browser

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe returns the script of axe-core, which checks accessibility. It is that of the npm package axe-core
// 4.14.1, whose integrity is sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==.
// Its licence, MPL-2.0, is at its beginning. It is here because npm(1) and its registry are not everywhere.
func axe(t *testing.T) string {
	t.Helper()
	f, err := os.Open("testdata/axe.min.js.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
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
