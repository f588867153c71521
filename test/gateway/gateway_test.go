package gateway

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestCheckTellsTheRemedy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	want := "apt-get install systemd-container"
	if os.Geteuid() != 0 {
		want = "sudo"
	}
	if err := Check(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestReady(t *testing.T) {
	const leader = "STATUS=Container running.\nX_NSPAWN_LEADER_PID=42"
	tests := []struct {
		name string
		news []string
		want int
		err  bool
	}{
		{"as systemd-nspawn tells it", []string{leader, "STATUS=Container running: starting", "READY=1\n"}, 42, false},
		{"ready first", []string{"READY=1", leader}, 42, false},
		{"in one", []string{leader + "\nREADY=1"}, 42, false},
		{"never ready", []string{leader, "READY=0"}, 42, true},
		{"no leader", []string{"READY=1", "X_NSPAWN_LEADER_PID=x"}, 0, true},
		{"nothing", nil, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				for _, text := range tt.news {
					_, _ = theirs.Write([]byte(text))
				}
				_ = theirs.Close()
			}()
			got, err := ready(ours)
			if got != tt.want || (err != nil) != tt.err {
				t.Errorf("got %d, %v, want %d", got, err, tt.want)
			}
		})
	}
}

func TestPlant(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	err := plant(t.Context(), root, Options{
		Units: map[string]string{`a-b@c\x2dd.service`: "unit"},
		Files: map[string]string{"/etc/deep/file": "file", "../../../etc/escaped": "inside"},
		Users: []string{"someone"},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{`etc/systemd/system/a-b@c\x2dd.service`, "unit"},
		{"etc/systemd/system/systemd-logind.service", ""},
		{"etc/deep/file", "file"},
		{"etc/escaped", "inside"},
		{"etc/sysusers.d/gateway.conf", "u someone -\nm someone systemd-journal\n"},
		{"etc/systemd/journald.conf.d/gateway.conf", journald},
	}
	for _, tt := range tests {
		if got, err := os.ReadFile(filepath.Join(root, tt.path)); err != nil || string(got) != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.path, got, err, tt.want)
		}
	}
	if id, err := os.ReadFile(filepath.Join(root, "etc/machine-id")); err != nil || len(id) != 33 {
		t.Errorf("got machine id %q, %v", id, err)
	}
}

func TestArchitecture(t *testing.T) {
	ours, text, nothing := t.TempDir(), t.TempDir(), t.TempDir()
	for _, root := range []string{ours, text} {
		if err := mkdir(root, "usr/lib/systemd"); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(ours, "usr/lib/systemd/systemd")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(text, "usr/lib/systemd/systemd"), []byte("#!/bin/sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		system string
		want   string
	}{
		{"this host", "", runtime.GOARCH},
		{"as this host", ours, runtime.GOARCH},
		{"no program", text, ""},
		{"no systemd", nothing, ""},
	}
	for _, tt := range tests {
		if got, err := Architecture(tt.system); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestEscape(t *testing.T) {
	if got, want := escape(`/a:b\c`), `/a\:b\\c`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTail(t *testing.T) {
	var console tail
	for range 3 {
		_, _ = console.Write([]byte(strings.Repeat("x", 4000)))
	}
	_, _ = console.Write([]byte("the end\n"))
	if got := console.String(); !strings.HasSuffix(got, "xthe end") || len(got) >= 4096 {
		t.Errorf("got %d bytes", len(got))
	}
}
