package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"service-monitor/stages/count"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile/format"
)

// ErrNewer is returned if a newer version of the monitor wrote the state file.
var ErrNewer = errors.New("a newer version of the monitor wrote it")

type newerError struct {
	path   string
	schema uint64
}

func (e *newerError) Error() string {
	return fmt.Sprintf("state file %s was written by a newer version of the monitor: it has schema %d, this version knows schema %d and would lose what is new; "+
		"install the newer version again, or choose another file with --persistence-file, or remove this one with --clear", e.path, e.schema, format.Schema)
}

func (e *newerError) Is(target error) bool { return target == ErrNewer }

// Read reads a state file without a lock. The findings say what is not as the monitor would
// write it. If the error is ErrDamaged, Read still returns the units that it could read.
func Read(path string) (map[string]*count.Tally, []format.Finding, error) {
	real, err := files.Follow(path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read state: %w", err)
	}
	c, err := readContent(real)
	if err != nil {
		return nil, nil, err
	}
	if c.Broken != nil {
		err = &lostError{path, c.Broken}
	}
	return c.Known(), c.Findings, err
}

// Newer returns ErrNewer where Load would. It takes no lock.
func Newer(path string) error {
	real, err := files.Follow(path)
	if err != nil {
		return nil // whoever opens it says so
	}
	c, err := readContent(real)
	if err == nil && !c.Lost() && len(c.Doubts) == 0 {
		return nil
	}
	if !errors.Is(err, ErrNewer) {
		_, err = readContent(real + previousSuffix)
	}
	if errors.Is(err, ErrNewer) {
		return err
	}
	return nil
}

// Notes are what people must know about a state file that was loaded, one line each.
type Notes []string

func (n Notes) Error() string { return strings.Join(n, "\n") }

// mostNotes is the largest number of lines about single units.
const mostNotes = 20

// Load reads the state file. What it cannot read it takes from the generation before. It
// then keeps the damaged file aside and writes the state file anew. The notes say what
// happened. If no state was ever saved, the state is empty.
func (f *File) Load() (map[string]*count.Tally, Notes, error) {
	units, notes, err := f.load()
	if err == nil && len(units) > 0 {
		f.filled()
	}
	return units, notes, err
}

// Gone reports whether a monitor has saved its state here but Load found nothing of it.
func (f *File) Gone() bool { return f.gone }

func (f *File) load() (map[string]*count.Tally, Notes, error) {
	l := loading{file: f, units: make(map[string]*count.Tally), previous: &format.Content{}}
	var err error
	if l.content, err = readContent(f.path); err != nil && !errors.As(err, new(*lostError)) {
		return nil, nil, err
	}
	l.damage = err
	if err == nil && !l.content.Lost() && len(l.content.Doubts) == 0 {
		return live(l.content.Units), nil, nil
	}
	return l.load()
}

// loading loads a state file that is missing or damaged, or in which some unit is in doubt.
type loading struct {
	file     *File
	content  *format.Content // nil if the file could not be read at all
	damage   error           // why content is nil
	previous *format.Content // the generation before
	units    map[string]*count.Tally
	notes    Notes
	findings []format.Finding
	misnamed bool // a record may be that of a unit which only the generation before has
}

func (l *loading) load() (map[string]*count.Tally, Notes, error) {
	path := l.file.path + previousSuffix
	previous, err := readContent(path)
	switch {
	case errors.Is(err, ErrNewer):
		return nil, nil, err
	case err != nil && !errors.As(err, new(*lostError)):
		return nil, nil, fmt.Errorf("%w; %w", l.why(), err)
	case err == nil:
		l.previous = previous
	case errors.Is(l.damage, fs.ErrNotExist) && errors.Is(err, fs.ErrNotExist):
		return l.units, l.file.stateGone(path), nil
	}
	note, failure := l.keepAside()
	if failure != nil {
		return nil, nil, failure
	}
	taken := l.settle()
	read := ""
	if n := len(l.units) - taken; n > 0 {
		read = "; of it, " + services(n) + " could be read"
	}
	taken += l.add()
	switch {
	case l.whole():
		l.notes = append(l.notes, note)
	case taken > 0:
		l.notes = append(l.notes, fmt.Sprintf("%s%s; continuing from the generation before, %s, with %s", note, read, path, services(taken)))
	case len(l.units) > 0:
		l.notes = append(l.notes, note+read)
	default:
		l.notes = append(l.notes, fmt.Sprintf("%s; %s; counting from zero", note, l.noPrevious(path, err)))
	}
	l.noteUnits()
	if err := l.file.replace(l.units, false); err != nil {
		l.notes = append(l.notes, fmt.Sprintf("cannot write state file %s anew: %v", l.file.path, err))
	}
	return live(l.units), l.notes, nil
}

// stateGone returns a note that the state is gone, unless no state was ever saved here.
func (f *File) stateGone(previous string) Notes {
	if f.gone = !f.blank; !f.gone {
		return nil
	}
	return Notes{fmt.Sprintf("%v: %s, and %s of the generation before; %s shows that a monitor has saved there; counting from zero, and reading the journal "+
		"back as far as it reaches; if there is a copy, stop the monitor and put it back", ErrGone, f.path, previous, f.path+files.LockSuffix)}
}

// whole reports whether the file is a JSON object, so that only single units are damaged.
func (l *loading) whole() bool { return l.content != nil && l.content.Broken == nil }

// why returns what is wrong with the file.
func (l *loading) why() error {
	switch {
	case l.whole():
		return fmt.Errorf("not all of state file %s could be read", l.file.path)
	case l.damage == nil:
		return &lostError{l.file.path, l.content.Broken}
	}
	return l.damage
}

// keepAside keeps the damaged file for people to look at. It returns what is wrong with the
// file and where it is kept.
func (l *loading) keepAside() (note string, err error) {
	return setAside(l.file.path, l.why())
}

// settle takes the units of the file. It returns how many of them come from the generation
// before instead, because their records are in doubt.
func (l *loading) settle() (taken int) {
	if l.content == nil {
		return 0
	}
	for unit, tally := range l.content.Units {
		if l.content.Doubts[unit] == nil {
			l.units[unit] = tally
		}
	}
	l.findings = l.content.Findings
	for _, unit := range slices.Sorted(maps.Keys(l.content.Doubts)) {
		r := l.content.Doubts[unit]
		before := l.certain(unit)
		l.misnamed = l.misnamed || r.Misnamed() && l.previous.Units[unit] == nil
		tally, said := r.Settle(before)
		if tally != nil {
			l.units[unit] = tally
		}
		if tally != nil && tally == before {
			taken++
		}
		l.findings = append(l.findings, said...)
	}
	return taken
}

// certain returns the tally of a unit in the generation before; nil if it has none or that
// is in doubt, too.
func (l *loading) certain(unit string) *count.Tally {
	if l.previous.Doubts[unit] != nil {
		return nil
	}
	return l.previous.Units[unit]
}

// add takes the units that only the generation before has, and returns how many. It does so
// only if units may be missing in the file. If a unit was removed from the file on purpose,
// it is not monitored, and the monitor removes it again.
func (l *loading) add() (taken int) {
	if l.whole() && !l.content.Unnamed && !l.misnamed {
		return 0
	}
	for _, unit := range slices.Sorted(maps.Keys(l.previous.Units)) {
		if l.units[unit] != nil || l.folded(unit) {
			continue
		}
		tally := l.certain(unit)
		if tally == nil {
			r := l.previous.Doubts[unit]
			tally, _ = r.Settle(nil)
			l.findings = append(l.findings, r.Findings...)
		}
		if tally != nil {
			l.units[unit] = tally
			taken++
		}
	}
	return taken
}

// noPrevious says why nothing could be taken from the generation before.
func (l *loading) noPrevious(path string, err error) string {
	if err == nil {
		err = &lostError{path, l.previous.Broken}
		if l.previous.Broken == nil {
			return "there are no services in " + path
		}
	}
	note, failure := setAside(path, err)
	if failure != nil {
		return failure.Error()
	}
	return note
}

// noteUnits adds a note for each unit that has lost something.
func (l *loading) noteUnits() {
	var units []string
	texts := make(map[string][]string)
	lost := make(map[string]bool)
	for _, f := range l.findings {
		if texts[f.Unit] == nil {
			units = append(units, f.Unit)
		}
		texts[f.Unit] = append(texts[f.Unit], f.Text)
		lost[f.Unit] = lost[f.Unit] || f.Lost
	}
	units = slices.DeleteFunc(units, func(unit string) bool { return !lost[unit] })
	for i, unit := range units {
		if i == mostNotes {
			l.notes = append(l.notes, fmt.Sprintf("state file %s: %d more services have what cannot be read; --check-state names them in the file that was kept", l.file.path, len(units)-i))
			return
		}
		l.notes = append(l.notes, fmt.Sprintf("state file %s: %v", l.file.path, format.Finding{Unit: unit, Text: strings.Join(texts[unit], "; ")}))
	}
}

func services(n int) string {
	if n == 1 {
		return "1 service"
	}
	return fmt.Sprintf("%d services", n)
}

// live returns the units, none of them marked as dropped. A unit of the state file has that
// mark if somebody has put a copy from before a removal back by hand, or if the monitor
// was killed during the removal. Its counts are in the state, so the unit is restored.
func live(units map[string]*count.Tally) map[string]*count.Tally {
	for unit, tally := range units {
		if tally.Dropped {
			t := *tally
			t.Dropped, t.Restored = false, true
			units[unit] = &t
		}
	}
	return units
}

// setAside keeps a damaged file for people to look at, and says where it is kept.
func setAside(path string, damage error) (note string, err error) {
	if errors.Is(damage, fs.ErrNotExist) {
		return damage.Error(), nil
	}
	aside := keptAs(path)
	if aside == "" {
		aside = path + corruptSuffix + time.Now().Format("20060102-150405.000")
		if err := alias(path, aside); err != nil {
			return "", fmt.Errorf("%w; cannot keep it aside: %w", damage, err)
		}
	}
	return fmt.Sprintf("%v; kept as %s", damage, aside), nil
}

// keptAs returns the name under which this very file is already kept, because the state
// file could not be replaced the last time; empty if there is none.
func keptAs(path string) string {
	is, err := os.Stat(path)
	if err != nil {
		return ""
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), filepath.Base(path)+corruptSuffix) {
			continue
		}
		aside := filepath.Join(filepath.Dir(path), e.Name())
		if kept, err := os.Lstat(aside); err == nil && os.SameFile(is, kept) {
			return aside
		}
	}
	return ""
}
