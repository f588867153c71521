//go:build booted

package browser

import (
	"bytes"
	"fmt"
	"image/png"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press presses Enter on an element, as somebody does who has only keys. what names it in an error.
func press(what, element string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf("%s.focus(); if (document.activeElement !== %s) throw new Error('%s takes no focus')", element, element, what)),
		chromedp.KeyEvent(kb.Enter),
	)
}

// slash presses the key, as one event, so that the page can keep the sign out of the field. KeyEvent sends
// the sign as an event of its own.
func (b *tab) slash() {
	b.t.Helper()
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: "keyDown", Key: "/", Code: "Slash", Text: "/", WindowsVirtualKeyCode: 191})
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: "keyUp", Key: "/", Code: "Slash", WindowsVirtualKeyCode: 191})
}

// seen fails if a timeline shows fewer crash marks than that, by the colours of its pixels.
func (b *tab) seen(svg string, marks int) {
	b.t.Helper()
	box := js[map[string]float64](b, "(({x, y, width, height}) => ({x, y, width, height}))("+svg+".getBoundingClientRect())")
	shot, err := chromedp.Run(b, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		b.t.Fatal(err)
	}
	found, dark := 0, false
	for x := int(box["x"]); x < int(box["x"]+box["width"]); x++ {
		red, green, blue, _ := picture.At(x, int(box["y"])+2).RGBA() // above what is up or down
		is := red < 0xb000 && green < 0x8000 && blue < 0x8000 && red > green
		if is && !dark {
			found++
		}
		dark = is
	}
	if found < marks {
		b.t.Errorf("%d crash marks can be seen, want %d", found, marks)
	}
}

// Everything can be done with keys alone.
func TestKeys(t *testing.T) {
	s := open(t, "trouble")
	b := s.visit(t, desk, "")
	focus := func() string { return b.text("(document.activeElement.title || document.activeElement.id)") }
	b.slash()
	b.do(chromedp.KeyEvent("sink"))
	if got := b.text("$('found').textContent"); got != "2 of 14 services" || focus() != "search" {
		t.Errorf("%q, at %s", got, focus())
	}
	b.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown))
	if focus() != "wirepas-sink@ttyS2.service" {
		t.Error(focus())
	}
	b.slash()
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.ArrowDown))
	if focus() != "lora-concentrator.service" || b.text("$('found').textContent") != "" {
		t.Error(focus())
	}
	for _, step := range []struct{ key, want string }{{"j", "wirepas-gateway.service"}, {kb.End, "wirepas-sink@ttyS2.service"}, {"k", "wirepas-sink@ttyS1.service"}, {kb.Home, "lora-concentrator.service"}} {
		if b.do(chromedp.KeyEvent(step.key)); focus() != step.want {
			t.Errorf("%q: %s, want %s", step.key, focus(), step.want)
		}
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until("!!document.querySelector('.said') && location.hash === '#lora-concentrator.service'")
	if focus() != "title" {
		t.Errorf("reading begins at %s", focus())
	}
	b.do(chromedp.KeyEvent(kb.Escape))
	b.until("$('report').hidden && location.hash === ''")
	if focus() != "lora-concentrator.service" {
		t.Errorf("back at %s", focus())
	}
}

// A service is found by its name, with and without its suffix.
func TestSearch(t *testing.T) {
	b := open(t, "trouble").visit(t, desk, "")
	for _, tt := range []struct{ text, want string }{
		{"sink", "2 of 14 services"}, {"lora-concentrator", "1 of 14 services"}, {"lora-concentrator.service", "1 of 14 services"}, {" LoRa-Concentrator.Service ", "1 of 14 services"},
		{"lora-concentrator.ser", "1 of 14 services"}, {"concentrator.service", "1 of 14 services"}, {".service", "14 of 14 services"}, {"service", "0 of 14 services"}, {"lora-concentrator.timer", "0 of 14 services"},
	} {
		if got := b.text("($('search').value = " + quoted(tt.text) + ", search(), $('found').textContent)"); got != tt.want {
			t.Errorf("%q finds %s, want %s", tt.text, got, tt.want)
		}
	}
}

// With the tabulator, one comes to each control, and sees where one is.
func TestTabulator(t *testing.T) {
	s := open(t, "trouble")
	b := s.visit(t, desk, "#lora-concentrator.service")
	b.until("!!document.querySelector('.copy')")
	b.text("document.activeElement.blur()")
	const controls = "[...document.querySelectorAll('a[href], button, input, [tabindex=\"0\"]')].filter((e) => e.checkVisibility() && !(e.type === 'radio' && !e.checked))"
	missed := b.text("(window.missed = new Set(" + controls + "), missed.size)")
	for range 2 * 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		b.text(`(() => {
			const e = document.activeElement, shown = e.type === 'radio' ? e.parentElement : e;
			missed.delete(e);
			if (e !== document.body && getComputedStyle(shown).outlineStyle === 'none') throw new Error('nobody sees the focus on ' + e.outerHTML);
		})()`)
		if b.text("missed.size") == "0" {
			return
		}
	}
	t.Errorf("of %s controls, the tabulator does not reach %s", missed, b.text("[...missed].map((e) => e.outerHTML).join('\\n')"))
}

// Names and last words are text, whatever is in them.
func TestHostile(t *testing.T) {
	s := open(t, "hostile")
	b := s.visit(t, desk, "")
	units := strings.Split(b.text("[...items.keys()].map(encodeURIComponent).join(' ')"), " ")
	if len(units) != 8 {
		t.Fatal(units)
	}
	for i, unit := range units {
		name := "decodeURIComponent(" + quoted(unit) + ")"
		b.do(press("the name", fmt.Sprintf("[...items.values()][%d].row.querySelector('a')", i)))
		b.until("$('title').textContent === plain(" + name + ") && !!document.querySelector('.said')")
		b.until("document.querySelector('.said').innerText.includes(\"</script><script>document.title='owned'</script>\")")
		if js[bool](b, "document.documentElement.scrollWidth > innerWidth") {
			t.Errorf("%.40s makes the page too wide", unit)
		}
	}
	const alien = "document.scripts.length - 2 + document.querySelectorAll('img, i:not(.key), iframe, object').length"
	if got := b.text(alien); got != "0" || strings.Contains(b.text("document.title"), "owned") {
		t.Errorf("%s elements came with the names, and the title is %s", got, b.text("document.title"))
	}
	if text := b.text("document.body.innerText"); regexp.MustCompile("[\u202a-\u202e\u2066-\u2069\x1b\x07]").MatchString(text) {
		t.Errorf("marks of direction, or control characters: %q", text)
	}
}

// A command is copied as it is.
func TestCopy(t *testing.T) {
	s := open(t, "trouble")
	b := s.visit(t, desk, "#lora-concentrator.service")
	b.until("!!document.querySelector('.copy')")
	b.text("(document.addEventListener('copy', () => { window.copied = String(document.activeElement.value ?? getSelection()) }), navigator.clipboard.writeText = async (text) => { window.copied = text })")
	b.do(press("copy", "document.querySelectorAll('.copy')[1]"))
	b.until("window.copied === 'systemctl status lora-concentrator.service' && document.querySelectorAll('.copy')[1].textContent === 'Copied'")
	// Without TLS, a page of another machine has no clipboard.
	b.text("(window.copied = '', navigator.clipboard.writeText = async () => { throw new Error('no') })")
	b.do(press("copy", "document.querySelectorAll('.copy')[2]"))
	b.until("window.copied === 'service-monitor history lora-concentrator.service' && document.querySelectorAll('.copy')[2].textContent === 'Copied'")
}

// Nothing moves for those who do not want that.
func TestStill(t *testing.T) {
	for _, still := range []bool{false, true} {
		s := open(t, "well")
		b := s.visit(t, look{width: 1440, height: 900, still: still}, "")
		b.until("live.source.readyState === 1")
		b.text("(window.moves = 0, $('rows').addEventListener('animationstart', () => moves++))")
		s.do(t, "crash", "unit", unit)
		b.until(row(unit) + ".classList.contains('changed')")
		if b.until("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"); !still {
			b.until("moves > 0")
		} else if got := b.text("moves"); got != "0" {
			t.Errorf("%s animations", got)
		}
	}
}

// On paper it is one column of an A4 sheet, without what only a screen needs.
func TestPaper(t *testing.T) {
	for _, tt := range []struct{ name, scene, path, until string }{
		{"list", "trouble", "", drawn},
		{"report", "trouble", "#wirepas-gateway.service", "!!document.querySelector('.said')"},
		{"many", "many", "", drawn + " && $('rows').children.length === 1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t, tt.scene).visit(t, desk, tt.path)
			b.until(tt.until)
			sheet, err := chromedp.Run(b, chromedp.PrintToPDF(chromedp.PDFPreferCSSPageSize()))
			if err != nil {
				t.Fatal(err)
			}
			b.save(tt.name+".pdf", sheet)
			if got := b.text("order.filter((item) => item.row.checkVisibility() && !item.cell.line.firstChild).length"); got != "0" {
				t.Errorf("%s services have no timeline on paper", got)
			}
			boxes := regexp.MustCompile(`/MediaBox \[0 0 ([0-9]+)[0-9.]* ([0-9]+)[0-9.]*\]`).FindAllSubmatch(sheet, -1)
			for _, box := range boxes {
				if w, h := string(box[1]), string(box[2]); w != "594" && w != "595" || h != "841" && h != "842" {
					t.Errorf("a sheet of %s × %s points", w, h)
				}
			}
			if len(boxes) == 0 || tt.name == "many" && len(boxes) < 10 {
				t.Errorf("%d sheets", len(boxes))
			}
			const inside = 703 // px of A4 without its margins
			call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: inside, Height: 1000, DeviceScaleFactor: 1})
			call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
			if js[bool](b, "document.documentElement.scrollWidth > innerWidth") {
				t.Error("it is wider than the sheet")
			}
			if got := b.text("[...document.querySelectorAll('.bar, #close, .copy')].filter((e) => e.checkVisibility()).length"); got != "0" {
				t.Errorf("%s controls on paper", got)
			}
			if got := b.text("[$('services'), $('report')].filter((e) => e.checkVisibility()).length"); got != "1" {
				t.Errorf("%s columns", got)
			}
			shot, err := chromedp.Run(b, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			if tt.name != "many" {
				b.save("paper-"+tt.name+".png", shot)
			}
		})
	}
}

// A thousand services are there, can be found, and only the one that changes is touched. How long the
// page takes is only told, because another machine takes another time.
func TestThousand(t *testing.T) {
	s := open(t, "many")
	for range 3 {
		b := s.visit(t, desk, "")
		b.until("$('rows').children.length === 1000")
		t.Log(b.text(`(() => {
			const [page] = performance.getEntriesByType('navigation'), from = (n) => Math.round(n - page.responseStart) + ' ms', mark = (name) => from(performance.getEntriesByName(name)[0].startTime);
			return 'after the first byte: first paint ' + mark('first-contentful-paint') + ', script begun ' + mark('begun') + ', usable ' + mark('shown') + ', all rows ' + mark('all rows') +
				', all loaded ' + from(page.domContentLoadedEventEnd) + '; ' + Math.round(page.decodedBodySize / 1000) + ' kB';
		})()`))
	}
	b := s.visit(t, desk, "")
	b.until("live.source.readyState === 1 && $('rows').children.length === 1000")
	t.Log(b.text("(() => { const from = performance.now(); $('search').value = 'worker-99'; search(); void document.body.offsetHeight; return 'search: ' + Math.round(performance.now() - from) + ' ms' })()"))
	if got := b.text("$('found').textContent"); got != "10 of 1000 services" {
		t.Error(got)
	}
	b.text("($('search').value = '', search())")
	b.text("(window.seenAt = 0, new MutationObserver((list, observer) => { if (" + cell("worker-500@node-3.service", "crashes") + " === '1') { seenAt = Date.now(); observer.disconnect(); } }).observe($('rows'), { subtree: true, childList: true, characterData: true }))")
	from := js[float64](b, "Date.now()")
	s.do(t, "crash", "unit", "worker-500@node-3.service")
	b.until("seenAt > 0")
	t.Logf("a crash is on the page after %.0f ms", js[float64](b, "seenAt")-from)
}
