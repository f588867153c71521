package broker

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// whoMay says which group may use a socket, or which directory is closed to us.
func whoMay(socket string) string {
	info, err := os.Stat(socket)
	if err != nil {
		return fmt.Sprintf("the user service-monitor-mqtt must be able to enter the directory %s", filepath.Dir(socket))
	}
	mode := info.Mode().Perm()
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || mode&0o020 == 0 {
		return fmt.Sprintf("its mode is %04o, and nobody but its owner may write; let the broker make it writable for a group", mode)
	}
	group := strconv.Itoa(int(stat.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("the group %s may use it: set SupplementaryGroups=%s in a drop-in of service-monitor-mqtt.service", group, group)
}
