package main

import (
	"errors"
	"slices"

	"service-monitor/cmd/internal/ask"
	"service-monitor/cmd/internal/cli"
	"service-monitor/cmd/internal/config"
	"service-monitor/stages/bus"
	"service-monitor/stages/files"
	"service-monitor/stages/statefile"
)

// These are the exit codes. Codes above 1 are those of sysexits(3), so that systemd shows
// them by name (systemd.exec(5), "Process Exit Codes").
const (
	exitOK          = 0
	exitFailure     = 1
	exitAttention   = 3 // as for systemctl status
	exitNoUnit      = 4
	exitUsage       = 64 // EX_USAGE
	exitDataErr     = 65 // EX_DATAERR
	exitNoInput     = 66 // EX_NOINPUT
	exitUnavailable = 69 // EX_UNAVAILABLE
	exitCantCreate  = 73 // EX_CANTCREAT
	exitTempFail    = 75 // EX_TEMPFAIL
	exitNoPerm      = 77 // EX_NOPERM
	exitConfig      = 78 // EX_CONFIG
)

// exits describes the exit codes for the help.
var exits = []cli.Exit{
	{Code: exitOK, Text: "stopped as asked"},
	{Code: exitFailure, Text: "a stage failed, or a command, otherwise than below"},
	{Code: exitAttention, Text: "a service needs attention, or the monitor"},
	{Code: exitNoUnit, Text: "there is no such service"},
	{Code: exitUsage, Text: "bad command line"},
	{Code: exitDataErr, Text: "the state file to be shown or checked is damaged or newer,\nor does not balance, or the history does not add up to it"},
	{Code: exitNoInput, Text: "there is no such state file or history, or it cannot be\nread, or no copy has the counts that are to be restored"},
	{Code: exitUnavailable, Text: "no system bus"},
	{Code: exitCantCreate, Text: "cannot create or write the log, the state file or a report"},
	{Code: exitTempFail, Text: "another monitor holds the files"},
	{Code: exitNoPerm, Text: "who asks may not read the files of the monitor"},
	{Code: exitConfig, Text: "bad configuration, or a state file of a newer version"},
}

// codes maps errors to exit codes. If an error matches several of these, the first one counts.
var codes = []struct {
	code int
	errs []error
}{
	{exitAttention, []error{errAttention}},
	{exitNoUnit, []error{ask.ErrNotFound}},
	{exitUsage, []error{config.ErrUsage}},
	{exitConfig, []error{config.ErrConfig}},
	{exitDataErr, []error{errDamaged, errUnbalanced, errHistory, errNewer}},
	{exitConfig, []error{statefile.ErrNewer}},
	{exitNoInput, []error{errNoState, errNoCopy, errNoHistory}},
	{exitNoPerm, []error{errRights}},
	{exitTempFail, []error{files.ErrHeld}},
	{exitCantCreate, []error{errFile, errNoReport, files.ErrOwner}},
	{exitUnavailable, []error{bus.ErrNoBus}},
}

func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	for _, c := range codes {
		if slices.ContainsFunc(c.errs, func(kind error) bool { return errors.Is(err, kind) }) {
			return c.code
		}
	}
	return exitFailure
}
