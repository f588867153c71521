package packaging

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"service-monitor/pipeline"
	"service-monitor/pipeline/pipelinetest"
	"service-monitor/stages/classify"
	"service-monitor/stages/count"
	"service-monitor/stages/decode"
	"service-monitor/stages/journald/writer"
	"service-monitor/stages/journald/writer/journaltest"
	"service-monitor/stages/logsink"
	"service-monitor/test/recording"
)

// explanations returns the texts of the catalog by MESSAGE_ID.
func explanations(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, entry := range regexp.MustCompile(`(?m)^-- `).Split(read(t, catalogFile), -1)[1:] {
		id, text, _ := strings.Cut(entry, "\n")
		if _, twice := texts[id]; twice {
			t.Errorf("%s is explained twice", id)
		}
		texts[id] = text
	}
	return texts
}

// TestCatalog wants an explanation for each kind of line.
func TestCatalog(t *testing.T) {
	var ids []string
	shape := regexp.MustCompile(`^Subject: [^\n]+\nDefined-By: service-monitor\nDocumentation: [^\n]+\n\n.`)
	for id, text := range explanations(t) {
		ids = append(ids, id)
		if !shape.MatchString(text) {
			t.Errorf("%s: %s", id, text)
		}
		if rest := regexp.MustCompile(`@[A-Z_]+@`).ReplaceAllString(text, ""); strings.Contains(rest, "@") {
			t.Errorf("%s has an @ that is no field's: %s", id, text)
		}
	}
	wantSame(t, "MESSAGE_IDs", constants(t, linesSource, "id"), find("-- "+strings.Join(ids, "\n-- ")+"\n", `-- (.+)\n`))
}

// least has events of each kind with as few values as the kind can have.
var least = []count.Event{
	{Tally: &count.Tally{}, Transition: classify.Transition{Kind: classify.Seen, Unit: "a.service", To: "unloaded"}},
	{Tally: &count.Tally{}, Transition: classify.Transition{Kind: classify.Restarted, Unit: "a.service", Recovered: true}},
	{Tally: &count.Tally{}, Transition: classify.Transition{Kind: classify.Restarted, Unit: "a.service", Missed: true}}, // causes lines about a start and a stop, too
	{Tally: &count.Tally{}, Transition: classify.Transition{Kind: classify.Crashed, Unit: "a.service", Invocation: decode.Invocation{1}, Cause: classify.Cause{Result: "timeout"}}},
	{Tally: &count.Tally{}, Transition: classify.Transition{Kind: classify.GaveUp, Unit: "a.service"}},
	{Tally: &count.Tally{}, Transition: classify.Transition{Kind: classify.GaveUp, Unit: "a.service", Cause: classify.Cause{Result: classify.StartLimitHit}}},
	{Tally: &count.Tally{}, Transition: classify.Transition{Kind: classify.Forgotten, Unit: "a.service", From: "active"}},
}

// TestCatalogFields wants each entry in the journal to have the fields that its explanation shows.
// For a missing field journalctl(1) would show @FIELD@.
func TestCatalogFields(t *testing.T) {
	entries := written(t, func(g *pipeline.Graph, _ logrus.FieldLogger) *pipeline.Stream[count.Event] {
		return pipeline.Source(g, "player", pipelinetest.Play(least...))
	})
	files, err := filepath.Glob("../e2e/testdata/recordings/*/*.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		r, err := recording.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, written(t, func(g *pipeline.Graph, log logrus.FieldLogger) *pipeline.Stream[count.Event] {
			updates := pipeline.Add(g, "decode", pipeline.Source(g, "player", pipelinetest.Play(r.Signals...)), decode.New(log))
			transitions := pipeline.Add(g, "classify", updates, classify.New(nil, func() {}))
			return pipeline.Add(g, "count", transitions, count.New(log, nil, count.Now()))
		})...)
	}
	all := explanations(t)
	seen := make(map[string]bool)
	for _, entry := range entries {
		id := entry["MESSAGE_ID"]
		seen[id] = true
		for _, field := range find(all[id], `@([A-Z_]+)@`) {
			if entry[field] == "" {
				t.Errorf("%q has no %s, which its explanation shows", entry["MESSAGE"], field)
			}
		}
	}
	for id, text := range all {
		if !seen[id] && strings.Contains(text, "@") {
			t.Errorf("%s was not tried: %s", id, text)
		}
	}
}

// written returns the entries that the journal gets for the events of a source.
func written(t *testing.T, source func(*pipeline.Graph, logrus.FieldLogger) *pipeline.Stream[count.Event]) (entries []map[string]string) {
	t.Helper()
	journald := journaltest.Start(t)
	j, err := writer.Open(journald.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	log := logrus.New()
	log.SetOutput(t.Output())
	g := pipeline.New(nil)
	pipeline.Sink(g, "logsink", source(g, log), logsink.New(logsink.Config{
		File: new(strings.Builder), Journal: j, Notes: logsink.NewNotes(nil), Debug: func() bool { return true },
	}))
	if err := g.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; { // the source sends a few at a time
		entries = append(entries, journald.Read()...)
		done = j.Retry()
	}
	return append(entries, journald.Read()...)
}
