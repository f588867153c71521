package main

import (
	"context"
	"fmt"
)

// starts measures starts of the contestants while services run.
func (b *bench) starts(ctx context.Context) error {
	for _, n := range b.plan.sizes {
		if err := b.startAmong(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) startAmong(ctx context.Context, n int) error {
	s, names, err := b.idleSite(ctx, n)
	if err != nil {
		return err
	}
	defer s.Close()
	for round := range b.plan.starts.all {
		for _, c := range b.turns(loadStart, round, b.plan.starts) {
			if err := s.startTwice(c, names, b.reporter(loadStart, fmt.Sprintf("%d services", n), c)); err != nil {
				return err
			}
		}
	}
	return nil
}

// startTwice measures a start without files, and one with the files of the first. Children are counted
// until the stop, which follows at once.
func (s *site) startTwice(c contestant, units []string, report func(string, float64)) error {
	first, err := s.launch(c, units, launchOptions{})
	if err != nil {
		return err
	}
	first.Stop()
	again, err := s.launch(c, units, launchOptions{again: first})
	if err != nil {
		return err
	}
	again.Stop()
	report(ready, milliseconds(first.ready))
	report(readyAgain, milliseconds(again.ready))
	report(cpuToReady, milliseconds(first.began.own+first.Children()))
	report(childCPU, milliseconds(first.Children()))
	return nil
}
