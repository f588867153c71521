package packaging

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// help returns the help of the program.
func (p *program) help(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(p.binary, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// section returns the part of a text between two lines.
func section(t *testing.T, text, from, to string) string {
	t.Helper()
	_, text, begins := strings.Cut(text, "\n"+from+"\n")
	text, _, ends := strings.Cut(text, "\n"+to+"\n")
	if !begins || !ends {
		t.Fatalf("there is no section from %q to %q", from, to)
	}
	return text
}

// chapter returns the section of a manual with this name.
func chapter(t *testing.T, text, name string) string {
	t.Helper()
	_, text, found := strings.Cut(text, "\n.SH "+name+"\n")
	if !found {
		t.Fatalf("there is no section %s", name)
	}
	text, _, _ = strings.Cut(text, "\n.SH ")
	return text + "\n"
}

// plain removes from a text the marks of roff(7) that the tests meet.
func plain(text string) string {
	return strings.NewReplacer(`\-`, "-", `\fR`, "").Replace(text)
}

// constants returns the values of the constants of a Go file whose names begin with prefix.
func constants(t *testing.T, file, prefix string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		for i := 0; ok && i < len(spec.Values); i++ {
			if value, literal := spec.Values[i].(*ast.BasicLit); literal && strings.HasPrefix(spec.Names[i].Name, prefix) {
				values = append(values, strings.Trim(value.Value, `"`))
			}
		}
		return true
	})
	if slices.Sort(values); len(values) == 0 {
		t.Fatalf("%s has no constant %s…", file, prefix)
	}
	return values
}

const linesSource = "../../stages/logsink/line.go"

func wantSame(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-program +text):\n%s", what, diff)
	}
}

func TestKeys(t *testing.T) {
	_, list, _ := strings.Cut(monitor.help(t), "\nKeys of the configuration file")
	list, _, _ = strings.Cut(list, "\n\n")
	keys := find(list, `(?m)^  ([a-z_]+)  `)
	text := plain(read(t, fileManual))
	wantSame(t, "keys", keys, find(section(t, text, ".SH KEYS", ".SH RELOADING"), `(?m)^\.TP\n\.BR ([a-z_]+) `))
	// The keys that are not used are named in both, too.
	unused := find(list, `(?m)^  ([a-z_]+, [a-z_*]+)$`)
	for name := range strings.SplitSeq(strings.Join(unused, ", "), ", ") {
		if len(unused) != 1 || !strings.Contains(text, "\n.B "+name+"\n") {
			t.Errorf("%q is not used, which the manual does not say", name)
		}
	}
	// The manual says the same about each key as the help.
	for _, word := range find(list, `(\d+)\)`) {
		if !strings.Contains(text, "Default: "+word+".") {
			t.Errorf("no key has the default %s", word)
		}
	}
	// The example must be a valid configuration.
	example := strings.ReplaceAll(section(t, text, ".SH EXAMPLE\n.EX", ".EE"), `\(dq`, `"`)
	file := t.TempDir() + "/config.json"
	write(t, file, example)
	if out := run(t, monitor.binary, "--check", "--config", file); !strings.HasSuffix(out, "\nthe configuration is good: 3 services\n") {
		t.Errorf("the example: %s", out)
	}
}

// TestRanges tries the two ends of the range that the manual has for each key, and the values
// beyond them.
func TestRanges(t *testing.T) {
	text := plain(read(t, fileManual))
	file := t.TempDir() + "/config.json"
	good := func(key, value string) bool {
		write(t, file, `{"save_deadline": 31536000000, "`+key+`": `+value+`}`)
		if key == "save_deadline" {
			write(t, file, `{"save_quiet": 1, "save_deadline": `+value+`}`)
		}
		return exec.Command(monitor.binary, "--check", "--config", file).Run() == nil
	}
	ranges := find(text, `(?m)^\.BR ([a-z_]+ ".* \d+ to \d+)"$`)
	if len(ranges) == 0 {
		t.Fatalf("ranges: %q", ranges)
	}
	for _, line := range ranges {
		words := strings.Fields(line)
		key, least, most := words[0], words[len(words)-3], words[len(words)-1]
		below := map[string]string{"0": "-1", "1": "0"}[least]
		above := most[:len(most)-1] + "1" // each limit ends in 0
		if !good(key, least) || !good(key, most) || good(key, below) || good(key, above) {
			t.Errorf("%s does not go from %s to %s", key, least, most)
		}
	}
}

// TestJSONKeys wants each key of what --json writes in the manual.
func TestJSONKeys(t *testing.T) {
	text := plain(section(t, read(t, monitor.manual), ".SH JSON", ".SH OPTIONS"))
	for _, file := range []string{"json.go", "statusjson.go", "whyjson.go", "why.go"} {
		keys := find(read(t, top+"/cmd/internal/tell/"+file), "`json:\"([a-z0-9_]+)")
		if len(keys) == 0 {
			t.Errorf("%s has no key", file)
		}
		for _, key := range keys {
			if find(text, `\b(`+key+`)\b`) == nil {
				t.Errorf("%s: the manual lacks %s", file, key)
			}
		}
	}
}

// TestWebKeys wants each key that only the page has in its manual.
func TestWebKeys(t *testing.T) {
	text := plain(chapter(t, read(t, web.manual), "JSON"))
	keys := find(read(t, top+"/cmd/internal/view/timeline.go"), "`json:\"([a-z0-9_]+)")
	if len(keys) == 0 {
		t.Error("the timeline has no key")
	}
	for _, key := range keys {
		if find(text, `\b(`+key+`)\b`) == nil {
			t.Errorf("the manual lacks %s", key)
		}
	}
}

// TestMetrics wants each metric in the manual, with its labels, and no other.
func TestMetrics(t *testing.T) {
	const sources = top + "/cmd/service-monitor-web/internal/metrics/"
	text := plain(chapter(t, read(t, web.manual), "METRICS"))
	names := find(read(t, sources+"names.go"), `(?:counter|gauge)\("([a-z_]+)"`)
	for i := range names {
		names[i] = "service_monitor_" + names[i]
	}
	for _, name := range find(read(t, sources+"systemd.go"), `= systemd\("([a-z_]+)"`) {
		names = append(names, "systemd_"+name)
	}
	wantSame(t, "metrics", names, find(text, `\b((?:service_monitor|systemd)_[a-z_]+)`))
	for _, label := range find(read(t, sources+"names.go"), `", "([a-z]+)"(?:\)|, ")`) {
		if find(text, `(?m)^\.BR? (`+label+`)\b`) == nil {
			t.Errorf("the manual lacks the label %s", label)
		}
	}
}

// TestRoutes wants each route of the help in the manual.
func TestRoutes(t *testing.T) {
	routes := find(section(t, web.help(t), "Without a command it serves:", ""), `(?m)^  (/[a-z/-]*)`)
	wantSame(t, "routes", routes, find(plain(chapter(t, read(t, web.manual), "ROUTES")), `(?m)^\.TP\n\.I (/[a-z/-]*)`))
}

func TestExitCodes(t *testing.T) {
	each(t, func(t *testing.T, p *program) {
		codes := find(chapter(t, read(t, p.manual), "EXIT STATUS"), `(?m)^ ?(\d+) `)
		_, list, _ := strings.Cut(p.help(t), "\nExit codes:\n")
		wantSame(t, "exit codes", find(list, `(?m)^ {2,3}(\d+)  `), codes)
	})
}

func TestMessageIDs(t *testing.T) {
	ids := find(section(t, read(t, monitor.manual), ".SH JOURNAL", ".SH EXAMPLES"), `(?m)^([0-9a-f]{32})  `)
	wantSame(t, "MESSAGE_IDs", constants(t, linesSource, "id"), ids)
}
