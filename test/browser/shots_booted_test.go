//go:build booted

package browser

import (
	"testing"
)

var (
	phone = look{width: 360, height: 740}
	night = look{width: 1440, height: 900, dark: true}
)

// drawn is true once each timeline that can be seen is there.
const drawn = "document.querySelectorAll('#rows svg').length > 0"

// Each state of the page is shown, to be looked at: go test -artifacts.
func TestShots(t *testing.T) {
	for _, tt := range []struct {
		name, scene, path string
		look              look
		until             string
	}{
		{"well", "well", "", desk, drawn},
		{"trouble", "trouble", "", desk, drawn},
		{"trouble-dark", "trouble", "", night, drawn},
		{"none", "none", "", desk, "true"},
		{"many", "many", "", desk, drawn},
		{"away", "away", "", desk, drawn},
		{"blind", "blind", "", desk, drawn},
		{"hostile", "hostile", "", desk, drawn},
		{"report", "trouble", "#wirepas-gateway.service", desk, drawn + " && !!document.querySelector('.said')"},
		{"report-dark", "trouble", "#wirepas-gateway.service", night, drawn + " && !!document.querySelector('.said')"},
		{"report-gave-up", "trouble", "#lora-concentrator.service", look{width: 1920, height: 1080}, drawn + " && !!document.querySelector('.said')"},
		{"phone", "trouble", "", phone, drawn},
		{"phone-dark", "trouble", "", look{width: 360, height: 740, dark: true}, drawn},
		{"phone-report", "trouble", "#wirepas-gateway.service", phone, "!!document.querySelector('.said')"},
		{"narrowest", "trouble", "", look{width: 320, height: 640}, drawn},
		{"tablet", "trouble", "", look{width: 800, height: 1000}, drawn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t, tt.scene).visit(t, tt.look, tt.path)
			b.until(tt.until)
			b.shot(tt.name)
			if js[bool](b, "document.documentElement.scrollWidth > innerWidth") {
				t.Errorf("it is wider than the window: %s of %s px", b.text("document.documentElement.scrollWidth"), b.text("innerWidth"))
			}
			const beside = `[...document.querySelectorAll('#rows .cells > *')].filter((cell) => cell.checkVisibility() && cell.getBoundingClientRect().right > cell.parentElement.getBoundingClientRect().right + 1).map((cell) => cell.outerHTML).join('\n')`
			if cut := b.text(beside); tt.look.width < 600 && cut != "" {
				t.Errorf("cells that are cut: %s", cut)
			}
		})
	}
}
