package files

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks bounds the symbolic links of a path as the kernel bounds them
// (path_resolution(7)).
const maxLinks = 40

// Follow returns the file that a symbolic link leads to, there or not yet. Files
// are replaced by renaming. To rename over the link would leave the data on the
// disk that people linked away from, and the next boot would find the old data
// where they linked to.
//
// Root follows only links that no other user can have made. Any other is an error:
// Become comes first.
func Follow(path string) (string, error) {
	if os.Geteuid() != 0 {
		return followLast(path), nil
	}
	w, err := walk(path)
	if err == nil && w.owner.uid != 0 {
		err = fmt.Errorf("%w: %s belongs to user %s, who could lead root elsewhere; run it as that user", ErrOwner, w.owner.Where, w.owner.Name)
	}
	return w.path, err
}

// followLast follows the links that the last name of path is.
func followLast(path string) string {
	for range maxLinks {
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				break
			}
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return path
}

// A way is where a path leads.
type way struct {
	path  string // has no symbolic links in it, unless there is an owner
	owner Owner  // who can change where it leads; zero where only root can
}

// walk follows a path name by name, for root. It stops at the first name that
// belongs to another user. Up to there only root can change the way, so what was
// looked at stays as it was.
func walk(path string) (way, error) {
	if !filepath.IsAbs(path) {
		here, err := os.Getwd()
		if err != nil {
			return way{}, err
		}
		path = here + "/" + path
	}
	w := walker{way: way{path: "/"}, rest: names(path)}
	err := w.look()
	for err == nil && len(w.rest) > 0 && w.owner.uid == 0 {
		err = w.step()
	}
	if err == nil && w.owner.uid == 0 && w.loose != "" {
		err = fmt.Errorf("%w: others than root may replace what is in %s; take that permission away, or choose another directory", ErrOwner, w.loose)
	}
	return w.way, err
}

// names splits a path. It keeps "..", which means something else after a link.
func names(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(name string) bool { return name == "" || name == "." })
}

// A walker is on its way.
type walker struct {
	way
	st    unix.Stat_t // of what is at path
	rest  []string    // the names to go
	links int         // so many were followed
	loose string      // a directory of root in which others can replace anything
}

// look looks at what is at path.
func (w *walker) look() error {
	if err := unix.Lstat(w.path, &w.st); err != nil {
		return &fs.PathError{Op: "stat", Path: w.path, Err: err}
	}
	return nil
}

// step takes the next name.
func (w *walker) step() error {
	w.owner = ownerOf(w.path, &w.st)
	if w.owner.uid != 0 {
		return nil
	}
	dir, name := w.path, w.rest[0]
	w.path, w.rest = filepath.Join(dir, name), w.rest[1:]
	shared, sticky := othersWrite(dir, &w.st), w.st.Mode&unix.S_ISVTX != 0
	if shared && !sticky {
		w.loose = dir
	}
	if err := w.look(); err != nil {
		// Who opens it says what is wrong. Of what is missing nothing can be a link.
		w.path, w.rest = filepath.Join(w.path, filepath.Join(w.rest...)), nil
		return nil
	}
	if shared && sticky { // then nobody but root and its owner can replace it
		w.owner = ownerOf(w.path, &w.st)
	}
	if w.st.Mode&unix.S_IFMT == unix.S_IFLNK && w.owner.uid == 0 {
		return w.follow(dir)
	}
	return nil
}

// follow goes where the link at path leads.
func (w *walker) follow(dir string) error {
	target, err := os.Readlink(w.path)
	if w.links++; err == nil && w.links > maxLinks {
		err = &fs.PathError{Op: "open", Path: w.path, Err: unix.ELOOP}
	}
	if err != nil {
		return err
	}
	if w.loose != "" {
		return fmt.Errorf("%w: %s is a symbolic link, which others than root can have made in %s", ErrOwner, w.path, w.loose)
	}
	if w.path = dir; filepath.IsAbs(target) {
		w.path = "/"
	}
	w.rest = append(names(target), w.rest...)
	return w.look()
}

// ownerOf is the user that something belongs to.
func ownerOf(path string, st *unix.Stat_t) Owner {
	if st.Uid == 0 || !mapped(st.Uid) {
		return Owner{}
	}
	return Owner{Name: userName(st.Uid), Where: path, uid: st.Uid, gid: st.Gid}
}

// othersWrite reports whether others than root may make and remove files in a
// directory of root. Where it has an access control list, the permissions of the
// group are those of anybody in the list (acl(5)).
func othersWrite(dir string, st *unix.Stat_t) bool {
	if st.Mode&unix.S_IWGRP != 0 {
		n, _ := unix.Lgetxattr(dir, "system.posix_acl_access", nil)
		if st.Gid != 0 || n > 0 {
			return true
		}
	}
	return st.Mode&unix.S_IWOTH != 0
}

// overflowUser owns what belongs to nobody that this user namespace knows
// (user_namespaces(7)).
const overflowUser = 65534

// mapped reports whether a user is one of this user namespace. A process that is
// root only there cannot become another one, and has no rights over its files.
func mapped(uid uint32) bool {
	if uid != overflowUser {
		return true
	}
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		var inside, outside, length uint64
		if n, _ := fmt.Sscan(line, &inside, &outside, &length); n == 3 && inside <= uint64(uid) && uint64(uid) < inside+length {
			return true
		}
	}
	return false
}
