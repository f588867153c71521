package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// firstLimit is the memory limit of the Go runtime while the history is read for the first time.
	firstLimit = 24 << 20
	// memoryLimit is the one afterwards.
	memoryLimit = 5 << 20
)

// spare makes the program small: one thread for Go code, and a heap that is collected when it has grown by
// half. There is little to do, and a gateway has little memory.
func spare() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	limitMemory(firstLimit)
}

func limitMemory(limit int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}

// giveBack gives all memory back that is not in use. It is called when all is published.
func giveBack() {
	debug.FreeOSMemory()
	limitMemory(memoryLimit)
}
