package tell

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the page begins with is less than what it gets later, and never something else: where a key is
// missing, it is false later.
func TestWritePage(t *testing.T) {
	s := gatewayStatus()
	var page, live bytes.Buffer
	if err := s.WritePage(&page, true, 7); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteLive(&live, true, 7); err != nil {
		t.Fatal(err)
	}
	var got, want struct {
		Monitor map[string]any
		Units   []map[string]any
		Seq     int
	}
	for text, to := range map[*bytes.Buffer]any{&page: &got, &live: &want} {
		if err := json.Unmarshal(text.Bytes(), to); err != nil {
			t.Fatal(err)
		}
	}
	for i, u := range want.Units {
		for key, value := range u {
			_, is := got.Units[i][key]
			switch crash, nested := value.(map[string]any); {
			case nested && is:
				u[key] = map[string]any{"ago_seconds": crash["ago_seconds"]}
			case !is && (value != false || key == "retrying" || key == "gave_up"):
				delete(u, key) // the page does not show it
			case !is:
				got.Units[i][key] = false
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want.Units) != len(s.Units) {
		t.Errorf("(-live +page):\n%s", diff)
	}
}
