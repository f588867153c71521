//go:build booted

package browser

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// seconds are what is not the same if the same is told a moment later.
var seconds = regexp.MustCompile(`\b(\d+m \d+s|\d+(\.\d+)? s|\d+m)\b|next try [0-9:now]+`)

// moving replaces what changes with each second.
func moving(text string) string { return seconds.ReplaceAllString(text, "…") }

// cells are the words of a row, in the order of the columns of service-monitor status.
const cells = `JSON.stringify([...document.querySelectorAll('#rows [role=row]')].map((row) =>
	['mark', 'name a', 'state', 'for', 'crashes', 'day', 'last', 'up', 'why'].map((name) => row.querySelector('.' + name).textContent)))`

// The page says the same as service-monitor status, in the same order.
func TestSameWords(t *testing.T) {
	for _, scene := range []string{"well", "trouble", "away", "blind", "none", "hostile"} {
		t.Run(scene, func(t *testing.T) {
			s := open(t, scene)
			b := s.visit(t, desk, "")
			var rows [][]string
			if err := json.Unmarshal([]byte(b.text(cells)), &rows); err != nil {
				t.Fatal(err)
			}
			page := []string{b.text("$('host').textContent") + ": " + b.text("$('summary').textContent")}
			for _, cell := range rows {
				page = append(page, strings.Join(cell[:8], " "))
				if cell[8] != "" {
					page = append(page, cell[8])
				}
			}
			told := strings.Join(strings.Fields(moving(strings.ReplaceAll(s.do(t, "text"), "?", "\ufffd"))), " ")
			from := 0
			for _, line := range page {
				line = strings.Join(strings.Fields(moving(strings.ReplaceAll(line, "?", "\ufffd"))), " ")
				at := strings.Index(told[from:], line)
				if at < 0 && scene != "hostile" { // a terminal has other signs for what it cannot show
					t.Errorf("the command does not say %q, or not there:\n%s", line, told)
				} else if at >= 0 {
					from += at + len(line)
				}
			}
			for _, note := range []string{"+ at least", "The history goes back to", "Why the monitor stopped: systemctl", "More about the monitor: journalctl", "Name services in monitored_services", "THE MONITOR: ", "THE MONITOR IS NOT RUNNING since 2"} {
				if page := strings.Contains(b.text("document.body.innerText"), note); page != strings.Contains(s.do(t, "text"), note) {
					t.Errorf("the page says %q: %v, unlike the command", note, page)
				}
			}
		})
	}
}

// Times are told in the words of the command.
func TestSpans(t *testing.T) {
	s := open(t, "none")
	b := s.visit(t, desk, "")
	var spans map[string]string
	if err := json.Unmarshal([]byte(s.do(t, "spans")), &spans); err != nil || len(spans) < 50 {
		t.Fatal(len(spans), err)
	}
	for n, want := range spans {
		if got := b.text("span(" + n + ")"); got != want {
			t.Errorf("%s s: %q, want %q", n, got, want)
		}
	}
}

// The report says what service-monitor why says.
func TestReport(t *testing.T) {
	s := open(t, "trouble")
	b := s.visit(t, desk, "#wirepas-gateway.service")
	b.until("!!document.querySelector('.said')")
	text := b.text("$('report').innerText")
	for _, want := range []string{
		"wirepas-gateway.service", "crashed 129 times since", "signal 11 (SIGSEGV, core dumped): it used memory that is not its own", "What next", "systemd starts it again",
		"Last words of the run that crashed", "free(): invalid pointer", "Look further", "coredumpctl info wirepas-gateway.service", "service-monitor history wirepas-gateway.service",
		"crash 129", "SIGSEGV, core dumped", "restart",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	// An older crash has an address of its own.
	b.do(press("a", "document.querySelector('#history tr.crash:nth-child(4) a')"))
	b.until("$('fields').innerText.includes('No. 128')")
	if got := b.text("location.hash"); got != "#wirepas-gateway.service/128" {
		t.Error(got)
	}
}

// An address names a service, so it can be shared.
func TestShared(t *testing.T) {
	s := open(t, "trouble")
	for _, tt := range []struct{ path, title, want string }{
		{"#hwcheck.service", "hwcheck.service", "1 of 7 checks failed"},
		{"#hwcheck", "hwcheck.service", "1 of 7 checks failed"},
		{"#dbus.service", "dbus.service", "runs, and has never crashed since it is watched"},
		{"#nothing.service", "nothing.service", `none of the monitored services is called "nothing.service"`},
		{"#%zz", "%zz", `none of the monitored services is called "%zz"`},
	} {
		b := s.visit(t, desk, tt.path)
		b.until("$('report').innerText.includes(" + quoted(tt.want) + ")")
		if got := b.text("$('title').textContent"); got != tt.title {
			t.Errorf("%s: %q", tt.path, got)
		}
	}
}
