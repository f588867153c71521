package ask

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"service-monitor/cmd/internal/config"
	"service-monitor/cmd/internal/tell"
	"service-monitor/stages/chronicle"
	"service-monitor/stages/chronicle/store"
)

// A monitor that does not answer is not taken for one that does not run, even by those who cannot see whether
// something holds the history.
func TestSilent(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		held    bool
		stopped bool
		trouble string
	}{
		{"no socket", fs.ErrNotExist, false, true, ""},
		{"nobody listens", syscall.ECONNREFUSED, false, true, ""},
		{"nobody listens any more", syscall.ECONNREFUSED, true, false, "it does not answer on"},
		{"it hangs", context.DeadlineExceeded, true, false, "it does not answer on"},
		{"it hangs, and nobody may see the lock", context.DeadlineExceeded, false, false, "it does not answer on"},
		{"no rights", fmt.Errorf("dial: %w", fs.ErrPermission), true, false, "member of the group service-monitor"},
		{"it ends in the middle", errCut, false, false, "it has told only a part"},
		{"another monitor listens there", nil, false, false, ""},
		{"another monitor listens there, and this one runs", nil, true, false, "it does not answer on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config.Config{}
			c.State.File = t.TempDir() + "/state.json"
			s, _, err := store.Open(chronicle.Beside(c.State.File), store.Smallest, func(*store.Record) {})
			if err != nil {
				t.Fatal(err)
			}
			if tt.held {
				defer s.Close()
			} else {
				s.Close()
			}
			st := &tell.Status{AsOf: time.Unix(1, 0)}
			Silent(st, c, tt.err)
			if got := strings.Join(st.Troubles, "\n"); !strings.Contains(got, tt.trouble) || (got == "") != (tt.trouble == "") {
				t.Errorf("troubles %q, want %q", got, tt.trouble)
			}
			if !st.Stopped.IsZero() != tt.stopped {
				t.Errorf("stopped %v", st.Stopped)
			}
		})
	}
}

// Without a history, the counts of the state file are all that there is.
func TestNoHistory(t *testing.T) {
	path := t.TempDir() + "/state.json"
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Saved(path, func(string) bool { return true }, time.Now()); err != nil || s.Behind {
		t.Errorf("%+v, %v", s, err)
	}
}

// A history that cannot be read takes nothing from the status but what is in it.
func TestUnread(t *testing.T) {
	path := t.TempDir() + "/state.json"
	for name, text := range map[string]string{path: `{"a.service": {"last_state": "active", "crashes": 3}}`, chronicle.Beside(path): "not a directory"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Saved(path, func(string) bool { return true }, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Units) != 1 || len(s.Troubles) != 1 || !strings.HasPrefix(s.Troubles[0], "cannot read the history: ") || !s.Behind {
		t.Errorf("%+v", s)
	}
}
