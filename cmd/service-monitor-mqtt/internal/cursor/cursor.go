package cursor

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"service-monitor/stages/files"
)

const (
	name = "cursor"    // of the file in the durable place
	held = "publisher" // the lock has its name from this, see files.Hold
)

// ErrHeld is returned by Open if another process has the cursor open.
var ErrHeld = errors.New("another service-monitor-mqtt uses it")

// A File is a cursor that is open. Only one process may have it open. One goroutine may call Moved while
// another is in Save, because Save blocks for as long as the disk does.
type File struct {
	lock  *files.Lock
	notes []error

	saving  sync.Mutex // held during Save
	durable durable

	mu         sync.Mutex // guards what follows
	id         string
	generation uint64
	saved      int64 // see content.Saved
	at         Position
	pace       pace
	volatile   *volatile
	failing    bool // the volatile place cannot be written, and that was said
}

// Become gives up root's rights for those of the user to whom a directory with a cursor belongs, see files.Become.
func Become(dir string) error {
	if _, err := files.Become(filepath.Join(dir, name)); err != nil {
		return fmt.Errorf("cannot open cursor: %w", err)
	}
	return nil
}

// Open opens the cursor in a directory, and returns its position. If there is no cursor yet, it is the
// zero Position, and the first save makes the file. volatile is a directory on a tmpfs; it may be empty
// for none, and it need not exist. Notes tells what was wrong with the files.
func Open(dir, volatile string) (*File, Position, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, Position{}, fmt.Errorf("cannot open cursor: %w", err)
	}
	lock, err := files.Hold(filepath.Join(dir, held))
	if errors.Is(err, files.ErrHeld) {
		err = fmt.Errorf("%s: %w", dir, ErrHeld)
	}
	if err != nil {
		return nil, Position{}, fmt.Errorf("cannot open cursor: %w", err)
	}
	f := &File{lock: lock, volatile: newVolatile(volatile, dir)}
	f.durable = durable{path: filepath.Join(dir, name), sync: fdatasync}
	if err := f.load(); err != nil {
		f.release()
		return nil, Position{}, fmt.Errorf("cannot open cursor: %w", err)
	}
	return f, f.at.clone(), nil
}

// load reads both places.
func (f *File) load() error {
	saved, notes, err := f.durable.load()
	if err != nil {
		return err
	}
	f.notes = notes
	moved, err := f.volatile.load()
	if errors.Is(err, ErrNewer) {
		return err
	}
	if err != nil {
		f.notes = append(f.notes, err)
	}
	now := time.Now()
	if saved != nil {
		f.resume(saved, now)
	}
	c := newer(saved, moved)
	if c == nil {
		c = &content{ID: newID()}
	}
	if saved == nil && len(notes) == 0 && c.Saved != 0 {
		f.notes = append(f.notes, fmt.Errorf("%s is gone; going on from %s", f.durable.path, f.volatile.path))
	}
	f.id, f.generation, f.at = c.ID, c.Generation, c.position()
	if c.Generation > 0 && (c != saved || f.durable.file == nil) {
		f.pace.changed(now)
	}
	return nil
}

// resume goes on at the pace of the process before.
func (f *File) resume(saved *content, now time.Time) {
	line, err := encode(saved)
	if f.saved = saved.Saved; err == nil {
		f.pace.resume(now, time.Unix(saved.Saved, 0), blocks(len(line))+perSave, f.durable.slot)
	}
}

// newer returns from which of the two to go on; nil if there is none.
//
// Both are true: the broker has acknowledged everything up to there. So the one with the higher
// generation wins, because that leaves less to publish again. Usually this is the volatile one, since
// it is written at each step. It is the durable one if the volatile place could not be written for a
// while.
//
// If an older copy of the durable file was put back, the volatile one wins as well. Whoever wants all
// that to be published again removes both, or boots the machine.
//
// The two are compared only if they have the same ID. A durable file with another ID was put there from
// elsewhere: its generations count the steps of another cursor, and the volatile one knows nothing of
// its broker. If the durable file is gone or damaged, the volatile one is all there is. It was written
// for this directory, so it is taken.
func newer(saved, moved *content) *content {
	switch {
	case moved == nil:
		return saved
	case saved == nil:
		return moved
	case moved.ID == saved.ID && moved.Generation > saved.Generation:
		return moved
	}
	return saved
}

func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Notes returns what was wrong with the files when they were opened, for the log.
func (f *File) Notes() []error { return f.notes }

// Meter has m count the bytes that are written to the durable place.
func (f *File) Meter(m *files.Meter) { f.durable.written = m }
