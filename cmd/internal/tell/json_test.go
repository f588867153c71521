package tell

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// Each record becomes one object for each kind of event. The objects add up to the counts.
func TestJSON(t *testing.T) {
	d := night()
	sums := map[string]map[string]int64{}
	for _, r := range d.records {
		var b bytes.Buffer
		if err := WriteJSON(&b, &r); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			var e Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			if sums[e.Unit] == nil {
				sums[e.Unit] = map[string]int64{}
			}
			sums[e.Unit][e.Kind] += e.Count
			if e.Kind == "crash" && (e.Text == "" || e.Signal == nil && e.Code == nil) {
				t.Errorf("no cause: %s", line)
			}
		}
	}
	if got, want := sums[gateway]["crash"], d.counts[gateway].Crashes; got != want {
		t.Errorf("%d crashes, want %d", got, want)
	}
	if got, want := sums[gateway]["start"], d.counts[gateway].Starts; got != want {
		t.Errorf("%d starts, want %d", got, want)
	}
}
