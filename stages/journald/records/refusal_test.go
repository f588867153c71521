package records

import "testing"

// What PID 1 says of a restart that failed is one of few records, and only its own.
func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    record
		want string
	}{
		{"not scheduled", record{pid1: true, text: "a.service: Failed to schedule restart job: Unit a.service not found."}, "Failed to schedule restart job: Unit a.service not found."},
		{"job failed", record{pid1: true, message: startFailed, text: "Dependency failed for A."}, "Dependency failed for A."},
		{"run failed", record{pid1: true, message: failed, text: "a.service: Failed with result 'exit-code'."}, ""},
		{"something else", record{pid1: true, text: "a.service: Consumed 1s CPU time."}, ""},
		{"not of PID 1", record{text: "a.service: Failed to schedule restart job: send money"}, ""},
	} {
		tt.r.unit = "a.service"
		got, ok := tt.r.refusal()
		if ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, ok, tt.want)
		}
	}
}
