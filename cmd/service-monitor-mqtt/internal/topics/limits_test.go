package topics

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/journald/records"
)

// longest is a name as long as a unit's can be.
var longest = strings.Repeat("_", 255-len(suffix)) + suffix

// hostile are names that could be taken for others, or for something else than a name.
var hostile = []string{
	"a.service", "a", "a.timer", "a.timer.service", ".service", ".service.service", "a-b.service", `a\x2db.service`, "a@b.service", "a@.service", "a_b.service", "a:b.service", "a.b.service",
	"a_2db.service", "a__b.service", "a%2fb.service", "a/b.service", "a+.service", "#", "a#.service", "+", "$SYS.service", "a\x00.service", "\xff.service", "\xfe.service", "ß.service",
	"_monitor", "__monitor", "monitor.service", "A.service", "a%", "a_", "a%.service", "a b.service", "//.service", longest, longest[:len(longest)-1],
	strings.Repeat("\xff", 255),
}

var schemes = []string{Plain, ThinEdge, HomeAssistant}

// each calls f with each scheme.
func each(t *testing.T, f func(name string, s Scheme)) {
	t.Helper()
	for _, name := range schemes {
		f(name, must(t, name, false))
		f(name+", compact", must(t, name, true))
	}
}

// wrong says what is wrong with a message; empty if nothing is.
func wrong(m Message) string {
	switch {
	case strings.Count(m.Topic, "/") > 7:
		return "more than 7 slashes"
	case strings.ContainsAny(m.Topic, "+#\x00") || !utf8.ValidString(m.Topic) || strings.HasPrefix(m.Topic, "$"):
		return "no topic to publish on"
	case strings.Contains("/"+m.Topic+"/", "//"):
		return "a level is empty"
	case len(m.Topic)+len(m.Payload) >= 128<<10-64:
		return "too large"
	case len(m.Payload) == 0 && !m.Retain:
		return "it says nothing"
	case len(m.Payload) > 0 && (!json.Valid(m.Payload) || !utf8.Valid(m.Payload) || strings.Contains(string(m.Payload), "\n")):
		return "no JSON"
	}
	return ""
}

func TestMessages(t *testing.T) {
	each(t, func(name string, s Scheme) {
		for _, m := range everything(s, hostile...) {
			if why := wrong(m); why != "" {
				t.Errorf("%s: %s: %.500s", name, why, text(m))
			}
		}
	})
	// The longest prefix, too.
	s, err := New(HomeAssistant, Options{Gateway: strings.Repeat("x", 64), DiscoveryPrefix: "a/b/c/d"})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range everything(s, hostile...) {
		if why := wrong(m); why != "" {
			t.Errorf("%s: %.500s", why, text(m))
		}
	}
}

// Two units never share a topic on which something is retained or told, whatever their names are.
func TestDistinctTopics(t *testing.T) {
	each(t, func(name string, s Scheme) {
		owner := map[string]string{}
		for _, m := range append(s.Online(Monitor{}, noon), s.Lost(Lost{}, noon)...) {
			owner[m.Topic] = "the gateway"
		}
		for _, unit := range hostile {
			for _, m := range allOf(s, unit) {
				if other := owner[m.Topic]; other != "" && other != unit {
					t.Errorf("%s: %q has a topic of %q: %s", name, unit, other, m.Topic)
				}
				owner[m.Topic] = unit
			}
		}
	})
}

// allOf returns what a scheme makes of one unit.
func allOf(s Scheme, unit string) (list []Message) {
	e, b := crash(), lastWords()
	e.Unit, b.Unit = unit, unit
	for _, messages := range [][]Message{s.Announce(unit), s.State(&Unit{Unit: unit}), s.Event(e), s.Crash(b), s.Gone(unit)} {
		list = append(list, messages...)
	}
	return list
}

// Gone and Clear clear what was retained, all of it and nothing else.
func TestCleared(t *testing.T) {
	each(t, func(name string, s Scheme) {
		broker := map[string]bool{}
		deliver := func(messages []Message) {
			for _, m := range messages {
				if m.Retain {
					broker[m.Topic] = len(m.Payload) > 0
				}
			}
		}
		left := func() (n int) {
			for _, there := range broker {
				if there {
					n++
				}
			}
			return n
		}
		deliver(s.Online(Monitor{}, noon))
		deliver([]Message{s.Offline(noon)})
		before := left()
		for _, unit := range hostile {
			deliver(s.Announce(unit))
			deliver(s.State(&Unit{Unit: unit, Attention: true}))
			deliver(s.Gone(unit))
		}
		if left() != before {
			t.Errorf("%s: %d retained, and %d when all units are gone", name, before, left())
		}
		if deliver(s.Clear()); left() != 0 {
			t.Errorf("%s: %v", name, broker)
		}
	})
}

// Of a box that is too large, the oldest lines are cut, and no more than need be.
func TestLargeBox(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines int
		text  string
		cut   bool
	}{
		{"small", 20, "x", false},
		{"large", 1000, strings.Repeat("x", 500), true},
		{"control characters", 1000, strings.Repeat("\x01", 512), true},
		{"invalid bytes", 1000, strings.Repeat("\xff", 512), true},
		{"a line that is too long", 1, strings.Repeat("ß", 200_000), false},
		{"lines that are too long", 5, strings.Repeat("ß", 200_000), true},
	} {
		b := &blackbox.Box{Unit: longest, Time: noon}
		for range tt.lines {
			b.Lines = append(b.Lines, records.Line{Time: noon, Text: tt.text})
		}
		b.Lines[tt.lines-1].From = "the last words"
		each(t, func(name string, s Scheme) {
			messages := s.Crash(b)
			if len(messages) != 1 || wrong(messages[0]) != "" {
				t.Fatalf("%s, %s: %s", name, tt.name, wrong(messages[0]))
			}
			var got, short struct {
				Cut   int   `json:"lines_cut"`
				Lines []any `json:"lines"`
			}
			text := messages[0].Payload
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "compact") && !strings.HasPrefix(name, ThinEdge) {
				if err := json.Unmarshal(text, &struct {
					Cut   *int   `json:"cut"`
					Lines *[]any `json:"l"`
				}{&short.Cut, &short.Lines}); err != nil {
					t.Fatal(err)
				}
				got = short
			}
			if (got.Cut > 0) != tt.cut || got.Cut+len(got.Lines) != tt.lines || !strings.Contains(string(text), "the last words") {
				t.Errorf("%s, %s: %d of %d lines, %d cut", name, tt.name, len(got.Lines), tt.lines, got.Cut)
			}
			if got.Cut > 0 && len(got.Lines) > 1 && len(text) < largest*9/10 {
				t.Errorf("%s, %s: cut to %d bytes", name, tt.name, len(text))
			}
		})
		if len(b.Lines) != tt.lines {
			t.Errorf("%s: the box itself was cut", tt.name)
		}
	}
}

// Whatever a unit has made systemd say, a payload is neither too large nor anything but JSON.
func TestHostileTexts(t *testing.T) {
	for _, evil := range []string{strings.Repeat("\xff", 50_000), strings.Repeat("\x00", 50_000), strings.Repeat("</script>", 16_000), "\"},{\"a\":\"", "\u2028", "{{ 1/0 }}"} {
		each(t, func(name string, s Scheme) {
			u, e := looping(), crash()
			u.Words, u.Sub, u.LastCrash.Text, u.LastCrash.Result = evil, evil, evil, evil
			e.Text, e.Result, e.From, e.Kind = evil, evil, evil, "crash"
			troubles := append([]string{evil}, slices.Repeat([]string{evil[:min(len(evil), 300)]}, 500)...)
			for _, messages := range [][]Message{s.State(u), s.Event(e), s.Online(Monitor{Running: true, Troubles: troubles}, noon)} {
				for _, m := range messages {
					if why := wrong(m); why != "" {
						t.Errorf("%s: %s: %.300s", name, why, text(m))
					}
				}
			}
		})
	}
}

func FuzzTopics(f *testing.F) {
	for i, unit := range hostile {
		f.Add(unit, hostile[(i+1)%len(hostile)])
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		each(t, func(name string, s Scheme) {
			if one == "" || other == "" {
				return // no unit
			}
			topics := map[string]bool{}
			for _, m := range allOf(s, one) {
				if why := wrong(m); why != "" && why != "too large" {
					t.Errorf("%s, %q: %s: %s", name, one, why, m.Topic)
				}
				topics[m.Topic] = true
			}
			if one == other {
				return
			}
			for _, m := range allOf(s, other) {
				if topics[m.Topic] {
					t.Errorf("%s: %q and %q share %s", name, one, other, m.Topic)
				}
			}
		})
		if e := (tell.Event{Kind: one, Time: noon}); wrong(must(t, ThinEdge, false).Event(&e)[0]) == "no topic to publish on" {
			t.Errorf("kind %q", one)
		}
	})
}
