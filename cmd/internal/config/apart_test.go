package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two files that are one by a link, and names that are used beside a file, are refused:
// the log would be written into the state, or be replaced by it.
func TestFilesApart(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("here"), nil, 0o644), os.Link(at("here"), at("hard")), os.Symlink("here", at("soft")),
		os.Symlink("not yet", at("early")), os.Mkdir(at("real"), 0o755), os.Symlink("real", at("way")), os.Symlink("real/x", at("inside")),
		os.Symlink("chronicle/s", at("into")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const both, beside = "are both", "has a name that the monitor uses"
	for _, tt := range []struct{ log, state, want string }{
		{"l", "s", ""},
		{"s.log", "s", ""},
		{"s.previously", "s", ""},
		{"s2", "s", ""},
		{"here", "hard", both},
		{"soft", "here", both},
		{"soft", "hard", both},
		{"early", "not yet", both},
		{"way/x", "real/x", both},
		{"inside", "way/x", both},
		{"way/x", "real/y", ""},
		{"s.lock", "s", beside},
		{"s.tmp", "s", beside},
		{"s.previous", "s", beside},
		{"s.previous.tmp", "s", beside},
		{"s.before-removal", "s", beside},
		{"s.before-removal.3", "s", beside},
		{"s.corrupt-20250707", "s", beside},
		{"way/s.previous", "real/s", beside},
		{"l", "l.lock", beside},
	} {
		l := Loaded{Config: Default(), Source: Source{File: at("c.json")}}
		l.Config.Log.File, l.Config.State.File = at(tt.log), at(tt.state)
		err := l.checkFiles()
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("log %s, state %s: %v, want %q", tt.log, tt.state, err, tt.want)
		}
	}
	wantHistoryApart(t, at)
	l := Loaded{Config: Default(), Source: Source{File: at("s.previous")}}
	if l.Config.State.File = at("s"); l.checkFiles() == nil {
		t.Error("the configuration is the generation before the state")
	}
	for feed, want := range map[string]string{"f": "", "way/s": both, "l": both, "c.json": both, "real/s.tmp": beside, "l.lock": beside} {
		l := Loaded{Config: Default(), Source: Source{File: at("c.json")}}
		l.Config.Log.File, l.Config.State.File, l.Config.Feed.Socket = at("l"), at("real/s"), at(feed)
		err := l.checkFiles()
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want)) {
			t.Errorf("feed %s: %v, want %q", feed, err, want)
		}
	}
}

// wantHistoryApart wants no file in the place of the history, which is a directory beside the state file.
func wantHistoryApart(t *testing.T, at func(string) string) {
	t.Helper()
	const fault = "has a name that the monitor uses for its history"
	for _, tt := range []struct{ log, state, feed, file, want string }{
		{"l", "chronicle", "f", "c.json", "persistence file DIR/chronicle " + fault + ", which it keeps in DIR/chronicle;"},
		{"chronicle", "s", "f", "c.json", "log file DIR/chronicle " + fault},
		{"chronicle/l", "s", "f", "c.json", "log file DIR/chronicle/l " + fault},
		{"chronicle/crashes/l", "s", "f", "c.json", "log file DIR/chronicle/crashes/l " + fault},
		{"l", "s", "chronicle/f", "c.json", "feed DIR/chronicle/f " + fault},
		{"l", "s", "f", "chronicle/c.json", "configuration file DIR/chronicle/c.json " + fault},
		{"way/chronicle/l", "real/s", "f", "c.json", "log file DIR/way/chronicle/l " + fault},
		{"real/chronicle", "way/s", "f", "c.json", "log file DIR/real/chronicle " + fault},
		{"l", "into", "f", "c.json", "persistence file DIR/into " + fault},
		{"chronicle", "real/s", "f", "c.json", ""},
		{"chronicles", "s", "f", "c.json", ""},
		{"chronicle.log", "s", "f", "c.json", ""},
		{"chronicle/l", "chronicle/s", "f", "c.json", ""},
	} {
		l := Loaded{Config: Default(), Source: Source{File: at(tt.file)}}
		l.Config.Log.File, l.Config.State.File, l.Config.Feed.Socket = at(tt.log), at(tt.state), at(tt.feed)
		err := l.checkFiles()
		want := strings.ReplaceAll(tt.want, "DIR", at(""))
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", tt, err, want)
		}
	}
}
