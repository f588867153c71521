package main

import (
	"context"
	"fmt"
	"time"
)

// dayPause is the default RestartSec= of systemd.
const dayPause = "100ms"

// day measures what a unit writes that crashes all day: for some minutes, of which
// the first is counted once and the others stand for the rest of the day. All
// contestants watch the same unit, side by side, as they rest.
func (b *bench) day(ctx context.Context) error {
	s, err := bootSite(ctx, b.binds, map[string]string{"loop.service": fmt.Sprintf(crashUnit, 1<<30, dayPause)})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.prepareCrashes(); err != nil {
		return err
	}
	var all []*run
	for _, c := range b.contestants {
		r, err := s.launch(c, []string{"loop.service"}, launchOptions{})
		if err != nil {
			return err
		}
		defer r.Stop()
		all = append(all, r)
	}
	before := written(all)
	if _, err := s.Run(ctx, "systemctl", "start", "--no-block", "loop.service"); err != nil {
		return err
	}
	if err := sleep(ctx, b.plan.dayFirst); err != nil {
		return err
	}
	first := written(all)
	if err := sleep(ctx, b.plan.dayRest); err != nil {
		return err
	}
	rest := written(all)
	for i, r := range all {
		times := (24*time.Hour - b.plan.dayFirst).Seconds() / b.plan.dayRest.Seconds()
		b.reporter(loadDay, "RestartSec="+dayPause, r.of)(diskPerDay, (float64(first[i]-before[i])+float64(rest[i]-first[i])*times)/1e6)
	}
	return nil
}
