package feed

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// A listener waits for a monitor that is not there yet, and for the next one when the monitor has
// ended. It is told each time that it begins to wait.
func TestFollow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "monitor") // as the unit makes and removes it
	socket := filepath.Join(dir, "feed")
	ctx, cancel := context.WithCancel(t.Context())
	away, complete, ended := make(chan error), make(chan bool), make(chan error, 1)
	go func() {
		ended <- Follow(ctx, socket, func(m Message) bool {
			if m.Complete {
				complete <- true
			}
			return true
		}, func(reason error) error { away <- reason; return nil })
	}()
	for range 3 {
		if reason := <-away; !errors.Is(reason, fs.ErrNotExist) {
			t.Error(reason)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		b := start(t, socket)
		<-complete
		b.stop()
		if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
			t.Fatal(err)
		}
	}
	<-away
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A listener for which there is no room gets an error. It does not try for ever.
func TestFull(t *testing.T) {
	b := start(t, filepath.Join(t.TempDir(), "feed"))
	for range most {
		b.dial()
	}
	never := func(Message) bool { t.Error("a message"); return true }
	if err := Follow(t.Context(), b.socket, never, func(reason error) error { return reason }); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

// If the stream ends within a line, that part is no message and no error. Whatever is no feed is an
// error.
func TestPartOfALine(t *testing.T) {
	for text, bad := range map[string]bool{"{\"complete\":true}\n{\"eve": false, "220 smtp\n": true} {
		here, there := net.Pipe()
		go func() {
			_, _ = io.WriteString(there, text)
			there.Close()
		}()
		messages := 0
		err := hear(t.Context(), here, func(Message) bool { messages++; return true })
		if (err != nil) != bad || !bad && messages != 1 {
			t.Errorf("%q: %d messages, %v", text, messages, err)
		}
	}
}
