package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"service-monitor/cmd/internal/config"
)

// unitUser is the user of the unit (User=).
var unitUser = "service-monitor"

// An account is a user whose rights are checked.
type account struct {
	name     string // for messages
	uid, gid int
	groups   []int
	ofUnit   bool // the unit gives its directories to this user
	caller   bool // this process runs as this user already
}

// judge returns the account whose rights are to be checked, and a line about it. If root
// checks, that is the user of the unit. Any other user can only check its own rights.
func judge(unitUser string) (a account, by string, err error) {
	unit, noUnit := user.Lookup(unitUser)
	if os.Geteuid() == 0 && noUnit != nil {
		return account{name: "root", caller: true}, fmt.Sprintf("there is no user %s here: checked with the rights of root", unitUser), nil
	}
	if os.Geteuid() == 0 {
		a, err = accountOf(unit)
		a.ofUnit = true
		return a, "checked with the rights of " + a.name, err
	}
	uid := os.Geteuid()
	a = account{name: "user " + strconv.Itoa(uid), uid: uid, caller: true}
	if noUnit == nil && unit.Uid == strconv.Itoa(uid) {
		a.name, a.ofUnit = "user "+unitUser, true
	} else if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		a.name = "user " + u.Username
	}
	return a, "checked with the rights of " + a.name, nil
}

func accountOf(u *user.User) (account, error) {
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("cannot find the groups of user %s: %w", u.Username, err)
	}
	a := account{name: "user " + u.Username}
	numbers := make([]int, len(ids))
	for i, id := range ids {
		numbers[i], err = strconv.Atoi(id)
		if err != nil {
			return account{}, fmt.Errorf("cannot find the groups of user %s: %w", u.Username, err)
		}
	}
	a.groups = numbers
	if a.uid, err = strconv.Atoi(u.Uid); err == nil {
		a.gid, err = strconv.Atoi(u.Gid)
	}
	return a, err
}

// become gives this process the rights of the account, for good. After that access(2) gives
// exact answers, which include access control lists.
func (a account) become() error {
	if a.caller {
		return nil
	}
	if err := syscall.Setgroups(a.groups); err != nil {
		return err
	}
	if err := syscall.Setresgid(a.gid, a.gid, a.gid); err != nil {
		return err
	}
	return syscall.Setresuid(a.uid, a.uid, a.uid)
}

// mayUse returns nil if the account may use a file, and otherwise the reason. The process must
// have become the account. mayUse opens no file, because that may hang or have an effect.
func (a account) mayUse(f planned) error {
	switch err := unix.Access(f.path, unix.F_OK); {
	case errors.Is(err, fs.ErrPermission):
		return errors.New("no permission to enter all directories above it; allow that (chmod a+x), or name a file elsewhere")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return a.explain(err, f.path)
	}
	path := leadsTo(f.path)
	if info, err := os.Lstat(path); err == nil {
		if err := regular(path, info); err != nil {
			return err
		}
	}
	dir := filepath.Dir(path)
	in, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return a.noDirectory(dir)
	}
	if err == nil {
		err = mayReplaceIn(dir)
	}
	if err != nil {
		return a.explain(err, dir)
	}
	return f.each(path, func(path string, want uint32) error { return a.mayUseOne(path, want, in) })
}

// mayReplaceIn returns nil if the process may make and replace files in a directory, and
// otherwise the reason.
func mayReplaceIn(dir string) error {
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	if err == unix.EACCES || err == unix.EPERM {
		return problem(fmt.Sprintf("no permission to write to the directory %s; name a file in a directory that belongs to that user", config.Show(dir)))
	}
	return err
}

// mayUseOne does the same as mayUse for one file in a directory.
func (a account) mayUseOne(path string, want uint32, in fs.FileInfo) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = usable(path, info, want)
	}
	if err == nil && in.Mode()&fs.ModeSticky != 0 && a.uid != 0 && owner(info) != a.uid && owner(in) != a.uid {
		return fmt.Errorf("%s belongs to another user, and in %s nobody else may replace it (sticky bit); remove it, or name a file elsewhere", config.Show(path), config.Show(filepath.Dir(path)))
	}
	if err == nil && want != unix.F_OK {
		err = unix.Access(path, want)
	}
	return a.explain(err, path)
}

// mayUseGiven does the same as mayUse for a file in a directory of the unit. The unit makes the
// account the owner of all that is in there, so it checks the permissions of the owner.
// judged is false if that is not enough to know.
func (a account) mayUseGiven(f planned) (judged bool, err error) {
	top := unitDirectory(f.path)
	if top == "" {
		return false, nil
	}
	if _, err := os.Lstat(top); errors.Is(err, fs.ErrNotExist) && filepath.Dir(f.path) == top {
		return true, nil // the unit makes the directory
	}
	if !a.ofUnit {
		return false, nil
	}
	if judged, err := a.mayUseGivenDirectory(filepath.Dir(f.path), top); !judged || err != nil {
		return judged, err
	}
	if info, err := os.Lstat(f.path); err == nil && info.Mode().Type() == fs.ModeSymlink {
		return false, nil
	}
	return true, f.each(f.path, a.mayUseGivenOne)
}

// mayUseGivenDirectory checks a directory and those above it up to top. The unit sets the mode
// of top.
func (a account) mayUseGivenDirectory(dir, top string) (judged bool, err error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return true, nil // the account does not own the directory above yet
	case errors.Is(err, fs.ErrNotExist):
		return true, a.noDirectory(dir)
	case err != nil || !info.IsDir():
		return false, nil
	case dir != top && !ownerMay(info, unix.W_OK|unix.X_OK):
		return true, a.explain(unix.EACCES, dir)
	}
	if err := sealed(dir); err != nil || dir == top {
		return true, a.explain(err, dir)
	}
	return a.mayUseGivenDirectory(filepath.Dir(dir), top)
}

func (a account) mayUseGivenOne(path string, want uint32) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err == nil {
		err = usable(path, info, want)
	}
	if err == nil && !ownerMay(info, want) {
		err = unix.EACCES
	}
	if err == nil {
		err = sealed(path)
	}
	return a.explain(err, path)
}

// sealed returns an error if not even the owner may write: on a read-only file system, or to an
// immutable file (chattr(1)).
func sealed(path string) error {
	if err := unix.Access(path, unix.W_OK); err == unix.EROFS || err == unix.EPERM {
		return err
	}
	return nil
}

// ownerMay reports whether the owner of a file has this access to it.
func ownerMay(info fs.FileInfo, want uint32) bool {
	return uint32(info.Mode().Perm()>>6)&want == want
}

func owner(info fs.FileInfo) int {
	st, _ := info.Sys().(*syscall.Stat_t)
	return int(st.Uid)
}

// usable returns an error for anything but a regular file. What is only removed may also be
// anything else, but for a directory that is not empty.
func usable(path string, info fs.FileInfo, want uint32) error {
	if want != unix.F_OK {
		return regular(path, info)
	}
	if !info.IsDir() {
		return nil
	}
	if entries, err := os.ReadDir(path); err == nil && len(entries) == 0 {
		return nil
	}
	return regular(path, info)
}

// regular returns an error for anything but a regular file.
func regular(path string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return problem(fmt.Sprintf("%s is %s, not a regular file; remove it, or name another file", config.Show(path), kindOf(info)))
}

func kindOf(info fs.FileInfo) string {
	switch info.Mode().Type() {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeSymlink:
		return "a symbolic link"
	case fs.ModeNamedPipe:
		return "a named pipe"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}

// A problem is an error that says what to do.
type problem string

func (p problem) Error() string { return string(p) }

// leadsTo follows path while its last name is a symbolic link. The target need not exist.
func leadsTo(path string) string {
	for range 40 { // the kernel follows no more (path_resolution(7))
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Dir(path) + "/" + target // ".." means another directory after a link
		}
		path = target
	}
	return path
}

func (a account) noDirectory(dir string) error {
	return fmt.Errorf("there is no directory %s; make it%s, or name a file elsewhere", config.Show(dir), a.forUnit(" (install -d -m 750 -o "+unitUser+" -g "+unitUser+" %s)", dir))
}

// explain adds to an error about a path what to do about it.
func (a account) explain(err error, path string) error {
	var explained problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &explained):
		return explained
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s is read-only; if that is by the sandbox of the unit, let ReadWritePaths= name the directory (see service-monitor(5)), or name a file elsewhere", config.Show(path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission for %s; give it to that user%s, or name a file elsewhere", config.Show(path), a.forUnit(" (chown "+unitUser+": %s)", path))
	}
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return fmt.Errorf("%s: %w; name a file elsewhere", config.Show(path), err)
}

// forUnit returns a command that helps only if the account is the user of the unit; empty
// otherwise.
func (a account) forUnit(format, path string) string {
	if !a.ofUnit {
		return ""
	}
	return fmt.Sprintf(format, config.Show(path))
}
