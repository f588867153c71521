package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"service-monitor/stages/bus/catchup"
)

// The status says that the journal is being read if that takes long.
func TestReading(t *testing.T) {
	s := New(logrus.New(), nil, 0, 0)
	for _, tt := range []struct {
		phase catchup.Phase
		since time.Duration
		want  string
	}{
		{catchup.Reading, slowRead - time.Second, ""},
		{catchup.Reading, time.Hour, "reading the journal since "},
		{catchup.ClosingAgain, time.Hour, "reading the journal since "},
		{catchup.Settling, time.Hour, ""},
	} {
		s.state.Phase, s.gap.reading = tt.phase, time.Now().Add(-tt.since)
		if got := s.reading(); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%v for %v: %q, want %q", tt.phase, tt.since, got, tt.want)
		}
	}
}
