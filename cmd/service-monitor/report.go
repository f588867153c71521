package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/cli"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/blackbox"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/files"
	"service-monitor/stages/zone"
)

const (
	// largest is how large a file in a report may be.
	largest = 16 << 20
	// patience is how long a command of a report may take.
	patience = 20 * time.Second
)

var errNoReport = errors.New("choose another file with --output")

// makeReport writes an archive with everything that is needed to find a fault.
func makeReport(l cli.Line, stdout io.Writer) error {
	loaded, fault := l.Load()
	now := zone.Local(time.Now())
	name := l.Ask.Output
	if name == "" {
		host, _ := os.Hostname()
		name = fmt.Sprintf("service-monitor-report-%s-%s.tar.gz", host, now.Format("20060102-150405"))
	}
	// This process is about to become another user, who may not write here.
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write the report: %w; %w", err, errNoReport)
	}
	defer f.Close()
	zip := gzip.NewWriter(f)
	r := &report{out: tar.NewWriter(zip), folder: strings.TrimSuffix(filepath.Base(name), ".tar.gz"), now: now, stdout: stdout, within: patient, silent: map[string]bool{}}
	err = asOwner(func() error { r.gather(loaded, fault, !l.Ask.NoLines); return nil }, loaded.Config.State.File)
	err = errors.Join(err, r.failed, r.out.Close(), zip.Close(), f.Sync())
	if err != nil {
		return fmt.Errorf("cannot write the report %s: %w; %w", config.Show(name), err, errNoReport)
	}
	fmt.Fprintf(stdout, "\nthis is in %s; look through it before you give it away\n", config.Show(name))
	if len(r.denied) > 0 {
		return fmt.Errorf("the report lacks %s, because you may not read that; %w", strings.Join(r.denied, ", "), errRights)
	}
	return nil
}

// A report is an archive that is being written.
type report struct {
	out    *tar.Writer
	folder string
	now    time.Time
	stdout io.Writer
	failed error
	denied []string                                     // what whoever asks may not read
	within func() (context.Context, context.CancelFunc) // ends when a command has taken too long
	silent map[string]bool                              // the commands that have taken too long
}

// gather puts everything into the report. If something cannot be had, the error is in its place.
func (r *report) gather(loaded config.Loaded, fault error, lines bool) {
	c := loaded.Config
	r.text("version", fmt.Sprintf("service-monitor %s\n%v\n", version, build()))
	if fault != nil {
		r.text("config.error", fault.Error()+"\n")
	}
	r.file("config.json", loaded.Source.File)
	r.file("state.json", c.State.File)
	r.file("state.json.previous", c.State.File+".previous")
	if history := chronicle.Beside(c.State.File); !store.Ended(history) {
		r.each("history", history+"/*.v1")
	}
	r.each("log", c.Log.File)
	r.each("log", strings.TrimSuffix(c.Log.File, filepath.Ext(c.Log.File))+"-*"+filepath.Ext(c.Log.File))
	all := func(string) bool { return true }
	s, err := ask.Saved(c.State.File, all, r.now)
	if err != nil {
		r.text("status", err.Error()+"\n")
		s = &tell.Status{}
	} else {
		var b bytes.Buffer
		s.Write(&b, tell.Screen{Width: 120, Long: true, Zone: r.now.Location()})
		r.text("status", b.String())
	}
	r.file("os-release", "/usr/lib/os-release") // the one in /etc is a link to it, and links are not followed
	r.run("uname", "uname", "-a")
	r.run("systemd-version", "systemctl", "--version")
	r.run("unit", "systemctl", "cat", "--no-pager", "service-monitor.service")
	r.run("unit-properties", "systemctl", "show", "--no-pager", "service-monitor.service")
	r.run("manager-properties", "systemctl", "show", "--no-pager")
	r.run("journal", "journalctl", "--no-pager", "-q", "-n", "2000", "-o", "short-precise", "-u", "service-monitor.service")
	for _, u := range s.Units {
		if strings.ContainsAny(u.Unit, "/\n") || !strings.HasSuffix(u.Unit, ".service") {
			continue // no unit has such a name, and the archive would have another path
		}
		r.run("services/"+u.Unit+"/properties", "systemctl", "show", "--no-pager", "--", u.Unit)
		if lines {
			r.file("services/"+u.Unit+"/crashes", filepath.Join(blackbox.Beside(chronicle.Beside(c.State.File)), u.Unit))
		}
		if lines && u.Health(s.AsOf).Attention() {
			r.run("services/"+u.Unit+"/journal", "journalctl", "--no-pager", "-q", "-n", "100", "-o", "short-precise", "-u", u.Unit)
		}
	}
}

// build returns how the program was built.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return info.String()
}

// text adds a file with this text.
func (r *report) text(name, text string) {
	if r.failed != nil {
		return
	}
	fmt.Fprintf(r.stdout, "%9d  %s\n", len(text), name)
	r.failed = r.out.WriteHeader(&tar.Header{Name: r.folder + "/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: r.now})
	if r.failed == nil {
		_, r.failed = io.WriteString(r.out, text)
	}
}

// file adds a file, if it is there.
func (r *report) file(name, path string) {
	text, err := files.Read(path, largest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		if errors.Is(err, fs.ErrPermission) {
			r.denied = append(r.denied, name)
		}
		r.text(name+".error", err.Error()+"\n")
	default:
		r.text(name, string(text))
	}
}

// each adds the files that match a pattern.
func (r *report) each(folder, pattern string) {
	paths, _ := filepath.Glob(pattern)
	for _, path := range paths {
		r.file(folder+"/"+filepath.Base(path), path)
	}
}

// patient lets a command take so long, and no longer.
func patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// run adds what a command prints. If it takes too long, systemd or journald hangs. So the same command is not run
// again: there may be hundreds of services.
func (r *report) run(name string, argv ...string) {
	who := cmp.Or(map[string]string{"systemctl": "systemd", "journalctl": "the journal"}[argv[0]], argv[0])
	if r.silent[argv[0]] {
		r.text(name, who+" did not answer\n")
		return
	}
	ctx, cancel := r.within()
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // for a child that has its output
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && ctx.Err() != nil:
		r.silent[argv[0]] = true
		out = fmt.Appendf(out, "%s: %s did not answer within %v\n", strings.Join(argv, " "), who, patience)
	case err != nil:
		out = fmt.Appendf(out, "%s: %v\n", strings.Join(argv, " "), err)
	}
	r.text(name, string(out))
}
