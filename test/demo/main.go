// Command demo boots a throw-away gateway whose services are the default ones, and
// lets some of them misbehave. It shows the log as it grows. At the end it shows the
// counters in the state file, the history, the status and why mosquitto crashed. It
// needs root.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"service-monitor/test/gateway"
)

//go:embed units.json
var units []byte

const (
	daemonPath = "/opt/service-monitor"
	logFile    = "/var/log/service-monitor/service-monitor.log"
	stateFile  = "/var/lib/service_monitor/service_states.json"
	unitFile   = "systemd/service-monitor.service"
)

func main() {
	length := flag.Duration("for", 15*time.Second, "how long to watch")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: demo [-for 15s] path/of/service-monitor (from the top of the checkout, as root)")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flag.Arg(0), *length); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, daemon string, length time.Duration) (err error) {
	options, err := options(daemon)
	if err != nil {
		return err
	}
	fmt.Println("booting a gateway ...")
	m, err := gateway.Boot(ctx, options)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := m.Close(); err == nil {
			err = closeErr
		}
	}()
	fmt.Printf("its log, for %v (Ctrl-C ends it sooner):\n\n", length)
	if err := watch(ctx, m, length); err != nil {
		return err
	}
	return show(m)
}

func options(daemon string) (gateway.Options, error) {
	var o gateway.Options
	if err := json.Unmarshal(units, &o.Units); err != nil {
		return o, err
	}
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		return o, err
	}
	if daemon, err = filepath.Abs(daemon); err != nil {
		return o, err
	}
	o.Units["service-monitor.service"] = string(unit)
	o.Files = map[string]string{
		"/etc/systemd/system/service-monitor.service.d/demo.conf": "[Service]\nExecStart=\nExecStart=" + daemonPath + "\n",
	}
	o.Binds = map[string]string{daemonPath: daemon}
	o.Users = []string{"service-monitor"}
	return o, nil
}

// watch shows the log while the services live their lives.
func watch(ctx context.Context, m *gateway.Machine, length time.Duration) error {
	if _, err := m.Run(ctx, "systemctl", "start", "service-monitor"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	tail := m.Command(ctx, "tail", "-n", "+1", "-F", logFile)
	tail.Stdout = os.Stdout
	if err := tail.Start(); err != nil {
		return err
	}
	m.Run(ctx, "systemctl", "start", "--no-block", "gateway.target") // it fails only if the time is over
	<-ctx.Done()
	tail.Wait() // it was killed
	return nil
}

// show stops the monitor, so that it saves. Then it prints the counters, the history, the status from
// before the stop, and why mosquitto crashed.
func show(m *gateway.Machine) error {
	status, _ := m.Run(context.Background(), daemonPath, "status") // it fails if something needs attention
	if _, err := m.Run(context.Background(), "systemctl", "stop", "service-monitor"); err != nil {
		return err
	}
	state, err := m.ReadFile(stateFile)
	if err != nil {
		return err
	}
	fmt.Printf("\nthe counters in %s:\n\n", stateFile)
	if err := sum(os.Stdout, []byte(state)); err != nil {
		return err
	}
	history, err := m.Run(context.Background(), daemonPath, "history")
	if err != nil {
		return err
	}
	why, err := m.Run(context.Background(), daemonPath, "why", "mosquitto")
	if err != nil {
		return err
	}
	fmt.Printf("\nservice-monitor history:\n\n%s\nservice-monitor status:\n\n%s\nservice-monitor why mosquitto:\n\n%s", history, status, why)
	return nil
}

// sum prints only the counters of a state file, because the whole file is longer than a screen.
func sum(to io.Writer, state []byte) error {
	var services map[string]struct {
		State                  string `json:"last_state"`
		Starts, Stops, Crashes int
		Unknown, Restarts      int
	}
	if err := json.Unmarshal(state, &services); err != nil {
		return fmt.Errorf("cannot read the state file: %w", err)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "service\tstate\tstarts\tstops\tcrashes\tunknown\trestarts")
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s := services[name]
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\n", name, s.State, s.Starts, s.Stops, s.Crashes, s.Unknown, s.Restarts)
	}
	return table.Flush()
}
