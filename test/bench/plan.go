package main

import "time"

// A plan says how much of everything.
type plan struct {
	rounds  int   // of storms
	sizes   []int // services, of storms and at rest
	signals int   // of a storm

	starts, idleRounds int
	settle, idle       time.Duration

	realRounds       int
	swarm, swarmRuns int // units that crash, and how often each runs
	loop             time.Duration
	kills            int

	singles           int           // crashes
	dayFirst, dayRest time.Duration // of a unit that crashes all day

	pulseRounds int
	pulse       time.Duration // how long a unit is restarted every 50 ms

	growUnits, growRates []int // watched units; events per second
	grow                 time.Duration
	growRounds           int
}

var full = plan{
	rounds: 5, sizes: []int{12, 200}, signals: 100_000,
	starts: 10, idleRounds: 2, settle: 12 * time.Second, idle: time.Minute,
	realRounds: 3, swarm: 200, swarmRuns: 21, loop: 20 * time.Second, kills: 50,
	singles: 5, dayFirst: time.Minute, dayRest: 3 * time.Minute,
	pulseRounds: 3, pulse: 20 * time.Second,
	growUnits: []int{12, 100, 1000, 10_000}, growRates: []int{1, 10, 100, 1000}, grow: 10 * time.Second, growRounds: 2,
}

// brief shows that each part works.
var brief = plan{
	rounds: 1, sizes: []int{12}, signals: 10_000,
	starts: 1, idleRounds: 1, settle: 2 * time.Second, idle: 2 * time.Second,
	realRounds: 1, swarm: 10, swarmRuns: 4, loop: time.Second, kills: 5,
	singles: 1, dayFirst: time.Second, dayRest: time.Second,
	pulseRounds: 1, pulse: 2 * time.Second,
	growUnits: []int{12, 100}, growRates: []int{100, 1000}, grow: 2 * time.Second, growRounds: 1,
}
