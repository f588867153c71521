package bus

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/catchup"
)

// The status says that the journal is being read if that takes long.
func TestReading(t *testing.T) {
	for _, tt := range []struct {
		phase catchup.Phase
		since time.Duration
		want  string
	}{
		{catchup.Reading, slowRead, ""},
		{catchup.Reading, slowRead + 1, "reading the journal since "},
		{catchup.ClosingAgain, time.Hour, "reading the journal since "},
		{catchup.Settling, time.Hour, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := New(logrus.New(), nil, 0, 0)
			s.state.Phase, s.gap.reading = tt.phase, time.Now()
			time.Sleep(tt.since)
			if got := s.reading(); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("%v for %v: %q, want %q", tt.phase, tt.since, got, tt.want)
			}
		})
	}
}
