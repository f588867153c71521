package row

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func short(text string) error {
	if len(text) > 3 {
		return errors.New("is too long")
	}
	return nil
}

// TestTexts sets values of strings, and wants the old one to stay after an error.
func TestTexts(t *testing.T) {
	var text, choice string
	var list []string
	for _, tt := range []struct {
		name    string
		value   Value
		raw     string
		want    any
		message string
	}{
		{"text", Text{&text, "a", "b", short}, `"xyz"`, "xyz", ""},
		{"text too long", Text{&text, "a", "b", short}, `"wxyz"`, "a", "is too long"},
		{"text is the default", Text{&text, "long default", "b", short}, `"long default"`, "long default", ""},
		{"text is a number", Text{&text, "a", "b", short}, `7`, "a", `must be a string such as "b", found the number 7`},
		{"choice", Choice{&choice, []string{"one", "two"}}, `"two"`, "two", ""},
		{"another choice", Choice{&choice, []string{"one", "two"}}, `"three"`, "one", `must be one of one, two, found the string "three"`},
		{"list", Texts{&list, "a*", short}, `["a","b"]`, []string{"a", "b"}, ""},
		{"empty list", Texts{&list, "a*", short}, `[]`, []string{}, ""},
		{"list with null", Texts{&list, "a*", short}, `["a",null]`, []string(nil), `must be a list of strings such as ["a*"], found a list`},
		{"list with a bad entry", Texts{&list, "a*", short}, `["a","wxyz"]`, []string(nil), "entry 2 is too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.value.Reset()
			err := tt.value.Set([]byte(tt.raw))
			if got := errorText(err); got != tt.message {
				t.Errorf("message (-want +got):\n-%s\n+%s", tt.message, got)
			}
			if diff := cmp.Diff(tt.want, tt.value.Get()); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
