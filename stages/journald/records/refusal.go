package records

import (
	"context"
	"encoding/hex"
	"strings"
	"time"
)

// refusalLines is how many of the last records of a run are looked at.
const refusalLines = "64"

// notScheduled begins what PID 1 says where it cannot even schedule a restart. That record
// has no MESSAGE_ID.
const notScheduled = "Failed to schedule restart job"

// Refusal returns what PID 1 said when it could not restart a unit after a run. journald may
// not have stored that yet, so it is looked for until ctx is done; then it is empty. unit
// is the unit's own name.
func Refusal(ctx context.Context, unit string, after Invocation) string {
	args := []string{"--lines=" + refusalLines, "_PID=1", "UNIT=" + unit, "INVOCATION_ID=" + hex.EncodeToString(after[:])}
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		said := ""
		// An error may be over with the next try, too.
		_ = journalctl(ctx, args, func(r *record) (bool, error) {
			if text, ok := r.refusal(); ok {
				said = text
			}
			return true, nil
		})
		if said != "" {
			return said
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ""
		}
	}
}

// refusal returns what a record says of a restart that failed, without the name of the unit.
func (r *record) refusal() (text string, ok bool) {
	text = strings.TrimPrefix(r.text, r.unit+": ")
	return text, r.pid1 && (r.message == startFailed || r.message == "" && strings.HasPrefix(text, notScheduled))
}
