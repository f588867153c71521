// Package blackbox keeps what a run said before it crashed. The journal of a gateway is often gone
// after a reboot, and the reason of the crash with it.
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
	// perUnit is how many boxes of a unit are kept: those of its last loop and of what came before.
	perUnit = 3
	// room is how many bytes all boxes may have on the disk, in blocks. If they have more, those of the
	// unit that crashed the longest ago are removed.
	room, block = 1 << 20, 4096
	// largest is how many bytes of a file are read. A unit's boxes have fewer.
	largest = 1 << 20
	// making is the name of a file that is being written. No unit is called so.
	making = ".new"
)

// A Box is what there is to say about one run that crashed.
type Box struct {
	Unit       string    `json:"unit"`
	Invocation string    `json:"invocation"`
	Time       time.Time `json:"time"` // of the crash
	Result     string    `json:"result"`
	Code       int32     `json:"code"` // of waitid(2), as Status
	Status     int32     `json:"status"`
	// CPU, Memory and Core are those of records.Words, and 0 if they are not known.
	CPU    time.Duration `json:"cpu_nsec,omitempty"`
	Memory uint64        `json:"memory_peak_bytes,omitempty"`
	Core   int           `json:"core_dump_pid,omitempty"`
	// Lines are its last lines, and those of PID 1 about it.
	Lines []records.Line `json:"lines"`
}

// Beside returns the directory of the boxes in a chronicle.
func Beside(chronicle string) string { return filepath.Join(chronicle, "crashes") }

// Read returns the boxes of a unit, the oldest first. It is no error if there are none.
func Read(dir, unit string) ([]Box, error) {
	if unit == "" || strings.ContainsAny(unit, "/\x00") || strings.HasPrefix(unit, ".") {
		return nil, nil // no unit is called so
	}
	text, err := files.Read(filepath.Join(dir, unit), largest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var boxes []Box
	// A power cut may leave anything of a file that was just written. The words are lost then.
	if err := json.Unmarshal(text, &boxes); err != nil {
		return nil, nil
	}
	return boxes, nil
}

// save adds a box to those of its unit. It does not wait for the disk, because a crash shall cost the
// flash as little as possible: in a power cut the words of the last half minute may be lost.
func save(dir string, b Box) error {
	boxes, err := Read(dir, b.Unit)
	if err != nil {
		return err
	}
	boxes = slices.DeleteFunc(boxes, func(old Box) bool { return old.Invocation == b.Invocation })
	boxes = append(boxes, b)
	boxes = boxes[max(0, len(boxes)-perUnit):]
	text, err := json.Marshal(boxes)
	if err != nil {
		return err
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Mkdir(d, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	temporary := filepath.Join(dir, making)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := files.Open(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, b.Unit)); err != nil {
		return err
	}
	return makeRoom(dir, b.Unit)
}

// makeRoom removes the oldest files until the rest fits, but not that of one unit.
func makeRoom(dir, unit string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var all []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
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

// Remove removes all boxes. If there are none, that is no error.
func Remove(dir string) error { return os.RemoveAll(dir) }
