// Package blackbox keeps what a run wrote before it crashed. The journal of a gateway is often gone
// after a reboot. Then its boxes still tell the reason of the crash.
package blackbox

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"service-monitor/stages/files"
	"service-monitor/stages/journald/records"
)

const (
	// perUnit is how many boxes of a unit are kept: the newest ones.
	perUnit = 3
	// room is how many bytes all boxes together may take. On the disk, each file takes whole
	// blocks. If there is no room left, the unit that crashed the longest ago loses its boxes.
	room, block = 1 << 20, 4096
	// largest is how many bytes the file of a unit may have.
	largest = room / 2
	// making is the name of a file while it is written. No unit has such a name.
	making = ".new"
)

// A Box is what is known of one run that crashed.
type Box struct {
	Unit       string    `json:"unit"`
	Invocation string    `json:"invocation"`
	Time       time.Time `json:"time"` // of the crash
	Result     string    `json:"result"`
	Code       int32     `json:"code"` // of waitid(2), and so is Status
	Status     int32     `json:"status"`
	// CPU, Memory and Core are as in records.Words: 0 if they are not known.
	CPU    time.Duration `json:"cpu_nsec,omitempty"`
	Memory uint64        `json:"memory_peak_bytes,omitempty"`
	Core   int           `json:"core_dump_pid,omitempty"`
	// Lines are the last lines of the run, and what PID 1 has written about it.
	Lines []records.Line `json:"lines"`
}

// Beside returns the directory of the boxes in a chronicle.
func Beside(chronicle string) string { return filepath.Join(chronicle, "crashes") }

// Read returns the boxes of a unit, the oldest first. If there are none, that is no error.
func Read(dir, unit string) ([]Box, error) {
	if unit == "" || strings.ContainsAny(unit, "/\x00") || strings.HasPrefix(unit, ".") {
		return nil, nil // no unit has such a name
	}
	text, err := files.Read(filepath.Join(dir, unit), largest)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, files.ErrTooLarge) { // the monitor writes no file so large
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var boxes []Box
	// A power cut may damage a file that was just written. Its boxes are lost then.
	if err := json.Unmarshal(text, &boxes); err != nil {
		return nil, nil
	}
	return boxes, nil
}

// encode returns the text of a unit's file with the newest of its boxes. If the newest one alone is
// too large, it loses its first lines: a line may take six times its length, if it is all control
// characters.
func encode(boxes []Box) ([]byte, error) {
	boxes = boxes[max(0, len(boxes)-perUnit):]
	for {
		text, err := json.Marshal(boxes)
		switch last := &boxes[len(boxes)-1]; {
		case err != nil || len(text) <= largest:
			return text, err
		case len(boxes) > 1:
			boxes = boxes[1:]
		default:
			last.Lines = last.Lines[(len(last.Lines)+1)/2:]
		}
	}
}

// makeDir makes the directory of the boxes and the one above it, if they are not there yet, and returns where
// it is. If root keeps its state in a directory such as /tmp, another user may have put either of them
// there, or a link that leads to /usr/bin. Then files.Follow returns an error. It looks again after each
// step, because the other user may be quick. What root has made there, nobody else can replace.
func makeDir(dir string) (at string, err error) {
	if _, err = files.Follow(dir); err != nil {
		return "", err
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err = os.Mkdir(d, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if at, err = files.Follow(d); err != nil {
			return "", err
		}
	}
	return at, nil
}

// save adds a box to those of its unit. It does not sync the file, because a crash shall cost the
// flash as little as possible. So a power cut may take the boxes of the last half minute.
func save(dir string, b Box, written *files.Meter) error {
	dir, err := makeDir(dir)
	if err != nil {
		return err
	}
	boxes, err := Read(dir, b.Unit)
	if err != nil {
		return err
	}
	boxes = slices.DeleteFunc(boxes, func(old Box) bool { return old.Invocation == b.Invocation })
	text, err := encode(append(boxes, b))
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, making)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := files.Open(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	n, err := f.Write(text)
	written.Add(n)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, b.Unit)); err != nil {
		return err
	}
	return makeRoom(dir, b.Unit)
}

// makeRoom removes the oldest boxes until all others fit into the room. It spares the file of one
// unit, and all files that have not the name of a service: they are no boxes.
func makeRoom(dir, unit string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var all []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && strings.HasSuffix(e.Name(), ".service") {
			all = append(all, info)
			total += onDisk(info)
		}
	}
	slices.SortFunc(all, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range all {
		if total <= room {
			break
		}
		if info.Name() != unit {
			err = errors.Join(err, os.Remove(filepath.Join(dir, info.Name())))
			total -= onDisk(info)
		}
	}
	return err
}

func onDisk(info fs.FileInfo) int64 { return (info.Size() + block - 1) / block * block }

// Remove removes all boxes. If there are none, that is no error. Root does not go where another user leads.
func Remove(dir string) error {
	if _, err := files.Follow(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
