package topics

import (
	"fmt"
	"time"
)

// A lost is what Lost says, as JSON.
type lost struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"` // kindLost
	Text    string    `json:"text"`
	Events  uint64    `json:"events"`
	Units   int       `json:"units"`
	AtLeast bool      `json:"at_least,omitempty"`
}

const kindLost = "lost"

func lostOf(l Lost, now time.Time) lost {
	return lost{now, kindLost, l.text(), l.Events, l.Units, l.AtLeast}
}

// text says it in words. The counts are those of the state, which has them all.
func (l *Lost) text() string {
	text := fmt.Sprintf("%s of %s lost, counters are right", plural(l.Events, "event"), plural(uint64(max(l.Units, 0)), "unit"))
	if l.AtLeast {
		text = "at least " + text
	}
	return text
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
