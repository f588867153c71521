package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/cli"
	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
	"service-monitor/stages/zone"
)

// These errors say what to do if there is nothing to show.
var (
	errNoHistory = errors.New("start the monitor (systemctl start service-monitor), or name its state file with --persistence-file")
	errRights    = errors.New("ask as root, or as a member of the group service-monitor (usermod -aG service-monitor USER, then log in again)")
)

// showHistory shows what the chronicle has.
func showHistory(l cli.Line, stdout io.Writer) error {
	loaded, err := l.Load()
	if err != nil {
		return err
	}
	q, err := query(l)
	if err != nil {
		return err
	}
	c := loaded.Config
	r := &historyReader{dir: chronicle.Beside(c.State.File), q: q, asJSON: l.Ask.JSON, stdout: stdout, h: tell.NewHistory(q), others: map[string]bool{}}
	read := r.read
	if l.Ask.Follow {
		read = func() error { return followHistory(r, c) }
	}
	err = asOwner(read, c.State.File)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("cannot read the history: %w; %w", err, errRights)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no history in %s; %w", config.Show(r.dir), errNoHistory)
	case unopened(err):
		return fmt.Errorf("cannot read the history: %w; %w", err, errNoHistory)
	case err != nil || l.Ask.Follow:
		return err
	case !r.found && len(l.Args) > 0:
		return ask.NoSuch{Words: fmt.Errorf("the history has nothing of %s; %s", config.Show(l.Args[0]), ask.Meant(l.Args[0], slices.Sorted(maps.Keys(r.others))))}
	case l.Ask.JSON:
		return nil
	}
	return page(stdout, l.Ask.NoPager, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		if !r.h.Write(b, screen(stdout)) {
			fmt.Fprintln(b, "nothing happened that the history has")
		}
		return b.Flush()
	})
}

// query returns which part of the history is wanted.
func query(l cli.Line) (q tell.Query, err error) {
	now := zone.Local(time.Now())
	for _, limit := range []struct {
		flag, text string
		into       *time.Time
	}{{cli.Since, l.Ask.Since, &q.Since}, {cli.Until, l.Ask.Until, &q.Until}} {
		if limit.text == "" {
			continue
		}
		if *limit.into, err = tell.When(limit.text, now); err != nil {
			return q, config.Misuse("--%s %s", limit.flag, err)
		}
	}
	q.Wanted = l.Wants
	q.Crashes, q.Last, q.All = l.Ask.Crashes, l.Ask.Lines, l.Ask.All
	switch {
	case l.Ask.Follow && l.Ask.Until != "":
		return q, config.Misuse("--%s and --%s exclude each other; give one of them", cli.Follow, cli.Until)
	case l.Ask.Follow && q.Last == 0 && l.Ask.Since == "":
		q.Last = 10 // as journalctl(1) does
	}
	return q, nil
}

// A historyReader reads the chronicle, each record once.
type historyReader struct {
	dir    string
	q      tell.Query
	asJSON bool
	stdout io.Writer
	h      *tell.History // what was read, if it is not to be shown as JSON
	seq    uint64        // of the last record that was read
	found  bool          // there is a record of a unit that is wanted
	others map[string]bool
}

// read reads what is new. JSON is written at once, unless only the last lines are wanted.
func (r *historyReader) read() error {
	var failed error
	last := lastLines{most: r.q.Last}
	out := r.stdout
	if r.q.Last > 0 {
		out = &last
	}
	first := r.seq == 0
	damages, err := store.ReadAfter(r.dir, r.seq, func(rec *store.Record) bool {
		r.seq = rec.Seq
		r.note(rec.Unit)
		switch {
		case !r.asJSON:
			r.h.Add(rec)
		case (rec.Unit == "" || r.q.Wanted(rec.Unit)) && r.q.Within(rec) && (!r.q.Crashes || rec.Delta.Crashes > 0):
			if r.q.Crashes {
				rec.Delta = store.Counts{Crashes: rec.Delta.Crashes}
			}
			failed = tell.WriteJSON(out, rec)
		}
		return failed == nil
	})
	for _, d := range damages {
		if first { // later reads would say the same
			fmt.Fprintf(os.Stderr, "service-monitor: some records are missing: %s\n", d)
		}
	}
	if failed == nil && len(last.lines) > 0 {
		_, failed = r.stdout.Write(bytes.Join(last.lines, nil))
	}
	return errors.Join(err, failed)
}

// note notes that there is a record of a unit.
func (r *historyReader) note(unit string) {
	switch {
	case unit == "" || r.found:
	case r.q.Wanted(unit):
		r.found = true
	default:
		r.others[unit] = true
	}
}

// lastLines keeps the last lines. Each Write is a line.
type lastLines struct {
	most  int
	lines [][]byte
}

func (l *lastLines) Write(line []byte) (int, error) {
	if l.lines = append(l.lines, bytes.Clone(line)); len(l.lines) > l.most {
		l.lines = l.lines[1:]
	}
	return len(line), nil
}

// screen returns what the output can show.
func screen(stdout io.Writer) tell.Screen {
	s := tell.Screen{Width: 80, Long: true, Zone: zone.Location(), ASCII: !utf8Locale()}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.Width, s.Long = n, false
	}
	if f, ok := stdout.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			s.Width, s.Height, s.Long = int(size.Col), int(size.Row), false
		}
	}
	return s
}

// terminal reports whether a file is a terminal.
func terminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// utf8Locale reports whether the locale has UTF-8 (locale(7)).
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			value = strings.ToLower(strings.ReplaceAll(value, "-", ""))
			return strings.Contains(value, "utf8")
		}
	}
	return false
}

// page calls write, and shows the text in a pager if standard output is a terminal, as
// journalctl(1) does.
func page(stdout io.Writer, never bool, write func(io.Writer) error) error {
	f, ok := stdout.(*os.File)
	if !ok || never {
		return write(stdout)
	}
	if !terminal(f) {
		return write(stdout)
	}
	pager, less := os.LookupEnv("SYSTEMD_PAGER")
	if !less {
		pager = os.Getenv("PAGER")
	}
	if pager == "" && !less {
		pager = "less"
	}
	argv := strings.Fields(pager)
	if len(argv) == 0 || argv[0] == "cat" {
		return write(stdout)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = f, os.Stderr
	cmd.Env = append(os.Environ(), "LESS=FRSXMK", "LESSCHARSET=utf-8")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil { // there is no such pager
		return write(stdout)
	}
	err = write(in)
	in.Close()
	if wait := cmd.Wait(); err == nil {
		err = wait
	}
	if errors.Is(err, unix.EPIPE) { // the reader has seen enough
		return nil
	}
	return err
}
