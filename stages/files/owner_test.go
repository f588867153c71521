package files

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// becomeEnv names a file. With it, the test binary is a process of root that calls Become for
// the file, and then makes it.
const becomeEnv = "FILES_TEST_BECOME"

func TestMain(m *testing.M) {
	if path := os.Getenv(becomeEnv); path != "" {
		os.Exit(becomeAndMake(path))
	}
	os.Exit(m.Run())
}

// emulated reports whether the test runs in an emulator. An emulator has a thread of its own
// that stays root. It hides itself from the process, but not from a child of the process.
func emulated() bool {
	run, err := elf.Open(fmt.Sprintf("/proc/%d/exe", os.Getppid()))
	if err != nil {
		return false
	}
	defer run.Close()
	self, err := os.Executable()
	if err != nil {
		return false
	}
	test, err := elf.Open(self)
	if err != nil {
		return false
	}
	defer test.Close()
	return run.Machine != test.Machine
}

func becomeAndMake(path string) int {
	threads := "/proc/self/task/*/status"
	if emulated() {
		threads = "/proc/thread-self/status"
	}
	owner, err := Become(path)
	if err == nil {
		err = os.WriteFile(path, nil, 0o644)
	}
	fmt.Println(owner.Name, err)
	tasks, _ := filepath.Glob(threads)
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for line := range strings.Lines(string(text)) {
			if key, _, _ := strings.Cut(line, ":"); slices.Contains([]string{"Uid", "Gid", "Groups", "CapEff", "CapPrm"}, key) {
				fmt.Print(strings.Join(strings.Fields(line), " "), "\n")
			}
		}
	}
	return 0
}

// These users have no rights and no entry in passwd(5).
const user1, user2 = 54321, 54322

// plant makes a tree of files from lines such as "dir 0755 1 /x", "link 1 /x/y target" and
// "file 1 /x/z". They belong to user 0, 1 or 2. DIR stands for the directory of the tree.
func plant(t *testing.T, dir string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if err := plantOne(dir, strings.Fields(line)); err != nil {
			t.Fatal(line, err)
		}
	}
}

func plantOne(dir string, words []string) error {
	uid := map[string]int{"0": 0, "1": user1, "2": user2}
	switch words[0] {
	case "dir":
		path := dir + words[3]
		var mode uint32
		if _, err := fmt.Sscanf(words[1], "%o", &mode); err != nil {
			return err
		}
		return errors.Join(os.Mkdir(path, 0o755), os.Chown(path, uid[words[2]], uid[words[2]]), unix.Chmod(path, mode))
	case "link":
		path := dir + words[2]
		return errors.Join(os.Symlink(strings.ReplaceAll(words[3], "DIR", dir), path), os.Lchown(path, uid[words[1]], uid[words[1]]))
	case "group":
		return os.Chown(dir+words[2], -1, uid[words[1]])
	case "file":
		path := dir + words[2]
		return errors.Join(os.WriteFile(path, nil, 0o644), os.Chown(path, uid[words[1]], uid[words[1]]))
	}
	return os.Link(dir+words[1], dir+words[2])
}

// TestWalk wants walk to follow a path as long as only root can change it, and to return the
// owner of the first name that another user can change.
func TestWalk(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can make files of other users
	}
	const none = ""
	for _, tt := range []struct {
		name  string
		lines []string
		path  string
		want  string // where it leads
		owner string // the owner, and of which directory
		err   error
	}{
		{"plain", nil, "/x", "/x", none, nil},
		{"not there", nil, "/none/x", "/none/x", none, nil},
		{"below a file", []string{"file 0 /f"}, "/f/x", "/f/x", none, nil},
		{"link of root", []string{"link 0 /x DIR/y"}, "/x", "/y", none, nil},
		{"link in the way", []string{"dir 0755 0 /data", "link 0 /log data"}, "/log/x", "/data/x", none, nil},
		{"link upwards", []string{"dir 0755 0 /a", "dir 0755 0 /b", "link 0 /a/x ../b/./y"}, "/a/x", "/b/y", none, nil},
		{"dots after a link", []string{"dir 0755 0 /a", "dir 0755 0 /a/b", "link 0 /l a/b"}, "/l/../x", "/a/x", none, nil},
		{"link that another user owns, where only root could put it", []string{"link 1 /x DIR/y"}, "/x", "/y", none, nil},
		{"loop", []string{"link 0 /x x"}, "/x", none, none, unix.ELOOP},

		{"directory of a user", []string{"dir 0755 1 /u"}, "/u/x", none, "1 /u", nil},
		{"file of root in it", []string{"dir 0755 1 /u", "file 0 /u/x"}, "/u/x", none, "1 /u", nil},
		{"link of root in it", []string{"dir 0755 1 /u", "link 0 /u/x DIR/y"}, "/u/x", none, "1 /u", nil},
		{"link of the user in it", []string{"dir 0755 1 /u", "link 1 /u/x DIR/y"}, "/u/x", none, "1 /u", nil},
		{"directory of root in it", []string{"dir 0755 1 /u", "dir 0755 0 /u/r"}, "/u/r/x", none, "1 /u", nil},
		{"directory of another user in it", []string{"dir 0755 1 /u", "dir 0755 2 /u/v"}, "/u/v/x", none, "1 /u", nil},
		{"link of root to it", []string{"dir 0755 1 /u", "link 0 /l u"}, "/l/x", none, "1 /u", nil},
		{"link that leads out again", []string{"dir 0755 1 /u", "link 1 /u/l DIR"}, "/u/l/x", none, "1 /u", nil},
		{"out by dots", []string{"dir 0755 1 /u"}, "/u/../x", none, "1 /u", nil},

		{"shared, not there", []string{"dir 1777 0 /s"}, "/s/x", "/s/x", none, nil},
		{"shared, file of root", []string{"dir 1777 0 /s", "file 0 /s/x"}, "/s/x", "/s/x", none, nil},
		{"shared, link of root", []string{"dir 1777 0 /s", "link 0 /s/x DIR/y"}, "/s/x", "/y", none, nil},
		{"shared, file of a user", []string{"dir 1777 0 /s", "file 1 /s/x"}, "/s/x", none, "1 /s/x", nil},
		{"shared, link of a user", []string{"dir 1777 0 /s", "link 1 /s/x DIR/y"}, "/s/x", none, "1 /s/x", nil},
		{"shared, directory of a user", []string{"dir 1777 0 /s", "dir 0755 1 /s/u"}, "/s/u/x", none, "1 /s/u", nil},
		{"shared, directory of root", []string{"dir 1777 0 /s", "dir 0755 0 /s/r"}, "/s/r/x", "/s/r/x", none, nil},

		{"writable for all", []string{"dir 0777 0 /w"}, "/w/x", none, none, ErrOwner},
		{"writable for a group", []string{"dir 0775 0 /w", "group 1 /w"}, "/w/x", none, none, ErrOwner},
		{"writable for the group of root", []string{"dir 0775 0 /w"}, "/w/x", "/w/x", none, nil},
		{"directory of root in it", []string{"dir 0777 0 /w", "dir 0755 0 /w/r"}, "/w/r/x", none, none, ErrOwner},
		{"link in it", []string{"dir 0777 0 /w", "link 0 /w/l DIR"}, "/w/l/x", none, none, ErrOwner},
		{"directory of a user in it", []string{"dir 0777 0 /w", "dir 0755 1 /w/u"}, "/w/u/x", none, "1 /w/u", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, tt.lines...)
			w, err := walk(dir + tt.path)
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Fatalf("walk: %v, want %v", err, tt.err)
			}
			who, where, _ := strings.Cut(tt.owner, " ")
			want := Owner{}
			if who == "1" {
				want = Owner{Name: fmt.Sprint(user1), Where: dir + where, uid: user1, gid: user1}
			}
			if w.owner != want {
				t.Errorf("the way of %+v, want %+v", w.owner, want)
			}
			if tt.want != none && w.path != dir+tt.want {
				t.Errorf("leads to %s, want %s", w.path, dir+tt.want)
			}
			if _, err := Follow(dir + tt.path); (err == nil) != (tt.want != none) {
				t.Errorf("Follow: %v", err)
			}
		})
	}
}

// TestOpenPlanted wants root to refuse files that another user may have put there, and to
// accept any file in a directory where only root can make files.
func TestOpenPlanted(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can make files of other users
	}
	for _, tt := range []struct {
		name  string
		lines []string
		path  string
		want  string // the error contains it
	}{
		{"file of a user", []string{"dir 1777 0 /s", "file 1 /s/x"}, "/s/x", "it belongs to user 54321"},
		{"second name", []string{"dir 1777 0 /s", "file 0 /f", "hard /f /s/x"}, "/s/x", "it has a second name"},
		{"of root", []string{"dir 1777 0 /s", "file 0 /s/x"}, "/s/x", ""},
		{"new", []string{"dir 1777 0 /s"}, "/s/x", ""},
		{"file of a user where root has put it", []string{"file 1 /x"}, "/x", ""},
		{"second name that root has made", []string{"file 0 /f", "hard /f /x"}, "/x", ""},
		{"in a directory that changed hands", []string{"dir 0755 1 /u", "file 1 /u/x"}, "/u/x", "it belongs to user 54321"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, tt.lines...)
			f, err := Open(dir+tt.path, os.O_WRONLY|os.O_CREATE, 0o644)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open: %v, want %q", err, tt.want)
			}
			f.Close()
		})
	}
}

// TestBecome wants all threads of root to become the owner, for good and without any rights
// left.
func TestBecome(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can become another user
	}
	for _, tt := range []struct {
		name  string
		lines []string
		path  string
		want  string // the first line
		who   int
	}{
		{"a user", []string{"dir 0755 1 /u"}, "/u/x", "54321 <nil>", user1},
		{"a user, by a link of root", []string{"dir 0755 1 /u", "link 0 /l u"}, "/l/x", "54321 <nil>", user1},
		{"a user who may not go where the link leads", []string{"dir 0755 1 /u", "dir 0755 0 /r", "link 1 /u/x DIR/r/x"}, "/u/x",
			"54321 open DIR/u/x: permission denied", user1},
		{"root", []string{"dir 0755 0 /r"}, "/r/x", " <nil>", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the directory of all tests
				t.Fatal(err)
			}
			plant(t, dir, tt.lines...)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), becomeEnv+"="+dir+tt.path)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			first, ids, _ := strings.Cut(string(out), "\n")
			if want := strings.ReplaceAll(tt.want, "DIR", dir); first != want {
				t.Errorf("%s, want %s", first, want)
			}
			wantIDs(t, ids, tt.who)
			var st unix.Stat_t
			if err := unix.Stat(dir+tt.path, &st); strings.HasSuffix(tt.want, "<nil>") && (err != nil || int(st.Uid) != tt.who) {
				t.Errorf("the file is of user %d (%v), want %d", st.Uid, err, tt.who)
			}
			if _, err := os.Lstat(dir + "/r/x"); tt.who != 0 && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("root was led astray (%v)", err)
			}
		})
	}
}

func wantIDs(t *testing.T, ids string, who int) {
	t.Helper()
	for line := range strings.Lines(ids) {
		line = strings.TrimSpace(line)
		switch key, value, _ := strings.Cut(line, ":"); {
		case who == 0:
		case key == "Uid" || key == "Gid":
			if want := fmt.Sprintf(" %[1]d %[1]d %[1]d %[1]d", who); value != want {
				t.Errorf("%s, want %s", line, want)
			}
		case strings.Trim(value, " 0") != "":
			t.Errorf("%s, want none", line)
		}
	}
	if !strings.Contains(ids, "Uid") {
		t.Errorf("no ids in %q", ids)
	}
}

// TestBecomeTwo wants an error if the files belong to two different users.
func TestBecomeTwo(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root can become another user
	}
	dir := t.TempDir()
	plant(t, dir, "dir 0755 1 /u", "dir 0755 2 /v")
	_, err := Become(dir+"/u/x", dir+"/v/x")
	if want := dir + "/u belongs to user 54321, but " + dir + "/v to user 54322"; !errors.Is(err, ErrOwner) || !strings.Contains(err.Error(), want) {
		t.Errorf("Become: %v, want %s", err, want)
	}
	if os.Geteuid() != 0 {
		t.Error("it became one of them")
	}
}
