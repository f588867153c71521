//go:build profile

package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// With -tags profile, the daemon profiles itself from the start until it gets SIGUSR2. The
// profile goes to the file that MONITOR_PROFILE names, and the allocations to FILE.allocs
// beside it. The shipped program has no such code.
func init() {
	path := os.Getenv("MONITOR_PROFILE")
	if path == "" {
		return
	}
	cpu, err := os.Create(path + ".part")
	if err == nil {
		err = pprof.StartCPUProfile(cpu)
	}
	if err != nil {
		panic(err)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGUSR2)
	go func() {
		<-end
		pprof.StopCPUProfile()
		if allocs, err := os.Create(path + ".allocs"); err == nil {
			pprof.Lookup("allocs").WriteTo(allocs, 0)
			allocs.Close()
		}
		cpu.Close()
		os.Rename(path+".part", path) // it is complete
	}()
}
