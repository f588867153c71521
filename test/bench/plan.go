package main

import "time"

// rounds says how often a load runs. The contestants with targets and the floor are in all rounds,
// and the others only in some.
type rounds struct{ all, others int }

// A plan says how often and how long everything is measured.
type plan struct {
	sizes []int // numbers of services in storms, in starts and at rest

	storms  rounds
	signals int // of a storm

	starts rounds

	// settle is how long after a start or a crash everything about it is written. The daemon
	// writes a summary after a minute. soon is when all but the summary is written.
	settle, soon time.Duration
	idles        int // windows
	idle         time.Duration
	singles      int // crashes

	reals            rounds
	swarm, swarmRuns int // units that crash, and how often each runs
	loop             time.Duration
	kills            int

	dayFirst, dayRest time.Duration // of a unit that crashes all day

	pulses rounds
	pulse  time.Duration // for this time a unit is restarted every 50 ms

	grows                rounds
	growUnits, growRates []int // watched units; events per second
	grow                 time.Duration
	still                time.Duration // how long memory must not change to be at rest

	crowd, crowds int // number of past instances of a glob, and of starts with them
}

var full = plan{
	sizes:  []int{12, 200},
	storms: rounds{4, 2}, signals: 100_000,
	starts: rounds{10, 3},
	settle: 65 * time.Second, soon: 12 * time.Second,
	idles: 4, idle: time.Minute, singles: 3,
	reals: rounds{3, 1}, swarm: 200, swarmRuns: 21, loop: 20 * time.Second, kills: 50,
	dayFirst: 17 * time.Minute, dayRest: 32 * time.Minute, // in which the daemon saves twice, as it then does all day
	pulses: rounds{3, 1}, pulse: 15 * time.Second,
	grows: rounds{2, 1}, growUnits: []int{fixedUnits, 100, 1000, 10_000}, growRates: []int{1, 10, 100, fixedRate}, grow: 5 * time.Second,
	still: 2 * time.Second,
	crowd: 20_000, crowds: 10,
}

// brief only shows that each part works.
var brief = plan{
	sizes:  []int{12},
	storms: rounds{1, 1}, signals: 10_000,
	starts: rounds{1, 1},
	settle: 2 * time.Second, soon: 2 * time.Second,
	idles: 1, idle: 2 * time.Second, singles: 1,
	reals: rounds{1, 1}, swarm: 10, swarmRuns: 4, loop: time.Second, kills: 5,
	dayFirst: time.Second, dayRest: time.Second,
	pulses: rounds{1, 1}, pulse: time.Second,
	grows: rounds{1, 1}, growUnits: []int{fixedUnits, 100}, growRates: []int{slowRate, fixedRate}, grow: time.Second,
	still: 200 * time.Millisecond,
	crowd: 600, crowds: 1,
}

// limit sets all rounds to n.
func (p *plan) limit(n int) {
	for _, r := range []*rounds{&p.storms, &p.starts, &p.reals, &p.pulses, &p.grows} {
		r.all, r.others = n, min(n, r.others)
	}
	p.idles, p.singles, p.crowds = n, n, n
}
