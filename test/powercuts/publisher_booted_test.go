//go:build booted

package powercuts

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"service-monitor/test/servers"
)

const (
	publisherProgram = "/run/service-monitor-mqtt"
	cursorDir        = "/cursor" // in a disk
)

// A broker has what a service-monitor-mqtt has published. It is another machine, so it has that after a power
// cut, too.
type broker struct {
	t      *testing.T
	socket string
	server *servers.Mosquitto
	sub    *exec.Cmd
	ended  chan struct{}

	mu     sync.Mutex
	events []string
	came   chan struct{} // is closed when another event has come
}

// startBroker starts a broker, and a client of it that keeps all events. had are events of before.
func startBroker(t *testing.T, had []string) *broker {
	t.Helper()
	socket := t.TempDir() + "/broker"
	b := &broker{t: t, socket: socket, ended: make(chan struct{}), events: slices.Clone(had), came: make(chan struct{})}
	b.server = servers.StartMosquitto(t, "listener 0 "+socket+"\nallow_anonymous true\nmax_queued_messages 0\n")
	args := []string{"--unix", socket, "-V", "5", "-q", "1", "-c", "-x", "4294967295", "-i", "recorder", "-F", "%p",
		"-t", "service-monitor/+/event", "-t", "service-monitor/+/+/event"}
	command(t, append([]string{"mosquitto_sub", "-E"}, args...)...) // from now on, the broker keeps them for it
	b.sub = exec.Command("mosquitto_sub", args...)
	b.sub.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := b.sub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.sub.Start(); err != nil {
		t.Fatal(err)
	}
	go b.listen(bufio.NewReader(out))
	return b
}

func (b *broker) listen(in *bufio.Reader) {
	defer close(b.ended)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		b.mu.Lock()
		b.events = append(b.events, strings.TrimSpace(line))
		close(b.came)
		b.came = make(chan struct{})
		b.mu.Unlock()
	}
}

// published returns the events that have come, each once, and what is closed when there is another one.
func (b *broker) published() ([]string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return once(b.events), b.came
}

// await waits until an event is there, and returns all.
func (b *broker) await(event string) []string {
	b.t.Helper()
	for late := time.After(limit); ; {
		all, came := b.published()
		if slices.Contains(all, event) {
			return all
		}
		select {
		case <-came:
		case <-late:
			b.t.Errorf("the broker has %d events, and not %s", len(all), event)
			return all
		}
	}
}

// acknowledged returns all that the broker has acknowledged so far. The client may not have it yet, so
// it awaits something that comes after that.
func (b *broker) acknowledged() []string {
	b.t.Helper()
	command(b.t, "mosquitto_pub", "--unix", b.socket, "-V", "5", "-q", "1", "-t", "service-monitor/test/event", "-m", marker)
	all := b.await(marker)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = slices.DeleteFunc(b.events, isMarker)
	return slices.DeleteFunc(all, isMarker)
}

// marker is no event.
const marker = "up to here"

func isMarker(event string) bool { return event == marker }

func (b *broker) stop() {
	b.sub.Process.Kill()
	<-b.ended
	b.sub.Wait()
	b.server.Stop(syscall.SIGKILL)
}

// once returns lines without repeats.
func once(lines []string) (list []string) {
	seen := map[string]bool{}
	for _, line := range lines {
		if !seen[line] {
			seen[line] = true
			list = append(list, line)
		}
	}
	return list
}

// A publisher is a service-monitor-mqtt that publishes what the monitor m has written on its disk.
type publisher struct {
	m   *monitor
	cmd *exec.Cmd
	out bytes.Buffer
}

// startPublisher starts a publisher. memory is its directory in the memory of the machine.
func startPublisher(m *monitor, disk, memory string) *publisher {
	m.t.Helper()
	p := &publisher{m: m}
	if err := os.MkdirAll(disk+cursorDir, 0o755); err != nil {
		m.t.Error(err)
	}
	p.cmd = exec.Command(publisherProgram, "--config", m.config, "--cursor", disk+cursorDir)
	p.cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/none", "MONITOR_BOOT_ID="+m.boot, "RUNTIME_DIRECTORY="+memory)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		m.t.Error(err)
	}
	return p
}

// signal sends a signal. With SIGTERM the publisher says goodbye, saves its cursor, and ends.
func (p *publisher) signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

// wait waits for the end after a signal.
func (p *publisher) wait() {
	p.m.t.Helper()
	err := p.cmd.Wait()
	if p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		return // it was killed, or did not yet listen for signals
	}
	if err != nil {
		p.m.t.Errorf("the publisher ended with %v\n%s", err, p.out.String())
	}
}

// wantPublished lets a publisher go on on the disk of a cut. The broker has to have each event of the history
// that it had not got before the cut, in order. What it had got has to be in the history as it was.
func (c *cut) wantPublished(t *testing.T, m *monitor, b *broker) {
	t.Helper()
	history := c.readEvents(t, m)
	if len(history) == 0 {
		return // the power was cut before anything had happened
	}
	p := startPublisher(m, fixed, t.TempDir())
	for {
		c.published = b.await(history[len(history)-1])
		// When the monitor is ready, the disk may not have all yet.
		now := c.readEvents(t, m)
		if slices.Equal(now, history) || t.Failed() {
			break
		}
		history = now
	}
	p.signal(syscall.SIGKILL)
	p.wait()
	got := c.published[max(0, slices.Index(c.published, history[0])):] // those before have made room for others
	got = slices.DeleteFunc(slices.Clone(got), func(e string) bool {
		// What came in the moment of the cut may have been published by the machine that went on. And a
		// cursor that is older than the history says how much is lost, also if the broker had got that.
		return slices.Contains(c.inDoubt, e) && !slices.Contains(history, e) || strings.Contains(e, `"kind":"lost"`)
	})
	if !slices.Equal(got, history) {
		t.Errorf("%s: history and broker differ:\n%s", c.name, firstDifference(history, got))
	}
}

// readEvents returns the events of the history as they are published.
func (c *cut) readEvents(t *testing.T, m *monitor) []string {
	t.Helper()
	const noInput = 66 // EX_NOINPUT: there is no history
	cmd := exec.Command(program, "history", "--json", "--all", "--config", m.config)
	out, err := cmd.Output()
	switch {
	case err == nil:
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	case cmd.ProcessState.ExitCode() != noInput || len(c.published) > len(c.inDoubt):
		t.Errorf("%s: history: %v; the broker has %d events, %d of them in doubt", c.name, err, len(c.published), len(c.inDoubt))
	}
	return nil
}

// firstDifference returns where two lists begin to differ.
func firstDifference(want, got []string) string {
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	return "- " + strings.Join(want[i:min(i+3, len(want))], "\n- ") + "\n+ " + strings.Join(got[i:min(i+3, len(got))], "\n+ ")
}
