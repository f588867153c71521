package classify

import "service-monitor/stages/decode"

// A Rule says by which rule a Transition was made. Together with its Source it is the evidence
// for what was counted.
type Rule uint8

// The rules.
const (
	NoRule        Rule = iota // nothing was counted
	FirstSight                // nothing was known of the unit before
	NewState                  // the active state or the sub state has changed
	NewInvocation             // there is an InvocationID that was not there before
	DownAfterRun              // the unit is down, and it ran before
	NextRun                   // the next run has begun, and nothing shows how this one ended
	BootOver                  // the boot in which it ran is over
	NRestartsGrew             // NRestarts is larger than before
	RestartLacks              // there were more restarts than changes or records showed
	GivenUpState              // the unit has failed for good, after it was to be restarted
	RestartJob                // the job of its restart is over, and has begun no run
	Record                    // PID 1 wrote it into the journal
	rules
)

var ruleNames = [rules]string{
	"", "first-sight", "new-state", "new-invocation", "down-after-run", "next-run", "boot-over", "n-restarts-grew", "restart-lacks",
	"failed-for-good", "restart-job-over", "record",
}

// String returns the name of the rule, as MONITOR_RULE has it.
func (r Rule) String() string { return ruleNames[r] }

// A Source is where a Transition was seen.
type Source uint8

// The sources.
const (
	Change   Source = iota // PropertiesChanged, which systemd sent
	Snapshot               // all properties of the unit at one time, as systemd answered
	Journal                // records of PID 1 in the journal
	sources
)

var sourceNames = [sources]string{"change", "snapshot", "journal"}

// String returns the name of the source, as MONITOR_EVIDENCE has it.
func (s Source) String() string { return sourceNames[s] }

// source returns where an update comes from.
func source(k decode.Kind) Source {
	switch k {
	case decode.Changed:
		return Change
	case decode.Past:
		return Journal
	}
	return Snapshot
}
