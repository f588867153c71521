package pipelinetest

import "testing"

// Seeds returns how many of n random lives a test should live: all, or with -short one of ten.
// make test lives them all once. The race detector and an emulator take ten times as long for each,
// and would find what they look for in a few.
func Seeds(n uint64) uint64 {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}
