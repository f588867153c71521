//go:build booted

package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"service-monitor/test/gateway"
	"service-monitor/test/gateway/gatewaytest"
)

// fakeSystemctl prints what systemctl prints for three services, a template and an instance, if it
// is called in the same way.
const fakeSystemctl = `#!/bin/sh
case "$*" in
*list-units*) echo 'a.service loaded active running The first'
	echo 'b:2.service not-found inactive dead b:2.service'
	echo 'inst@x.service loaded failed failed An instance' ;;
*list-unit-files*) echo 'a.service enabled enabled'
	echo 'inst@.service static -'
	echo 'esc\x2dape.service disabled enabled' ;;
esac
`

// TestCompletion presses tab in bash and in zsh.
func TestCompletion(t *testing.T) {
	files := t.TempDir()
	write(t, filepath.Join(files, "one file.json"), "{}")
	with, without := t.TempDir(), t.TempDir()
	for _, command := range []string{"sort", "stty"} {
		path, err := exec.LookPath(command)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{with, without} {
			if err := os.Symlink(path, filepath.Join(dir, command)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(t, filepath.Join(with, "systemctl"), fakeSystemctl)
	broken := t.TempDir()
	write(t, filepath.Join(broken, "systemctl"), "#!/bin/sh\necho 'System has not been booted with systemd' >&2\nexit 1\n")

	units := []string{"a.service", `b:2.service`, `esc\x2dape.service`, "inst@x.service"}
	for name, start := range map[string]func(*testing.T, string) *shell{"bash": startBash, "zsh": startZsh} {
		t.Run(name, func(t *testing.T) {
			s := start(t, with)
			for _, tt := range []struct{ keys, want string }{
				{"service-monitor --check-s" + tab, "service-monitor --check-state"},
				{"service-monitor --deb" + tab, "service-monitor --debug"},
				{"service-monitor --debug -l x --pers" + tab, "service-monitor --debug -l x --persistence-file"},
				{"service-monitor --log-file " + files + "/on" + tab, "service-monitor --log-file " + files + `/one\ file.json`},
				{"service-monitor --log-file=" + files + "/on" + tab, "service-monitor --log-file=" + files + `/one\ file.json`},
				{"service-monitor -p " + files + "/on" + tab, "service-monitor -p " + files + `/one\ file.json`},
				{"service-monitor -l " + files + "/on" + tab, "service-monitor -l " + files + `/one\ file.json`},
				{"service-monitor --config " + files + "/on" + tab, "service-monitor --config " + files + `/one\ file.json`},
				{"service-monitor --check-state " + files + "/on" + tab, "service-monitor --check-state " + files + `/one\ file.json`},
				{"service-monitor --services a" + tab, "service-monitor --services a.service"},
				{"service-monitor --services=a" + tab, "service-monitor --services=a.service"},
				{"service-monitor --services a.service in" + tab, "service-monitor --services a.service inst@x.service"},
				{"service-monitor --services a.service --debug in" + tab, "service-monitor --services a.service --debug inst@x.service"},
				{"service-monitor --services a.service,in" + tab, "service-monitor --services a.service,inst@x.service"},
				{"service-monitor --services a.service --vers" + tab, "service-monitor --services a.service --version"},
				{"service-monitor --services esc" + tab, `service-monitor --services esc\\x2dape.service`},
				{`service-monitor --services esc\\x2da` + tab, `service-monitor --services esc\\x2dape.service`},
				{`service-monitor --services "esc\\x2da` + tab, `service-monitor --services "esc\\x2dape.service"`},
				{`service-monitor --services 'esc\x2da` + tab, `service-monitor --services 'esc\x2dape.service'`},
				{"service-monitor --services a.service,b.service,in" + tab, "service-monitor --services a.service,b.service,inst@x.service"},
				{"service-monitor --rest" + tab, "service-monitor --restore-counts"},
				{"service-monitor --restore-counts a" + tab, "service-monitor --restore-counts a.service"},
				{"service-monitor --restore-counts a.service -p x in" + tab, "service-monitor --restore-counts a.service -p x inst@x.service"},
				{"service-monitor --services b:" + tab, "service-monitor --services b:2.service"},
				{"service-monitor a" + tab, "service-monitor a"}, // units are completed only after --services
				{"service-monitor check-c" + tab, "service-monitor check-config"},
				{"service-monitor cl" + tab, "service-monitor clear"},
				{"service-monitor help ver" + tab, "service-monitor help version"},
				{"service-monitor clear --lo" + tab, "service-monitor clear --log-file"},
				{"service-monitor clear --serv" + tab, "service-monitor clear --serv"}, // the command has no such flag
				{"service-monitor clear -l " + files + "/on" + tab, "service-monitor clear -l " + files + `/one\ file.json`},
				{"service-monitor check-state " + files + "/on" + tab, "service-monitor check-state " + files + `/one\ file.json`},
				{"service-monitor check-config --services a.service in" + tab, "service-monitor check-config --services a.service inst@x.service"},
				{"service-monitor restore-counts a" + tab, "service-monitor restore-counts a.service"},
				{"service-monitor restore-counts a.service -p x in" + tab, "service-monitor restore-counts a.service -p x inst@x.service"},
				{"service-monitor --services z" + tab, "service-monitor --services z"},
				{"service-monitor-web --li" + tab, "service-monitor-web --listen"},
				{"service-monitor-web met" + tab, "service-monitor-web metrics"},
				{"service-monitor-web metrics --outp" + tab, "service-monitor-web metrics --output"},
				{"service-monitor-web metrics --output " + files + "/on" + tab, "service-monitor-web metrics --output " + files + `/one\ file.json`},
				{"service-monitor-web --config=" + files + "/on" + tab, "service-monitor-web --config=" + files + `/one\ file.json`},
				{"service-monitor-web metrics --li" + tab, "service-monitor-web metrics --li"}, // the command has no such flag
				{"service-monitor-mqtt cle" + tab, "service-monitor-mqtt clear"},
				{"service-monitor-mqtt --cur" + tab, "service-monitor-mqtt --cursor"},
				{"service-monitor-mqtt check --config " + files + "/on" + tab, "service-monitor-mqtt check --config " + files + `/one\ file.json`},
				{"service-monitor-mqtt clear --che" + tab, "service-monitor-mqtt clear --che"}, // the command has no such flag
			} {
				got := strings.TrimRight(strings.ReplaceAll(s.press(tt.keys), `b\:2`, "b:2"), " =")
				if got != tt.want {
					t.Errorf("%q\n got %q\nwant %q", tt.keys, got, tt.want)
				}
			}

			each(t, func(t *testing.T, p *program) { testOffered(t, s, p) })
			names := strings.Fields(strings.ReplaceAll(s.press("service-monitor --services "+all), `\\`, `\`))[2:]
			for i, name := range names {
				names[i] = strings.ReplaceAll(name, `\:`, ":")
			}
			if slices.Sort(names); !slices.Equal(names, units) {
				t.Errorf("services: got %q, want %q", names, units)
			}
		})
		for world, path := range map[string]string{"no systemctl": without, "no systemd": broken + ":" + without} {
			t.Run(name+" with "+world, func(t *testing.T) {
				s := start(t, path)
				if got, want := s.press("service-monitor --services a"+tab), "service-monitor --services a"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if screen := s.stop(); strings.Contains(screen, "systemctl") || strings.Contains(screen, "booted") {
					t.Errorf("it is not quiet: %q", screen)
				}
			})
		}
	}
}

// testOffered wants all flags and all commands of a program to be offered.
func testOffered(t *testing.T, s *shell, p *program) {
	offered := strings.Fields(s.press(p.name + " --" + all))[1:]
	slices.Sort(offered)
	for i, flag := range offered {
		offered[i] = strings.TrimSuffix(flag, "=")
	}
	if want := find(p.flagsOf(t, ""), `(--[a-z-]+) `); !slices.Equal(slices.Compact(offered), want) {
		t.Errorf("flags: got %q, want %q", offered, want)
	}
	commands := strings.Fields(s.press(p.name + " " + all))[1:]
	slices.Sort(commands)
	if want := p.commands(t); !slices.Equal(commands, want) {
		t.Errorf("commands: got %q, want %q", commands, want)
	}
}

// TestCompletionUnits gets the names of services from a real systemctl, as both completions call
// it.
func TestCompletionUnits(t *testing.T) {
	const unit = "[Service]\nExecStart=/bin/sleep infinity\n"
	m := gatewaytest.Boot(t, gateway.Options{
		Units: map[string]string{"runs.service": unit, "file-only.service": unit, `esc\x2dape@.service`: unit, "fails.service": "[Service]\nExecStart=/bin/false\n"},
		Files: map[string]string{"/opt/completion": read(t, monitor.bash)},
	})
	const script = `complete() { :; }; . /opt/completion
systemctl start runs 'esc\x2dape@1'; systemctl start fails; systemctl daemon-reload
_service_monitor_units`
	out, err := m.Run(t.Context(), "bash", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(out), "\n")
	for _, want := range []string{"runs.service", "file-only.service", `esc\x2dape@1.service`, "fails.service", "dbus.service"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not offered", want)
		}
	}
	for _, name := range got {
		if !strings.HasSuffix(name, ".service") || strings.HasSuffix(name, "@.service") || strings.ContainsAny(name, " \t●*") {
			t.Errorf("%q is offered, which is no service that runs", name)
		}
	}
	call := `systemctl list-[a-z-]+ [a-z= -]+`
	if bash, zsh := find(read(t, monitor.bash), "("+call+")"), find(read(t, monitor.zsh), "("+call+")"); len(bash) != 2 || !slices.Equal(bash, zsh) {
		t.Errorf("bash calls %q, zsh %q", bash, zsh)
	}
}
