package e2e

import (
	"bytes"
	"strings"
	"testing"

	"service-monitor/test/cases"
	"service-monitor/test/recording"
)

// TestRecordedStates wants the recordings to have the states that only some versions
// of systemd have. Otherwise no test would replay them.
func TestRecordedStates(t *testing.T) {
	tests := []struct {
		name    string // of the case
		version int
		has     []string
		lacks   []string
	}{
		{"restarted after a crash", 247, []string{"failed", "auto-restart", "inactive", "dead"}, []string{"failed-before-auto-restart", "auto-restart-queued"}},
		{"restarted after a crash", 252, []string{"failed", "auto-restart", "inactive", "dead"}, []string{"failed-before-auto-restart", "auto-restart-queued"}},
		{"restarted after a crash", 257, []string{"failed", "failed-before-auto-restart", "auto-restart", "auto-restart-queued"}, nil},
		{"restarted after exit 0", 257, []string{"dead-before-auto-restart", "auto-restart", "auto-restart-queued"}, []string{"failed"}},
		{"restarted directly after a crash", 257, []string{"auto-restart", "auto-restart-queued"}, []string{"failed", "failed-before-auto-restart"}},
		{"restarted directly after exit 0", 257, []string{"auto-restart", "auto-restart-queued"}, []string{"dead-before-auto-restart"}},
	}
	for _, tt := range tests {
		file := recordingOf(tt.version, cases.Case{Name: tt.name})
		t.Run(strings.TrimPrefix(file, recordings+"/"), func(t *testing.T) {
			r, err := recording.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, state := range tt.has {
				if !states(r, state) {
					t.Errorf("it has no %s", state)
				}
			}
			for _, state := range tt.lacks {
				if states(r, state) {
					t.Errorf("it has %s", state)
				}
			}
		})
	}
}

// states tells whether a state is in a recording. A D-Bus string lies between
// the last byte of its length, which is 0 in a short one, and a NUL.
func states(r recording.Recording, state string) bool {
	for _, s := range r.Signals {
		if bytes.Contains(s.Body, []byte("\x00"+state+"\x00")) {
			return true
		}
	}
	return false
}
