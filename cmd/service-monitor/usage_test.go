package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"service-monitor/cmd/internal/config"
)

func TestUsage(t *testing.T) {
	text := usage(t, absent, "--help")
	var want []string
	for _, c := range codes {
		want = append(want, fmt.Sprintf("\n  %2d  ", c.code))
	}
	for _, c := range table().Commands[1:] {
		want = append(want, fmt.Sprintf("\n  %-25s  %s\n", strings.TrimSpace(c.Name+" "+c.Takes.String()), c.Help))
	}
	want = append(want, "\n   0  ", "\n   1  ", "-h, --help", "-v, --version", "-c, --clear", "-l, --log-file FILE", "-p, --persistence-file FILE",
		"--config FILE", "--services A B C", "--debug", "--check ", "--check-state FILE", "--restore-counts [A B C]", "SIGHUP", "SIGTERM", "SIGINT",
		"comments", "at the directory of the default file",
		config.DefaultLogFile, config.DefaultStateFile, absent, "Monitored services:\n  "+strings.Join(config.Default().Services, "\n  ")+"\n")
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("the help lacks %q", part)
		}
	}
	wantNarrow(t, text)
	if usage(t, absent, "help") != text {
		t.Error("help and --help differ")
	}
}

// TestUsageOfCommands wants the help of each command in all ways to ask for it.
func TestUsageOfCommands(t *testing.T) {
	for _, c := range table().Commands[1:] {
		text := usage(t, absent, "help", c.Name)
		wantNarrow(t, text)
		if other := usage(t, absent, c.Name, "--help"); other != text {
			t.Errorf("%s --help differs:\n%s", c.Name, other)
		}
		for _, part := range append(c.Flags, "Usage: service-monitor "+c.Name, c.About) {
			if !strings.Contains(text, part) {
				t.Errorf("the help of %s lacks %q:\n%s", c.Name, part, text)
			}
		}
	}
	if text := usage(t, absent, "help", "why"); !strings.HasPrefix(text, "Usage: service-monitor why SERVICE [flags]\n") {
		t.Errorf("why takes one service, and its help says\n%s", text)
	}
	var out bytes.Buffer
	if code := run([]string{"help", "cler"}, &out, &out); code != exitUsage || !strings.Contains(out.String(), "did you mean clear?") {
		t.Errorf("help of a command that there is not: exit code %d, %s", code, out.String())
	}
}

func wantNarrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if len(line) > 81 || strings.TrimRight(line, " \n")+"\n" != line {
			t.Errorf("too wide, or blanks at its end: %q", line)
		}
	}
}

func TestUsageShowsWhatIsInForce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	writeFile(t, file, `{"monitored_services": ["x.service"], "log_file": "/x/l"}`)
	for _, tt := range []struct{ name, args, want string }{
		{"file", "-h", "Monitored services:\n  x.service\n"},
		{"flags", "-h --services y.service", "Monitored services:\n  y.service\n"},
		{"log file", "-h", "log            /x/l\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if text := usage(t, file, strings.Fields(tt.args)...); !strings.Contains(text, tt.want) {
				t.Errorf("the help lacks %q:\n%s", tt.want, text)
			}
		})
	}
}

func TestUsageWithBadFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.json")
	writeFile(t, file, "{\"monitored_services\": [\"x.service\"],\n\"debug\": 5}")
	want := "\nThe monitor does not start with this configuration:\n  " + file +
		":2: debug must be true or false without quotes, found the number 5\n" +
		"Services as far as the configuration can be read:\n  x.service\n"
	if text := usage(t, file, "-h"); !strings.HasSuffix(text, want) {
		t.Errorf("the help does not end in %q:\n%s", want, text)
	}
	if text := usage(t, file, "-h", "--config", dir+"/x"); !strings.Contains(text, "x does not exist; create it") {
		t.Errorf("the help does not say that the file is absent:\n%s", text)
	}
}

func usage(t *testing.T, defaultFile string, args ...string) string {
	t.Helper()
	line, err := parse(args, defaultFile)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := line.Command.Run(line, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
