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

// A unit is 0.7 to 1.1 kB of the state file. To load the file takes 2.2 times its
// size, so a fifth of the memory leaves room for the rest. With MemoryMax=64M that is
// 13 MB, or 12,000 units at least; 10,000 are what those 64M are made for.
const (
	// shareOfMemory is the part of the memory limit that a state file may have.
	shareOfMemory = 5
	// largestEver is for all units that systemd can have, 131,072.
	largestEver = 128 << 20
	// plainShare is how much less a file may have whose records have no checksum. Of
	// those more is kept until all is read: 8.3 times their size. They are the Python
	// monitor's, and 0.2 kB each.
	plainShare = 2
	// mostOfRecord is more than a record has.
	mostOfRecord = 4 << 10
)

// largest is how large a state file may be. To read a larger one would get the
// monitor killed, at each start again.
func largest() int64 {
	return min(largestEver, memoryLimit("/proc/self/cgroup", "/sys/fs/cgroup")/shareOfMemory)
}

// loadable returns files.ErrTooLarge for a text that takes too much memory to load.
func loadable(text []byte, most int64) error {
	plain := bytes.Count(text, []byte(`"checksum":`)) < len(text)/mostOfRecord
	if most /= plainShare; plain && int64(len(text)) > most {
		return fmt.Errorf("%w: more than %d bytes, without checksums", files.ErrTooLarge, most)
	}
	return nil
}

// memoryLimit is the memory.max of a process's control group and those above it
// (MemoryMax= in systemd.resource-control(5)).
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
			if group == "/" { // which has a limit where that of a container is shown so
				break
			}
		}
	}
	return least
}
