package config

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"service-monitor/stages/row"
)

// TestNewKey adds a key by adding its row. That is enough: the key is read, checked, proposed for
// a misspelled one, shown in the help, and named if it needs a restart.
func TestNewKey(t *testing.T) {
	type config struct {
		Config
		Linger time.Duration
	}
	rows := func(c *config) []row.Row {
		return append(c.rows(), row.Row{Key: "linger", Help: "after the last one",
			Value: row.Duration{Target: &c.Linger, Step: time.Second, Default: 5 * time.Second, Least: time.Second, Most: time.Minute}})
	}
	running := config{Config: Default()}
	for _, r := range rows(&running) {
		r.Value.Reset()
	}
	if running.Linger != 5*time.Second {
		t.Errorf("the default is %v", running.Linger)
	}
	for _, tt := range []struct{ text, want string }{
		{`{"linger": 60, "debug": true, "max_retries": 3}`, ""},
		{`{"linger": 61}`, "1: linger must be from 1 to 60 seconds, found the number 61"},
		{`{"linger": "5"}`, `1: linger must be a whole number of seconds without quotes, found the string "5"`},
		{`{"lingr": 5}`, `1: unknown key "lingr"; did you mean "linger"?`},
		{`{"linger": 5, "linger": 5}`, `1: the key "linger" is there twice, first in line 1; remove one`},
	} {
		read := running
		_, err := decodeRows([]byte(tt.text), rows(&read))
		if message(err) != tt.want {
			t.Errorf("%s: message (-want +got):\n-%s\n+%s", tt.text, tt.want, message(err))
		}
		if tt.want != "" {
			continue
		}
		if diff := cmp.Diff([]string{"linger"}, needRestart(rows(&running), rows(&read))); diff != "" || read.Linger != time.Minute {
			t.Errorf("read %v, needs a restart (-want +got):\n%s", read.Linger, diff)
		}
	}
	var help strings.Builder
	writeKeys(&help, rows(&running))
	if want := "\n  linger              seconds after the last one (default 5)\n"; !strings.Contains(help.String(), want) {
		t.Errorf("the help lacks %q:\n%s", want, help.String())
	}
}

// other returns a good value of a key that differs from its default.
func other(r row.Row) string {
	if n, err := strconv.Atoi(r.Value.DefaultText()); err == nil {
		return strconv.Itoa(n + 1)
	}
	return map[string]string{"a string": `"/elsewhere/` + r.Key + `"`, "true or false": "true"}[r.Value.Kind()]
}

// TestNeedRestart wants exactly the keys that a reload cannot apply to need a restart.
func TestNeedRestart(t *testing.T) {
	for _, r := range new(Config).rows() {
		raw := other(r)
		if r.Key == "monitored_services" {
			raw = `["a.service"]`
		}
		read, _, err := decode([]byte(`{"`+r.Key+`": `+raw+`}`), Default(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if !r.Reload {
			want = []string{r.Key}
		}
		if diff := cmp.Diff(want, NeedRestart(Default(), read)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Key, diff)
		}
	}
	if keys := NeedRestart(Default(), Default()); keys != nil {
		t.Errorf("without a change: %q", keys)
	}
}

// TestRows wants each key and each target once, and each default to be in its range.
func TestRows(t *testing.T) {
	var c Config
	seen := make(map[string]bool)
	for _, r := range c.rows() {
		if seen[r.Key] {
			t.Errorf("%s is there twice", r.Key)
		}
		seen[r.Key] = true
		before := c
		r.Value.Reset()
		if r.Key != "debug" && cmp.Equal(before, c) { // its default is the zero value
			t.Errorf("%s: its target is another key's, or nobody's", r.Key)
		}
		initial := r.Value.Get()
		_, noNumber := strconv.Atoi(r.Value.DefaultText())
		if err := r.Value.Set([]byte(r.Value.DefaultText())); noNumber == nil && (err != nil || !cmp.Equal(initial, r.Value.Get())) {
			t.Errorf("%s: its default %s is %v (%v), want %v", r.Key, r.Value.DefaultText(), r.Value.Get(), err, initial)
		}
	}
}

// TestHelp wants each row in the help, and which keys a reload applies.
func TestHelp(t *testing.T) {
	var b strings.Builder
	WriteKeys(&b)
	want := []string{"A reload takes monitored_services and debug; the other keys need a restart.\n", unusedKeys}
	for _, r := range new(Config).rows() {
		want = append(want, fmt.Sprintf("\n  %-18s  %s\n", r.Key, r.Line()))
	}
	for _, part := range want {
		if !strings.Contains(b.String(), part) {
			t.Errorf("the help lacks %q:\n%s", part, b.String())
		}
	}
}

// TestManual compares service-monitor(5) with the rows: the kind, range and default of each key,
// and whether a reload applies it.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../../debian/service-monitor.5")
	if err != nil {
		t.Fatal(err)
	}
	manual := strings.NewReplacer(`\-`, "-", `\fR`, "").Replace(string(text))
	_, keys, _ := strings.Cut(manual, "\n.SH KEYS\n")
	keys, reloading, _ := strings.Cut("\n"+keys, "\n.SH RELOADING\n")
	reloading, _, _ = strings.Cut(reloading, "takes effect when the monitor is restarted")
	taken, restarted, _ := strings.Cut(reloading, "change at once")
	for _, r := range new(Config).rows() {
		_, about, found := strings.Cut(keys, "\n.TP\n.BR "+r.Key+` ", `+r.Value.Kind()+"\"\n")
		about, _, _ = strings.Cut(about, "\n.TP\n")
		words := strings.Join(strings.Fields(strings.NewReplacer("\n.I ", " ", "\n.B ", " ").Replace(about)), " ")
		stated := regexp.MustCompile(`Default: ` + regexp.QuoteMeta(r.Value.DefaultText()) + `(\.?$|\. | )`)
		if !found || !stated.MatchString(words) {
			t.Errorf("%s: the manual has not %q and the default %q:\n%s", r.Key, r.Value.Kind(), r.Value.DefaultText(), about)
		}
		names := func(text string) bool {
			return strings.Contains(strings.NewReplacer("\n", " ", ",", " ").Replace(text), " "+r.Key+" ")
		}
		if names(taken) != r.Reload || names(restarted) == r.Reload {
			t.Errorf("%s: a reload takes it: %v, and the manual says otherwise", r.Key, r.Reload)
		}
	}
	for line := range strings.Lines(keys) {
		key, _, isKey := strings.Cut(strings.TrimPrefix(line, ".BR "), ` ", `)
		if _, known := find(new(Config).rows(), key); isKey && !known {
			t.Errorf("the manual has the key %s, which there is not", key)
		}
	}
}
