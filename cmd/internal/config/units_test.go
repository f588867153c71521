package config

import (
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

func TestCheckUnits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries []string
		want    string // empty: accepted
	}{
		{"plain", []string{"mosquitto.service", "edger.connecteddev.service", "Node-Configuration.service"}, ""},
		{"every kind of character", []string{`aZ09:-_.\x2d@b@c.service`}, ""},
		{"instance", []string{"foo@bar.service"}, ""},
		{"globs", []string{"*.service", "wirepas-sink-*.service", "foo@*.service", "tty[0-9^].service", "tty[^a]?.service"}, ""},
		{"glob and a name that it matches", []string{"a*.service", "ab.service"}, ""},
		{"longest", []string{strings.Repeat("a", 247) + ".service"}, ""},
		{"too long", []string{strings.Repeat("a", 248) + ".service"}, `"` + strings.Repeat("a", 80) + `…" is 256 characters long; a unit name has at most 255`},
		{"empty", []string{""}, `"" is empty; name a unit such as "mosquitto.service"`},
		{"no suffix", []string{"mosquitto"}, `"mosquitto" does not end in .service; did you mean "mosquitto.service"?`},
		{"no suffix but a dot", []string{"edger.endries"}, `"edger.endries" does not end in .service; did you mean "edger.endries.service"?`},
		{"suffix in capitals", []string{"mosquitto.Service"}, `"mosquitto.Service" does not end in .service; did you mean "mosquitto.service"?`},
		{"other type", []string{"ssh.socket"}, `"ssh.socket" is not a service; name units that end in .service`},
		{"no name", []string{".service"}, `".service" has no name before .`},
		{"no prefix", []string{"@a.service"}, `"@a.service" has no name before @`},
		{"template", []string{"foo@.service"}, `"foo@.service" is a template, of which only instances run; did you mean "foo@*.service"?`},
		{"template without suffix", []string{"foo@"}, `"foo@" does not end in .service; did you mean "foo@*.service"?`},
		{"instance with a path", []string{"gpsd@/dev/ttyS1.service"}, `"gpsd@/dev/ttyS1.service" has the character '/', which no unit name has; did you mean "gpsd@-dev-ttyS1.service"?`},
		{"instance with a path and no suffix", []string{"gpsd@/dev/ttyS1"}, `"gpsd@/dev/ttyS1" has the character '/', which no unit name has; did you mean "gpsd@-dev-ttyS1.service"?`},
		{"instance with a path and dashes", []string{"gpsd@/dev/serial/by-id/x.service"}, `"gpsd@/dev/serial/by-id/x.service" has the character '/', which no unit name has; did you mean "gpsd@-dev-serial-by\\x2did-x.service"?`},
		{"instance half escaped", []string{`gpsd@/dev/by\x2did.service`}, `"gpsd@/dev/by\\x2did.service" has the character '/', which no unit name has; did you mean "gpsd@-dev-by\\x2did.service"?`},
		{"instance with a space", []string{"vpn@my client.service"}, `"vpn@my client.service" has the character ' ', which no unit name has; did you mean "vpn@my\\x20client.service"?`},
		{"instance with an umlaut", []string{"vpn@büro.service"}, `"vpn@büro.service" has the character 'ü', which no unit name has; did you mean "vpn@b\\xc3\\xbcro.service"?`},
		{"instance with a dash and no suffix", []string{"vpn@my-client"}, `"vpn@my-client" does not end in .service; did you mean "vpn@my-client.service"?`},
		{"instances of paths", []string{"gpsd@/dev/tty[!S]*.service"}, `"gpsd@/dev/tty[!S]*.service" has the character '/', which no unit name has; did you mean "gpsd@-dev-tty[^S]*.service"?`},
		{"instances of escaped paths", []string{"gpsd@/dev/by-id/*.service"}, `"gpsd@/dev/by-id/*.service" has the character '/', which no unit name has; did you mean "gpsd@-dev-by?x2did-*.service"?`},
		{"path of an instance", []string{"/etc/systemd/system/gpsd@ttyS1.service"}, `"/etc/systemd/system/gpsd@ttyS1.service" has the character '/', which no unit name has; did you mean "gpsd@ttyS1.service"?`},
		{"two in one, an instance", []string{"vpn@a.service b.service"}, `"vpn@a.service b.service" has the character ' ', which no unit name has; make each unit an entry of its own`},
		{"path", []string{"/etc/systemd/system/a.service"}, `"/etc/systemd/system/a.service" has the character '/', which no unit name has; did you mean "a.service"?`},
		{"space around", []string{"a.service "}, `"a.service " has the character ' ', which no unit name has; did you mean "a.service"?`},
		{"two in one", []string{"a.service b.service"}, `"a.service b.service" has the character ' ', which no unit name has; make each unit an entry of its own`},
		{"line break", []string{"a\n.service"}, `"a\n.service" has the character '\n', which no unit name has`},
		{"NUL", []string{"a\x00.service"}, `"a\x00.service" has the character '\x00', which no unit name has`},
		{"not ASCII", []string{"café.service"}, `"café.service" has the character 'é', which no unit name has`},
		{"not UTF-8", []string{"a\xff.service"}, `"a\xff.service" has the character '�', which no unit name has`},
		{"bracket in a name", []string{"a].service"}, `"a].service" has the character ']', which no unit name has`},
		{"glob of all types", []string{"wirepas-*"}, `"wirepas-*" does not end in .service; did you mean "wirepas-*.service"?`},
		{"glob of templates", []string{"*@.service"}, `"*@.service" is a template, of which only instances run; did you mean "*@*.service"?`},
		{"open bracket", []string{"a[b.service"}, `"a[b.service" is not a well-formed pattern; close each [ with a ], with something in between`},
		{"empty brackets", []string{"a[].service"}, `"a[].service" is not a well-formed pattern; close each [ with a ], with something in between`},
		{"negation of sh", []string{"a[!b].service"}, `"a[!b].service" has the character '!', which no unit name has; did you mean "a[^b].service"?`},
		{"backslash in glob", []string{`a\x2d*.service`}, `"a\\x2d*.service" is a pattern with a backslash, for which ? stands; did you mean "a?x2d*.service"?`},
		{"duplicate", []string{"a.service", "b.service", "a.service"}, `"a.service" is in the list twice; remove one`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := CheckUnits(tt.entries); message(err) != tt.want {
				t.Errorf("message (-want +got):\n-%s\n+%s", tt.want, message(err))
			}
		})
	}
}

func TestDefaultServicesAreValid(t *testing.T) {
	services := Default().Services
	if i, err := CheckUnits(services); err != nil || len(services) != 12 {
		t.Errorf("%d services, entry %d: %v", len(services), i, err)
	}
	services[0] = "changed"
	if Default().Services[0] == "changed" {
		t.Error("callers share the default services")
	}
}

// TestUnitNamesAgainstSystemd compares with systemd, which leaves a valid name as it is.
func TestUnitNamesAgainstSystemd(t *testing.T) {
	escape, err := exec.LookPath("systemd-escape")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err) // make deps installs systemd
		}
		t.Skip("no systemd-escape here")
	}
	for _, name := range []string{
		"a.service", "a@b.service", "a@b@c.service", `a\x2db.service`, "a:b_c-d.service", "..service", "-.service",
		"@a.service", ".service", "a b.service", "a/b.service", "a,b.service", "a].service", "é.service", "a", "a.b",
		"a.Service", strings.Repeat("a", 247) + ".service", strings.Repeat("a", 248) + ".service",
	} {
		out, err := exec.Command(escape, "--mangle", "--", name).Output()
		valid := err == nil && strings.TrimSpace(string(out)) == name
		if fault := unitFault(name); valid != (fault == "") {
			t.Errorf("%q: systemd makes %q of it, we say %q", name, out, fault)
		}
	}
}

// TestEscapeAgainstSystemd wants escape to give the same result as systemd-escape(1).
func TestEscapeAgainstSystemd(t *testing.T) {
	for _, tt := range []struct{ instance, want string }{
		{"/dev/ttyS1", "-dev-ttyS1"},
		{"dev/ttyS1/", "dev-ttyS1-"},
		{"/dev/serial/by-id/usb_0:1.0", `-dev-serial-by\x2did-usb_0:1.0`},
		{"my client", `my\x20client`},
		{".hidden/.file", `\x2ehidden-.file`},
		{"user@host name", `user\x40host\x20name`},
		{"a,b;c+d%e\t~\"'$(x)", `a\x2cb\x3bc\x2bd\x25e\x09\x7e\x22\x27\x24\x28x\x29`},
		{"büro", `b\xc3\xbcro`},
	} {
		if got := escape(tt.instance); got != tt.want {
			t.Errorf("escape(%q) = %q, want %q", tt.instance, got, tt.want)
		}
		tool, err := exec.LookPath("systemd-escape")
		if err != nil {
			continue // the wanted are what it said
		}
		if out, err := exec.Command(tool, "--", tt.instance).Output(); err != nil || strings.TrimSuffix(string(out), "\n") != tt.want {
			t.Errorf("systemd-escape makes %q of %q (%v), want %q", out, tt.instance, err, tt.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"monitored_services", "log_file", "persistence_file", "debug", "save-quiet"}
	for _, tt := range []struct{ word, want string }{
		{"monitord_services", "monitored_services"},
		{"Monitored-Services", "monitored_services"},
		{"services", "monitored_services"},
		{"logfile", "log_file"},
		{"log", "log_file"},
		{"DEBUG", "debug"},
		{"dbug", "debug"},
		{"save_quite", "save-quiet"},
		{"persistance_file", "persistence_file"},
		{"colour", ""},
		{"", ""},
		{"x", ""},
	} {
		if got := Nearest(tt.word, known); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"debug", "debug", 0}, {"bug", "debug", 1},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// FuzzUnit wants every accepted entry to be usable for matching, and every proposed entry to be
// accepted.
func FuzzUnit(f *testing.F) {
	for _, seed := range []string{"mosquitto", "a@.service", `a\x2d*`, "[!a]*", "a[.service", " a b ", "x.Service"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		err := checkUnit(entry)
		if err == nil {
			if _, err := path.Match(entry, "a.service"); err != nil || !strings.HasSuffix(entry, ".service") {
				t.Fatalf("%q is accepted: %v", entry, err)
			}
			return
		}
		if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
			t.Errorf("not one printable line: %q", err)
		}
		if better := repair(entry); repair(better) != better && unitFault(better) == "" {
			t.Errorf("%q is proposed for %q, and %q for that", better, entry, repair(better))
		}
	})
}

func TestUnitTypesAreSorted(t *testing.T) {
	if !slices.IsSortedFunc(unitTypes, strings.Compare) {
		t.Error("unitTypes are not in order")
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
