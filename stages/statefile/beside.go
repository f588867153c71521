package statefile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"service-monitor/stages/files"
)

// These are the suffixes of the files beside the state file.
const (
	tempSuffix     = ".tmp"            // the next generation, while it is written
	previousSuffix = ".previous"       // the generation before
	removedSuffix  = ".before-removal" // the last generation with units that are no longer monitored
	removals       = 5                 // how many of those are kept; the older ones have .1 to .4 at the end
	corruptSuffix  = ".corrupt-"       // a damaged file; the time when it was found follows
)

// Beside reports whether a file has a name that is used for what is kept beside the
// state file.
func Beside(state, path string) bool {
	suffix, ok := strings.CutPrefix(path, state)
	suffix = strings.TrimSuffix(suffix, tempSuffix)
	return ok && path != state && (slices.Contains([]string{"", files.LockSuffix, previousSuffix}, suffix) ||
		strings.HasPrefix(suffix, removedSuffix) || strings.HasPrefix(suffix, corruptSuffix))
}

// Earlier reports whether a file has the name of a copy that is kept beside a state file. What is counted later is
// not in it.
func Earlier(path string) bool {
	name := filepath.Base(path)
	at := strings.LastIndex(name, removedSuffix)
	return strings.HasSuffix(name, previousSuffix) || strings.Contains(name, corruptSuffix) ||
		at >= 0 && strings.Trim(name[at+len(removedSuffix):], ".0123456789") == ""
}

// Used reports whether a monitor has used a file under this name: the lock that it makes beside the file stays. A
// copy that somebody has made has none.
func Used(path string) bool {
	real, err := files.Follow(path)
	if err != nil {
		return false
	}
	_, err = os.Lstat(real + files.LockSuffix)
	return err == nil
}
