package statefile

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"service-monitor/stages/files"
)

// A unit takes 0.8 to 1.3 kB of the state file. Loading takes 2.2 times the size of the
// file, so a file of a fifth of the memory leaves enough room for the rest. With
// MemoryMax=64M that is a file of 13 MB, which has 10,000 units or more. MemoryMax=64M is
// made for 10,000 units.
const (
	// A state file may have the size of the memory limit divided by shareOfMemory.
	shareOfMemory = 5
	// largestEver is enough for the 131,072 units that systemd can have.
	largestEver = 128 << 20
	// plainShare divides the size once more for a file without checksums, as the Python
	// monitor writes it: loading takes 8.3 times its size. Its records have 0.2 kB each.
	plainShare = 2
	// mostOfRecord is larger than any record.
	mostOfRecord = 4 << 10
)

// largest returns how large a state file may be. A larger one would use up the memory, and
// the monitor would be killed at each start.
func largest() int64 {
	return min(largestEver, memoryLimit("/proc/self/cgroup", "/sys/fs/cgroup")/shareOfMemory)
}

// loadable returns files.ErrTooLarge if it takes too much memory to load the text.
func loadable(text []byte, most int64) error {
	plain := bytes.Count(text, []byte(`"checksum":`)) < len(text)/mostOfRecord
	if most /= plainShare; plain && int64(len(text)) > most {
		return fmt.Errorf("%w: more than %d bytes, without checksums", files.ErrTooLarge, most)
	}
	return nil
}

// memoryLimit returns the lowest memory.max of a process's control group and the groups
// above it (MemoryMax= in systemd.resource-control(5)).
func memoryLimit(groups, root string) int64 {
	least := int64(math.MaxInt64)
	text, _ := os.ReadFile(groups)
	for line := range strings.Lines(string(text)) {
		group, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !unified {
			continue
		}
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			limit, _ := os.ReadFile(root + group + "/memory.max")
			if n, err := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil {
				least = min(least, n)
			}
			if group == "/" { // in a container the root group may have a limit, too
				break
			}
		}
	}
	return least
}
