package main

import (
	"context"
	"fmt"
	"net"
)

// stuckReaders is how many listeners of the feed read nothing.
const stuckReaders = 50

// listeners are connections to the feed from which nobody reads.
type listeners []net.Conn

// listen connects n listeners to the feed of a run.
func (r *run) listen(n int) (listeners, error) {
	var all listeners
	for range n {
		conn, err := net.Dial("unix", r.file(feedName))
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, conn)
	}
	return all, nil
}

func (l listeners) close() {
	for _, conn := range l {
		conn.Close()
	}
}

// readers compares a storm in which many listen to the daemon's feed and read nothing with a storm in
// which nobody listens. The two are in each round.
func (b *bench) readers(ctx context.Context) error {
	s, err := bootSite(ctx, b.binds, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	c, n := daemon(monitor), b.plan.sizes[0]
	report := b.reporter(loadReaders, fmt.Sprintf("%d signals of %d services, %d readers", b.plan.signals, n, stuckReaders), c)
	for round := range b.plan.storms.all {
		var found [2]map[string]float64 // without and with readers
		for i := range found {
			with := (round + i) % 2
			found[with] = map[string]float64{}
			err := s.storm(ctx, c, n, b.plan.signals, with*stuckReaders, func(name string, value float64) { found[with][name] = value })
			if err != nil {
				return err
			}
		}
		report(readersCPU, found[1][cpuPerSignals]/found[0][cpuPerSignals])
		report(moreRSS, found[1][peakRSS]-found[0][peakRSS])
		report(lost, found[1][lost])
	}
	return nil
}
