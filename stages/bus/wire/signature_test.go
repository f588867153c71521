package wire

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestSignature(t *testing.T) {
	rep := strings.Repeat
	tests := []struct {
		name, sig string
		want      bool
	}{
		{"every basic type", "ybnqiuxtdsoghv", true},
		{"unknown type", "yr", false},
		{"array of nothing", "a", false},
		{"array of nothing in a struct", "(a)", false},
		{"empty struct", "()", false},
		{"open struct", "(y", false},
		{"closed struct", "y)", false},
		{"dict entry alone", "{sv}", false},
		{"dict entry in a struct", "({sv})", false},
		{"dict entry with one type", "a{s}", false},
		{"dict entry with three types", "a{sss}", false},
		{"open dict entry", "a{sv", false},
		{"open dict entry with an array", "a{say", false},
		{"dict by variant", "a{vs}", false},
		{"dict by array", "a{ays}", false},
		{"dict by struct", "a{(y)s}", false},
		{"dict of dict", "a{ya{ya{yv}}}", true},
		{"crossed brackets", "a{s(y})", false},
		{"NUL", "y\x00", false},
		{"32 arrays", rep("a", 32) + "y", true},
		{"33 arrays", rep("a", 33) + "y", false},
		{"33 arrays, the last of dict entries", rep("a", 33) + "{yy}", false},
		{"32 structs", rep("(", 32) + "y" + rep(")", 32), true},
		{"33 structs", rep("(", 33) + "y" + rep(")", 33), false},
		{"32 arrays of 32 structs", rep("a", 32) + rep("(", 32) + "y" + rep(")", 32), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader([]byte(string(rune(len(tt.sig)))+tt.sig+"\x00"), binary.LittleEndian)
			if got := string(r.Signature()); r.Done() != tt.want || tt.want && got != tt.sig {
				t.Errorf("Signature() = %q, %v, want accepted: %v", got, r.Err(), tt.want)
			}
			r = NewReader(make([]byte, 256), binary.LittleEndian)
			if r.Skip([]byte(tt.sig)); !tt.want && r.Err() == nil {
				t.Errorf("Skip(%q) reads", tt.sig)
			}
		})
	}
}
