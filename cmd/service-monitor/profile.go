//go:build profile

package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// Built with -tags profile, the daemon profiles itself from the start into the
// file that MONITOR_PROFILE names, until it gets SIGUSR2. Beside it goes what was
// allocated, as FILE.allocs. What is shipped cannot do that.
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
