//go:build booted

package packaging

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// limit is far more time than any shell needs.
const limit = 2 * time.Minute

// The shells below have bound these keys.
const (
	tab  = "\t"
	all  = "\x18a" // insert all completions
	show = "\x18s" // write the line to file descriptor 3
	wipe = "\x18w" // delete the line
)

// A shell runs at a terminal, with a test in the place of the person at the keys.
type shell struct {
	t      *testing.T
	cmd    *exec.Cmd
	tty    *os.File
	shown  *os.File
	lines  *bufio.Reader
	screen bytes.Buffer
	read   chan struct{} // closed when all of the screen was read
}

// startShell starts a shell, and returns when it answers.
func startShell(t *testing.T, env []string, argv ...string) *shell {
	t.Helper()
	tty, end := openTerminal(t)
	shown, show, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, cmd: exec.Command(argv[0], argv[1:]...), tty: tty, shown: shown, lines: bufio.NewReader(shown), read: make(chan struct{})}
	s.cmd.Dir = t.TempDir()
	s.cmd.Env = append([]string{"TERM=dumb", "LC_ALL=C.UTF-8", "HOME=" + s.cmd.Dir}, env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = end, end, end
	s.cmd.ExtraFiles = []*os.File{show} // file descriptor 3
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("%v; make deps installs what is missing", err)
	}
	end.Close()
	show.Close()
	go func() { // if nobody read, the shell would wait
		defer close(s.read)
		io.Copy(&s.screen, tty)
	}()
	t.Cleanup(func() {
		if screen := s.stop(); t.Failed() {
			t.Logf("the screen:\n%s", screen)
		}
	})
	s.press("")
	return s
}

// stop ends the shell and returns the text of its screen.
func (s *shell) stop() string {
	s.cmd.Process.Kill()
	s.cmd.Wait()
	<-s.read // the terminal ends with the last program that has it open
	s.tty.Close()
	s.shown.Close()
	return s.screen.String()
}

// press presses keys at an empty line, and returns the line that they make.
func (s *shell) press(keys string) string {
	s.t.Helper()
	if _, err := s.tty.WriteString(keys + show + wipe); err != nil {
		s.t.Fatal(err)
	}
	s.shown.SetReadDeadline(time.Now().Add(limit))
	line, err := s.lines.ReadString('\n')
	if err != nil {
		s.t.Fatalf("the shell does not answer %q: %v", keys, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// openTerminal opens a new terminal (pty(7)). It returns our side and the side of a program.
func openTerminal(t *testing.T) (tty, end *os.File) {
	t.Helper()
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	end, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return tty, end
}

// startBash starts bash. bash loads the completions by itself, as it does when the packages are
// installed.
func startBash(t *testing.T, path string) *shell {
	t.Helper()
	dir := t.TempDir()
	for _, p := range programs {
		write(t, filepath.Join(dir, "completions", p.name), read(t, p.bash))
	}
	rc := filepath.Join(dir, "bashrc")
	write(t, rc, `. /usr/share/bash-completion/bash_completion
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
bind 'set completion-query-items -1'
bind '"\t": complete'
bind '"\C-xa": insert-completions'
bind '"\C-xw": kill-whole-line'
bind -x '"\C-xs": printf "%s\n" "$READLINE_LINE" >&3'
`)
	return startShell(t, []string{"PATH=" + path, "INPUTRC=/dev/null", "BASH_COMPLETION_USER_DIR=" + dir},
		"bash", "--noprofile", "--rcfile", rc, "-i")
}

// startZsh starts zsh in the same way.
func startZsh(t *testing.T, path string) *shell {
	t.Helper()
	dir := t.TempDir()
	for _, p := range programs {
		write(t, filepath.Join(dir, "functions", "_"+p.name), read(t, p.zsh))
	}
	write(t, filepath.Join(dir, ".zshrc"), `fpath=(`+dir+`/functions $fpath)
autoload -Uz compinit && compinit -D -u
setopt no_beep no_always_last_prompt
LISTMAX=1000
bindkey -e
zstyle ':completion:all:*' completer _all_matches _complete
zstyle ':completion:all:*' insert yes
zle -C all complete-word _generic
bindkey '^Xa' all
bindkey '^Xw' kill-whole-line
show() { print -r -- "$BUFFER" >&3 }
zle -N show
bindkey '^Xs' show
`)
	return startShell(t, []string{"PATH=" + path, "ZDOTDIR=" + dir}, "zsh", "-i")
}
