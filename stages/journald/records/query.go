package records

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// currentBoot returns the boot id. It comes from the journal if a sandbox hides /proc/sys.
func currentBoot(ctx context.Context) (boot string, err error) {
	if boot := Boot(); boot != "" {
		return boot, nil
	}
	err = journalctl(ctx, []string{"--lines=1"}, func(r *record) (bool, error) { boot = r.boot; return true, nil })
	return boot, err
}

// boots finds out how an earlier boot ended. It was shut down if the last record of its journald
// says that journald stops.
func boots(ctx context.Context, boot string) (how string, at time.Time, err error) {
	how = Unknown
	err = journalctl(ctx, []string{"--lines=1", "_BOOT_ID=" + boot}, func(r *record) (bool, error) {
		how, at = PowerLoss, r.at
		if r.driver && r.message == journalStopped {
			how = Shutdown
		}
		return true, nil
	})
	return how, at, err
}

// goneAt reports whether the entry with the number of a place is not in the journal any more.
func goneAt(ctx context.Context, place Place) (gone bool, err error) {
	gone = true
	err = journalctl(ctx, []string{"--cursor=" + string(place)}, func(r *record) (bool, error) {
		gone = r.place.part('s') != place.part('s') || r.place.part('i') != place.part('i')
		return false, nil
	})
	return gone, err
}

// matches are the journalctl(1) matches of all records that matter, each together with also.
func matches(also ...string) []string {
	args := append([]string{"_PID=1"}, also...) // anybody may write UNIT= into the journal
	for _, id := range []string{started, starting, startFailed, stopping, failed, succeeded, skipped, processExited, restartSet} {
		args = append(args, "MESSAGE_ID="+id)
	}
	args = append(append(args, "+", "_PID=1", "CODE_FUNC=manager_override_log_level", "CODE_FUNC=manager_override_log_target"), also...)
	args = append(append(args, "+", "_TRANSPORT=driver", "MESSAGE_ID="+suppressed), also...)
	return append(append(args, "+", "MESSAGE_ID="+markID), also...)
}

// journalctl calls take with the records that journalctl(1) finds, until take has enough or
// fails. It is no error if there are none.
func journalctl(ctx context.Context, args []string, take func(*record) (more bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "journalctl", append([]string{"--quiet", "--output=export", "--output-fields=" + fields}, args...)...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	more, err := true, error(nil)
	for in := bufio.NewReader(out); more && err == nil; {
		var r record
		if r, err = read(in); err == nil {
			more, err = take(&r)
		}
	}
	if !errors.Is(err, io.EOF) {
		cancel()
		_ = cmd.Wait() // we ended it, or err says more
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return nil
}
