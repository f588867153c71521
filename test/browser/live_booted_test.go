//go:build booted

package browser

import (
	"fmt"
	"strings"
	"testing"
)

const unit = "dbus.service"

func cell(unit, name string) string {
	return row(unit) + ".querySelector('." + name + "').textContent"
}

// A crash is on the page as soon as it is told, and nothing but its row changes.
func TestCrash(t *testing.T) {
	s := open(t, "well")
	b := s.visit(t, desk, "")
	b.until("live.source.readyState === 1 && document.querySelectorAll('#rows svg path.crash').length > 9")
	b.text(`(window.touched = new Set(), new MutationObserver((list) => {
		for (const { target } of list) {
			const row = (target.closest ? target : target.parentElement).closest('[role=row]');
			if (row && target !== $('rows') && !target.closest('.for, .last')) touched.add(row.dataset.unit);
		}
	}).observe($('rows'), { subtree: true, childList: true, characterData: true, attributes: true }))`)
	s.do(t, "crash", "unit", unit)
	b.until(cell(unit, "crashes") + " === '1'")
	for _, want := range []string{
		cell(unit, "state") + " === 'starting'", cell(unit, "why") + " === 'SIGKILL; systemd restarts it'",
		"$('rows').firstElementChild === " + row(unit), // it is the worst one now
		row(unit) + ".querySelector('path.crash').getAttribute('d') !== ''",
	} {
		b.until(want)
	}
	if got := b.text("[...touched].join()"); got != unit {
		t.Errorf("rows of %s changed", got)
	}
	b.until("$('said').textContent === 'dbus: starting'")
	s.do(t, "start", "unit", unit)
	b.until(cell(unit, "state") + " === 'running'")
	s.do(t, "gone", "unit", unit)
	b.until("!" + row(unit) + " && $('summary').textContent === 'all 9 services are well'")
}

// Three crashes are a loop, and the page says so at once: in its title, too.
func TestLoop(t *testing.T) {
	s := open(t, "well")
	b := s.visit(t, desk, "")
	b.until("live.source.readyState === 1")
	for range 3 {
		s.do(t, "crash", "unit", unit)
		s.do(t, "start", "unit", unit)
	}
	b.until(cell(unit, "state") + " === 'crash loop'")
	if title, summary := b.text("document.title"), b.text("$('summary').textContent"); title != "(1) gw-0042 – services" || summary != "1 of 10 services needs attention" {
		t.Errorf("%q, %q", title, summary)
	}
}

// If the stream breaks, the page says so, and goes on by itself. It shows what it missed, once.
func TestCut(t *testing.T) {
	s := open(t, "well")
	b := s.visit(t, desk, "#"+unit)
	b.until("live.source.readyState === 1 && document.querySelectorAll('#history tbody tr').length === 1")
	s.do(t, "cut")
	b.until("/^connection lost since [0-9:]{8}; trying again$/.test($('lost').textContent)")
	b.shot("lost")
	s.do(t, "crash", "unit", unit)
	s.do(t, "start", "unit", unit)
	if got := b.text(cell(unit, "crashes")); got != "0" {
		t.Errorf("%s crashes without a connection", got)
	}
	s.do(t, "mend")
	b.until("$('lost').textContent === '' && " + cell(unit, "crashes") + " === '1'")
	b.until("document.querySelectorAll('#history tbody tr').length === 3")
	s.do(t, "crash", "unit", unit)
	b.until("document.querySelectorAll('#history tbody tr').length === 4")
	if got := b.text("[...document.querySelectorAll('#history tbody tr')].map((row) => row.cells[1].textContent).join()"); got != "crash 2,started,crash 1,first seen" {
		t.Error(got)
	}
}

// A stream that cannot go on where it was cut says so. Then everything is loaded anew.
func TestReset(t *testing.T) {
	s := open(t, "well")
	b := s.visit(t, desk, "")
	b.until("live.source.readyState === 1")
	s.do(t, "gone", "unit", unit, "silent", "true")
	s.do(t, "reset")
	b.until("!" + row(unit))
	s.do(t, "crash", "unit", "ssh.service")
	b.until(cell("ssh.service", "crashes") + " === '1'")
}

// hide has a tab believe that nobody sees it, or that somebody does again.
func (b *tab) hide(hidden bool) {
	b.t.Helper()
	b.text(fmt.Sprintf("(Object.defineProperty(document, 'hidden', { value: %v, configurable: true }), document.dispatchEvent(new Event('visibilitychange', { bubbles: true })))", hidden))
}

// A page that nobody sees has no stream after a while, and does not call that a lost connection. When it is seen
// again, it shows what it missed.
func TestUnseen(t *testing.T) {
	s := open(t, "well")
	b := s.visit(t, desk, "")
	b.until("live.source.readyState === 1")
	b.text("(window.lost = [], new MutationObserver(() => lost.push($('lost').textContent)).observe($('lost'), { childList: true, characterData: true, subtree: true }))")
	b.text("(window.first = live.source)")
	b.hide(true)
	b.hide(false)
	if !js[bool](b, "live.source === first && live.unseen === 30000") {
		t.Error("a short look at another tab costs the stream")
	}
	b.text("(live.unseen = 1)")
	b.hide(true)
	b.until("live.source === null && first.readyState === 2")
	s.do(t, "crash", "unit", unit)
	s.do(t, "start", "unit", unit)
	s.do(t, "gone", "unit", "ssh.service", "silent", "true")
	if got := b.text("(dispatchEvent(new Event('online')), [" + cell(unit, "crashes") + ", live.source, $('lost').textContent, document.body.dataset.is])"); got != "0,,,unknown" {
		t.Errorf("a hidden page: %s", got)
	}
	b.hide(false)
	b.until("live.source?.readyState === 1 && live.deaf() === 0 && " + cell(unit, "crashes") + " === '1' && !" + row("ssh.service"))
	s.do(t, "crash", "unit", unit)
	b.until(cell(unit, "crashes") + " === '2'")
	b.text("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
	b.until("live.source === null")
	s.do(t, "start", "unit", unit)
	b.text("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
	b.until(cell(unit, "state") + " === 'running'")
	if got := b.text("lost"); got != "" {
		t.Errorf("the page says %s", got)
	}
	// A connection that is lost indeed is still told, when somebody sees the page again.
	b.hide(true)
	b.until("live.source === null")
	s.do(t, "cut")
	b.hide(false)
	b.until("$('lost').textContent.startsWith('connection lost since ')")
	s.do(t, "mend")
	b.until("$('lost').textContent === '' && live.deaf() === 0")
}

// A browser has six connections to a server. Tabs that nobody sees keep none of them.
func TestTabs(t *testing.T) {
	s := open(t, "well")
	for range 7 {
		b := s.visit(t, desk, "")
		b.until("live.source.readyState === 1 && document.querySelectorAll('#rows svg').length > 9")
		b.text("(live.unseen = 1)")
		b.hide(true)
		b.until("live.source === null")
	}
}

// If the clock of the gateway is set, the page goes on with the new time. So what happens then is in the timelines.
func TestClock(t *testing.T) {
	s := open(t, "well")
	b := s.visit(t, desk, "#"+unit)
	b.until("live.source.readyState === 1 && document.querySelectorAll('#timelines svg').length === 2")
	axis := b.text("document.querySelector('#timelines .axis').textContent")
	s.do(t, "clock", "by", "3h")
	s.do(t, "crash", "unit", unit)
	b.until("Math.abs(gateway.now() - Date.now() - 3 * 3600e3) < 60e3")
	b.until("[...document.querySelectorAll('#timelines path.crash')].filter((mark) => mark.getAttribute('d')).length === 2")
	b.until("!!" + row(unit) + ".querySelector('path.crash').getAttribute('d')")
	s.do(t, "clock", "by", "4h")
	b.until("document.querySelector('#timelines .axis').textContent !== " + quoted(axis))
	b.until("$('asof').textContent.includes(gateway.wall(Date.now() + 7 * 3600e3).slice(0, 13))")
}

// The page says how the monitor itself is.
func TestMonitor(t *testing.T) {
	s := open(t, "well")
	b := s.visit(t, desk, "")
	b.until("live.source.readyState === 1")
	s.do(t, "monitor", "runs", "false")
	b.until("$('troubles').textContent.startsWith('THE MONITOR IS NOT RUNNING since ') && /^as of .* ago\\)$/.test($('asof').textContent)")
	if got := b.text("$('summary').textContent"); got != "all 10 services were well" {
		t.Error(got)
	}
	s.do(t, "monitor", "runs", "true")
	b.until("$('troubles').textContent === '' && $('summary').textContent === 'all 10 services are well'")
	s.do(t, "trouble", "text", "bus lost since 11:59:01")
	b.until("$('troubles').textContent === 'THE MONITOR: bus lost since 11:59:01' && $('summary').textContent === 'all 10 services were well'")
	s.do(t, "trouble")
	b.until("$('troubles').textContent === ''")
}

// Each crash has a mark that can be seen, however long the time is that is shown.
func TestMarks(t *testing.T) {
	s := open(t, "trouble")
	b := s.visit(t, desk, "#ModemManager.service")
	b.until("document.querySelectorAll('#timelines path.crash').length === 2")
	if got := b.text("document.querySelectorAll('#timelines path.crash')[1].getAttribute('d').split('M').length - 1"); got != "5" {
		t.Errorf("%s marks for 5 crashes", got)
	}
	words := b.text("document.querySelectorAll('#timelines svg')[1].getAttribute('aria-label')")
	if !strings.HasPrefix(words, "Last 7 d: up ") || !strings.Contains(words, "5 crashes, the last ") || !strings.Contains(words, "not watched ") {
		t.Error(words)
	}
	b.seen("document.querySelectorAll('#timelines svg')[1]", 5)
}

// A record that stands for many crashes is a mark for each place that they may be in, and it keeps its number.
// Where a unit was up and down by turns, both are drawn.
func TestFolded(t *testing.T) {
	b := open(t, "none").visit(t, desk, "")
	type drawn struct {
		Up, Down string
		Marks    int
		Words    string
	}
	for _, tt := range []struct {
		name, told string
		marks      int // at least
		up, down   string
		words      string
	}{
		{"a thousand crashes in an hour", `{ spans: [{ from: 0, to: 82800, phase: 'up' }, { from: 82800, to: 86400, phase: 'down', mixed: true, up: 0.25 }], crashes: [{ at: 82800, until: 86400, count: 1000 }] }`,
			40, "M958.33 4H1000.00V7H958.33z", "M958.33 7H1000.00V16H958.33z", "Last 24 h: up 96.9%, down 3.1%; 1000 crashes, the last 0 s ago"},
		{"two crashes a day ago, and one now", `{ spans: [], crashes: [{ at: 1, until: 2, count: 2 }, { at: 86399, count: 1 }] }`, 2, "", "", "Last 24 h: up 0%, not watched 100%; 3 crashes, the last 1 s ago"},
		{"one record that began before, and ends in it", `{ spans: [], crashes: [{ at: -5000, until: 43200, count: 7 }] }`, 7, "", "", "Last 24 h: up 0%, not watched 100%; 7 crashes, the last 12h ago"},
	} {
		got := js[drawn](b, `(() => {
			const now = Math.floor(gateway.now()), from = new Date(now - 86400e3).toISOString(), to = new Date(now).toISOString(), told = `+tt.told+`;
			keep(24, { from, to, units: [{ unit: 'x', ...told }] });
			const line = shapes(lines[24].get('x'), 24, now);
			return { Up: line.paths.up.split('z').at(-2)?.concat('z') ?? '', Down: line.paths.down, Marks: line.path.split('M').length - 1, Words: inWords(24, line, now) };
		})()`)
		if got.Marks < tt.marks || got.Up != tt.up || got.Down != tt.down || got.Words != tt.words {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}
