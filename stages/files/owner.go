package files

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// ErrOwner is returned if it is not clear with whose rights root should work.
var ErrOwner = errors.New("root does not work there")

// An Owner is the user whose rights root works with.
type Owner struct {
	Name  string // empty for root itself
	Where string // the directory that belongs to that user
	uid   uint32
	gid   uint32
}

// Become gives up root's rights if the files belong to another user, for the whole process
// and for good. It does nothing if the process is not root.
//
// The owner of a directory can put symbolic links and hard links into it, and can at any
// moment replace what root has just looked at. As that user, the process has nothing to
// check and no race to lose: whatever the owner plants there, the process can do no more
// than the owner can do anyway. New files then also belong to that user, who otherwise
// runs the monitor.
func Become(paths ...string) (Owner, error) {
	var owner Owner
	if os.Geteuid() != 0 {
		return owner, nil
	}
	for _, path := range paths {
		w, err := walk(path)
		if err != nil {
			return owner, err
		}
		switch {
		case w.owner.uid == 0:
		case owner.uid == 0:
			owner = w.owner
		case owner.uid != w.owner.uid:
			return owner, fmt.Errorf("%w: %s belongs to user %s, but %s to user %s; let one user have both, or run it as one of them",
				ErrOwner, owner.Where, owner.Name, w.owner.Where, w.owner.Name)
		}
	}
	if owner.uid == 0 {
		return owner, nil
	}
	if err := owner.become(); err != nil {
		return owner, fmt.Errorf("%w: cannot become user %s, to whom %s belongs: %w; run it as that user", ErrOwner, owner.Name, owner.Where, err)
	}
	return owner, nil
}

// become gives up all rights of root. The other processes of the user still cannot trace this
// one, because the kernel remembers that it had more rights (prctl(2), PR_SET_DUMPABLE).
func (o Owner) become() error {
	gid, groups := int(o.gid), []int{}
	if u, err := user.LookupId(strconv.Itoa(int(o.uid))); err == nil {
		gid = number(u.Gid)
		ids, _ := u.GroupIds() // without its groups the monitor may be unable to read the journal, which it reports
		for _, id := range ids {
			groups = append(groups, number(id))
		}
	}
	// The functions of package syscall change all threads, those of package unix only this one.
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setresgid(gid, gid, gid); err != nil {
		return err
	}
	uid := int(o.uid)
	return syscall.Setresuid(uid, uid, uid)
}

func number(id string) int {
	n, _ := strconv.Atoi(id) // package user has checked it
	return n
}

func userName(uid uint32) string {
	id := strconv.Itoa(int(uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
