package pipelinetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A Notifier is a service manager that records each notification with its time.
type Notifier struct {
	watchdog time.Duration
	begun    time.Time

	mu    sync.Mutex
	notes []note
	news  chan struct{} // closed and replaced with each new note
}

// A note is the text of one notification, or "stalled" and the name of a stage.
type note struct {
	at   time.Duration
	text string
}

// NewNotifier returns a notifier that counts its times from now. WATCHDOG_USEC= is watchdog; 0
// means that there is no watchdog.
func NewNotifier(watchdog time.Duration) *Notifier {
	return &Notifier{watchdog: watchdog, begun: time.Now(), news: make(chan struct{})}
}

func (n *Notifier) write(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes = append(n.notes, note{time.Since(n.begun), text})
	close(n.news)
	n.news = make(chan struct{})
}

// Notify records a notification.
func (n *Notifier) Notify(state string) { n.write(state) }

// Stalled records that a stage does not answer.
func (n *Notifier) Stalled(stage string, _ time.Duration) { n.write("stalled " + stage) }

// Watchdog returns WATCHDOG_USEC=.
func (n *Notifier) Watchdog() time.Duration { return n.watchdog }

// Reload returns RELOADING=1, without the time that a real notifier adds.
func (n *Notifier) Reload() string { return "RELOADING=1" }

// read returns the notes, and a channel that is closed when there are more.
func (n *Notifier) read() ([]note, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.notes[:len(n.notes):len(n.notes)], n.news
}

// Lines returns all notifications as lines such as "2s READY=1 STATUS=watching 3 services".
func (n *Notifier) Lines() []string {
	var lines []string
	notes, _ := n.read()
	for _, note := range notes {
		lines = append(lines, fmt.Sprintf("%v %s", note.at, strings.ReplaceAll(note.text, "\n", " ")))
	}
	return lines
}

// Statuses returns each STATUS= with its time, as "2s watching 3 services", and "stalled bus" for a
// stage that did not answer.
func (n *Notifier) Statuses() []string {
	var statuses []string
	notes, _ := n.read()
	for _, note := range notes {
		if _, status, ok := strings.Cut(note.text, "STATUS="); ok {
			statuses = append(statuses, fmt.Sprintf("%v %s", note.at, status))
		} else if strings.HasPrefix(note.text, "stalled ") {
			statuses = append(statuses, note.text)
		}
	}
	return statuses
}

// Ready returns when READY=1 came first, and whether it came.
func (n *Notifier) Ready() (time.Duration, bool) {
	notes, _ := n.read()
	for _, note := range notes {
		if strings.Contains(note.text, "READY=1") {
			return note.at, true
		}
	}
	return 0, false
}

// Await returns when a notification contains text. If there was one already, it returns at once.
func (n *Notifier) Await(text string) {
	for seen := 0; ; {
		notes, news := n.read()
		for ; seen < len(notes); seen++ {
			if strings.Contains(notes[seen].text, text) {
				return
			}
		}
		<-news
	}
}

// Want compares all notifications.
func (n *Notifier) Want(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, n.Lines()); diff != "" {
		t.Errorf("notifications (-want +got):\n%s", diff)
	}
}
