package watch

import "testing"

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		name string
		list []string
		unit string
		want bool
	}{
		{"name", []string{"a.service"}, "a.service", true},
		{"another", []string{"a.service"}, "b.service", false},
		{"glob", []string{"x.service", "sink-*.service"}, "sink-tty.service", true},
		{"glob of another type", []string{"sink-*.service"}, "sink-tty.socket", false},
		{"a name with a backslash is no glob", []string{`a\x2db.service`}, `a\x2db.service`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Match(tt.list, tt.unit); got != tt.want {
				t.Errorf("Match: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestEscape(t *testing.T) {
	for _, tt := range []struct{ unit, want string }{
		{"a.service", unitPath + "a_2eservice"},
		{"1a2.service", unitPath + "_31a2_2eservice"},
		{`a-b@c\x2dd.service`, unitPath + `a_2db_40c_5cx2dd_2eservice`},
	} {
		t.Run(tt.unit, func(t *testing.T) {
			if got := Escape(tt.unit); got != tt.want {
				t.Errorf("Escape: %s, want %s", got, tt.want)
			}
			if back, ok := unescape(nil, []byte(tt.want)); !ok || string(back) != tt.unit {
				t.Errorf("unescape: %s (%v), want %s", back, ok, tt.unit)
			}
		})
	}
	for _, path := range []string{
		"", unitPath, unitPath + "a_2", unitPath + "a_zz", "/org/freedesktop/systemd1/job/1",
		unitPath + "a_62", unitPath + "a_2Eservice", // systemd writes otherwise
	} {
		if unit, ok := unescape(nil, []byte(path)); ok {
			t.Errorf("unescape of %q: %q, want none", path, unit)
		}
	}
}

// Few units, and what shuts the machine down, have a rule each, many and globs one
// for all.
func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  *Set
		want int
	}{
		{"two units", New([]string{"a.service", "b.service"}), 4},
		{"a unit and its own name", New([]string{"sshd.service"}).Aliased("sshd.service", "ssh.service"), 4},
		{"a glob", New([]string{"a.service", "b-*.service"}), 2},
		{"many", New(nil).With(many()...), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.set.Rules(); len(got) != tt.want {
				t.Errorf("%d rules, want %d: %q", len(got), tt.want, got)
			}
		})
	}
}

func many() (units []string) {
	for i := range pathRules + 1 {
		units = append(units, string(rune('a'+i%26))+string(rune('a'+i/26))+".service")
	}
	return units
}
