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

// maxLinks is how many symbolic links a path may have, as in the kernel
// (path_resolution(7)).
const maxLinks = 40

// Follow returns the file that a symbolic link leads to, even if the file does not exist
// yet. Files are replaced by renaming. If a rename replaced the link, the new data would be
// on the disk that people wanted to avoid, and the old data would stay on the other one.
//
// Root follows only links that no other user can have made. Any other link is an error,
// so call Become first.
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

// followLast follows path while its last name is a symbolic link.
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
	path  string // without symbolic links, unless there is an owner
	owner Owner  // who else than root can change where it leads; zero for nobody
}

// walk follows a path name by name, for root. It stops at the first name that belongs to
// another user. Only root can change the way up to there, so it stays as walk has seen it.
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

// A walker walks along a path.
type walker struct {
	way
	st    unix.Stat_t // the status of the file at path
	rest  []string    // the names that remain
	links int         // how many links were followed
	loose string      // a directory of root in which others can replace anything
}

// look reads the status of the file at path.
func (w *walker) look() error {
	if err := unix.Lstat(w.path, &w.st); err != nil {
		return &fs.PathError{Op: "stat", Path: w.path, Err: err}
	}
	return nil
}

// step goes to the next name.
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
		// Opening it will fail with a better error. What is missing contains no links.
		w.path, w.rest = filepath.Join(w.path, filepath.Join(w.rest...)), nil
		return nil
	}
	if shared && sticky { // then only root and the owner of the file can replace it
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

// ownerOf returns the user to whom a file belongs; zero for root.
func ownerOf(path string, st *unix.Stat_t) Owner {
	if st.Uid == 0 || !mapped(st.Uid) {
		return Owner{}
	}
	return Owner{Name: userName(st.Uid), Where: path, uid: st.Uid, gid: st.Gid}
}

// othersWrite reports whether other users than root may make and remove files in a
// directory of root. If the directory has an access control list, the permissions of the
// group may be those of anybody in the list (acl(5)).
func othersWrite(dir string, st *unix.Stat_t) bool {
	if st.Mode&unix.S_IWGRP != 0 {
		n, _ := unix.Lgetxattr(dir, "system.posix_acl_access", nil)
		if st.Gid != 0 || n > 0 {
			return true
		}
	}
	return st.Mode&unix.S_IWOTH != 0
}

// overflowUser is shown as the owner of files whose owner this user namespace does not know
// (user_namespaces(7)).
const overflowUser = 65534

// mapped reports whether a user exists in this user namespace. A process that is root only
// in the namespace cannot become any other user, and has no rights over that user's files.
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
