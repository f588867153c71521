package persist

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"service-monitor/stages/classify"
	"service-monitor/stages/count"
)

// A File is the state file, a JSON object keyed by unit.
type File struct {
	path string
	lock *os.File
}

// Suffixes of the files beside the state file.
const (
	tempSuffix     = ".tmp"            // the next generation, while it is written
	previousSuffix = ".previous"       // the generation before
	removedSuffix  = ".before-removal" // the last generation with units that are no longer monitored
	corruptSuffix  = ".corrupt-"       // a damaged file, followed by the time it was found
)

// timeFormat is that of last_change_time, in local time.
const timeFormat = "2006-01-02 15:04:05"

// record is a unit in the state file. The first six keys are those of the
// Python monitor, which can load the file; it ignores the others.
type record struct {
	LastState      string            `json:"last_state"`
	LastChangeTime *string           `json:"last_change_time"`
	Starts         uint64            `json:"starts"`
	Stops          uint64            `json:"stops"`
	Crashes        uint64            `json:"crashes"`
	LoggedUnloaded bool              `json:"logged_unloaded"`
	Restarts       uint64            `json:"restarts"`
	Before         int64             `json:"running_when_first_seen"`
	CrashCauses    map[string]uint64 `json:"crash_causes,omitempty"`
	LastCrash      *crashRecord      `json:"last_crash,omitempty"`
	Life           *classify.Life    `json:"life,omitempty"`
}

type crashRecord struct {
	Time time.Time `json:"time"`
	classify.Cause
	Invocation string `json:"invocation"`
}

// Load reads the state file. A file that is not there is an empty state. A
// damaged one is kept aside, and the generation before it is loaded; then
// damage says what happened, for people.
func (f *File) Load() (units map[string]count.Tally, damage error, err error) {
	units, err = load(f.path)
	if err == nil || !errors.As(err, new(*damageError)) {
		return units, nil, err
	}
	aside := f.path + corruptSuffix + time.Now().Format("20060102-150405.000")
	if renameErr := os.Rename(f.path, aside); renameErr != nil {
		return nil, nil, fmt.Errorf("%w; cannot keep it aside: %w", err, renameErr)
	}
	damage = fmt.Errorf("%w; kept as %s", err, aside)
	units, err = load(f.path + previousSuffix)
	if err != nil {
		return map[string]count.Tally{}, fmt.Errorf("%w; the generation before is no use either: %w; counting from zero", damage, err), nil
	}
	return units, fmt.Errorf("%w; continuing from %d services of the generation before", damage, len(units)), nil
}

// damageError is that of a file that can be read but not understood.
type damageError struct{ err error }

func (e *damageError) Error() string { return e.err.Error() }
func (e *damageError) Unwrap() error { return e.err }

func load(path string) (map[string]count.Tally, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]count.Tally{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read state: %w", err)
	}
	units, err := parse(b)
	if err != nil {
		return nil, &damageError{fmt.Errorf("state file %s is damaged: %w", path, err)}
	}
	return units, nil
}

func parse(b []byte) (map[string]count.Tally, error) {
	var records map[string]*record
	if err := json.Unmarshal(b, &records); err != nil {
		return nil, err
	}
	if records == nil {
		return nil, errors.New("null, not an object")
	}
	units := make(map[string]count.Tally, len(records))
	for unit, r := range records {
		if r == nil {
			return nil, fmt.Errorf("%q: null, not an object", unit)
		}
		tally, err := r.tally(unit)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", unit, err)
		}
		units[unit] = tally
	}
	return units, nil
}

func (r *record) tally(unit string) (count.Tally, error) {
	t := count.Tally{
		Unit: unit, State: r.LastState, Told: r.LoggedUnloaded,
		Starts: r.Starts, Stops: r.Stops, Crashes: r.Crashes, Restarts: r.Restarts, Before: r.Before,
	}
	if r.LastChangeTime != nil && *r.LastChangeTime != "" {
		changed, err := time.ParseInLocation(timeFormat, *r.LastChangeTime, time.Local)
		if err != nil {
			return t, fmt.Errorf("last_change_time: %w", err)
		}
		t.Changed = changed
	}
	for result, crashes := range r.CrashCauses {
		t.Causes = append(t.Causes, count.CauseCount{Result: result, Crashes: crashes})
	}
	if r.LastCrash != nil {
		t.LastCrash = count.Crash{Time: r.LastCrash.Time, Cause: r.LastCrash.Cause, Invocation: r.LastCrash.Invocation}
	}
	if r.Life != nil {
		t.Life = *r.Life
	}
	return t, nil
}

func newRecord(t count.Tally) record {
	r := record{
		LastState: t.State, LastChangeTime: new(string), LoggedUnloaded: t.Told,
		Starts: t.Starts, Stops: t.Stops, Crashes: t.Crashes, Restarts: t.Restarts, Before: t.Before,
	}
	if !t.Changed.IsZero() {
		*r.LastChangeTime = t.Changed.Local().Format(timeFormat)
	}
	for _, c := range t.Causes {
		if r.CrashCauses == nil {
			r.CrashCauses = make(map[string]uint64)
		}
		r.CrashCauses[c.Result] = c.Crashes
	}
	if !t.LastCrash.Time.IsZero() {
		r.LastCrash = &crashRecord{t.LastCrash.Time, t.LastCrash.Cause, t.LastCrash.Invocation}
	}
	if t.Life.Known() {
		r.Life = &t.Life
	}
	return r
}

// Save makes units the content of the state file, so that after a crash or a
// power cut at any moment either the old or the new content is there, complete.
func (f *File) Save(units map[string]count.Tally) error {
	records := make(map[string]record, len(units))
	for unit, t := range units {
		records[unit] = newRecord(t)
	}
	b, err := json.MarshalIndent(records, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot save state: %w", err)
	}
	if err := f.replace(append(b, '\n')); err != nil {
		return fmt.Errorf("cannot save state: %w", err)
	}
	return nil
}

func (f *File) replace(b []byte) error {
	old, err := os.ReadFile(f.path)
	if err == nil && bytes.Equal(old, b) {
		return nil // flash wears
	}
	temp := f.path + tempSuffix
	if err := write(temp, b); err != nil {
		return err
	}
	f.keep(previousSuffix)
	if err := os.Rename(temp, f.path); err != nil {
		return err
	}
	// Without this the rename may not survive a power cut: measured, 29 of 120.
	return syncDir(filepath.Dir(f.path))
}

// keep gives the present generation a second name. A file system without hard
// links keeps none: the state file itself is what must be safe.
func (f *File) keep(suffix string) {
	os.Remove(f.path + suffix)
	os.Link(f.path, f.path+suffix)
}

func write(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// ErrHeld is returned by Hold where another monitor holds the file.
var ErrHeld = errors.New("another monitor holds it")

// Hold takes path for this process, with a lock file beside it. The lock ends
// with the process; the lock file stays, because removing it would race.
func Hold(path string) (*os.File, error) {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lock, nil
}

// Open takes the state file at path, which need not be there yet.
func Open(path string) (*File, error) {
	lock, err := Hold(path)
	if err != nil {
		return nil, err
	}
	return &File{path, lock}, nil
}

// Close lets another monitor have the file.
func (f *File) Close() error { return f.lock.Close() }

// Remove removes the state file and what Save keeps beside it. Damaged files
// that were kept aside stay: they are somebody's to look at.
func (f *File) Remove() error {
	var errs []error
	for _, suffix := range []string{"", tempSuffix, previousSuffix, removedSuffix} {
		if err := os.Remove(f.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// KeepRemoved keeps a copy of the state file from before units are removed.
func (f *File) KeepRemoved() { f.keep(removedSuffix) }
