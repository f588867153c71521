package metrics

import dto "github.com/prometheus/client_model/go"

// A metric is one name, what its values mean, and the names of its labels.
type metric struct {
	name, help string
	kind       dto.MetricType
	labels     []string
}

// inOrder are all metrics, in the order in which they are told.
var inOrder []*metric

func newMetric(name, help string, kind dto.MetricType, labels []string) *metric {
	m := &metric{name, help, kind, labels}
	inOrder = append(inOrder, m)
	return m
}

func counter(name, help string, labels ...string) *metric {
	return newMetric("service_monitor_"+name, help, dto.MetricType_COUNTER, labels)
}

func gauge(name, help string, labels ...string) *metric {
	return newMetric("service_monitor_"+name, help, dto.MetricType_GAUGE, labels)
}

// The metrics of a unit.
var (
	unitStarts      = counter("unit_starts_total", "How often the service started. Each run counts once, by its invocation id.", "name")
	unitStops       = counter("unit_stops_total", "How many runs of the service ended well. A crash is not also a stop.", "name")
	unitCrashes     = counter("unit_crashes_total", "How many runs of the service ended with another result than success.", "name")
	unitUnknownEnds = counter("unit_unknown_ends_total", "How many runs of the service ended while nobody watched, and no record tells how.", "name")
	unitRestarts    = counter("unit_restarts_total", "How many starts of the service systemd scheduled itself, by Restart=. They are starts, too.", "name")
	unitByResult    = counter("unit_crashes_by_result_total", "How many crashes of the service had this result of systemd. Crashes of before the monitor knew results are in none.", "name", "result")
	unitSeconds     = counter("unit_state_seconds_total", "How long the service was up, down after a crash, stopped, or not observed.", "name", "state")
	unitState       = gauge("unit_state", "1 for the state in which systemd has the service now, and 0 for each other one.", "name", "state")
	unitHealth      = gauge("unit_health", "1 for the word that service-monitor status has for the service now, and 0 for each other one.", "name", "health")
	unitGaveUp      = gauge("unit_gave_up", "1 if the service is down and systemd does not restart it any more, because of its start limit or because the restart failed.", "name")
	unitAtLeast     = gauge("unit_at_least", "1 if something may have happened that nobody saw and no record tells, so that the counts of the service are lower bounds.", "name")
	unitLastChange  = gauge("unit_last_change_timestamp_seconds", "When the service entered its present state. It is absent if the clock was wrong at that time.", "name")
	unitLastCrash   = gauge("unit_last_crash_timestamp_seconds", "When the service crashed last. It is absent if it never did, and if the clock was wrong at that time.", "name")
)

// The metrics of the monitor itself.
var (
	busConnected = gauge("bus_connected", "1 if the monitor runs and is connected to systemd. 0 if it does not see what happens now.")
	troubles     = gauge("troubles", "How many things are wrong with the monitor, as service-monitor status lists them. 0 if all is well.")
	reconnects   = counter("bus_reconnects_total", "How often the monitor connected to the system bus again since it was started.")
	received     = counter("signals_received_total", "How many signals of the system bus the monitor took, since it was started.")
	refused      = counter("signals_refused_total", "How many signals the monitor refused, since it was started: forged, malformed, or about no service that it watches.")
	recovered    = counter("events_recovered_total", "How many events the monitor read in the journal later, since it was started, because nobody watched when they happened.")
	gaps         = counter("gaps_total", "How often the monitor had to look up in the journal what nobody watched, since it was started.")
	gapOpen      = gauge("gap_open", "1 if the journal cannot be read, so that something that nobody watched is not counted yet.")
	saveFailures = counter("save_failures_total", "How often the state could not be saved, since the monitor was started. It is tried again.")
	logFailures  = counter("log_write_failures_total", "How often a line could not be written to the log, since the monitor was started.")
	stageStalls  = counter("stage_stalls_total", "How often a stage of the monitor did not answer in time, since the monitor was started.", "stage")
	written      = counter("written_bytes_total", "How many bytes the monitor wrote, since it was started.", "file")
	clockTrusted = gauge("clock_trusted", "1 if the clock of the gateway is set, so that the times are right.")
	buildInfo    = gauge("build_info", "Always 1. The labels are the versions of this program and of the monitor that it asks.", "version", "monitor")
)
