package row

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// Bool is true or false; false by default. Bool, Int, Duration and File implement Value.
type Bool struct{ Target *bool }

func (b Bool) Kind() string        { return "true or false" }
func (b Bool) MeasuredIn() string  { return "" }
func (b Bool) DefaultText() string { return "false" }
func (b Bool) Reset()              { *b.Target = false }
func (b Bool) Get() any            { return *b.Target }

func (b Bool) Set(raw []byte) error {
	switch string(raw) {
	case "true", "false":
		*b.Target = string(raw) == "true"
		return nil
	}
	return Wrong("true or false without quotes", raw)
}

// Int is a whole number from Least to Most.
type Int struct {
	Target               *int
	Default, Least, Most int
}

func (i Int) Kind() string        { return fmt.Sprintf("%d to %d", i.Least, i.Most) }
func (i Int) MeasuredIn() string  { return "" }
func (i Int) DefaultText() string { return strconv.Itoa(i.Default) }
func (i Int) Reset()              { *i.Target = i.Default }
func (i Int) Get() any            { return *i.Target }

func (i Int) Set(raw []byte) error {
	n, err := integer(raw, int64(i.Least), int64(i.Most), "")
	if err == nil {
		*i.Target = int(n)
	}
	return err
}

// Year is the longest duration that a key can have.
const Year = 365 * 24 * time.Hour

// Duration is a whole number of seconds or of milliseconds. Step says which.
type Duration struct {
	Target               *time.Duration
	Step                 time.Duration
	Default, Least, Most time.Duration
}

func (d Duration) Kind() string {
	return fmt.Sprintf("%s, %d to %d", d.units(), d.Least/d.Step, d.Most/d.Step)
}

func (d Duration) MeasuredIn() string {
	if d.Step == time.Millisecond {
		return "ms"
	}
	return d.units()
}

func (d Duration) units() string {
	if d.Step == time.Millisecond {
		return "milliseconds"
	}
	return "seconds"
}

func (d Duration) DefaultText() string { return strconv.FormatInt(int64(d.Default/d.Step), 10) }
func (d Duration) Reset()              { *d.Target = d.Default }
func (d Duration) Get() any            { return *d.Target }

func (d Duration) Set(raw []byte) error {
	n, err := integer(raw, int64(d.Least/d.Step), int64(d.Most/d.Step), d.units())
	if err == nil {
		*d.Target = time.Duration(n) * d.Step
	}
	return err
}

// File is the absolute path of a file.
type File struct {
	Target  *string
	Default string
}

func (f File) Kind() string        { return "a string" }
func (f File) MeasuredIn() string  { return "" }
func (f File) DefaultText() string { return f.Default }
func (f File) Reset()              { *f.Target = f.Default }
func (f File) Get() any            { return *f.Target }

// Start returns the directory in which a relative name starts. It is not the working directory:
// the service and a person who runs check-config have different ones. The service may write in
// this directory.
func (f File) Start() string { return filepath.Dir(f.Default) }

func (f File) Set(raw []byte) error {
	var file string
	if raw[0] != '"' || json.Unmarshal(raw, &file) != nil {
		return Wrong(fmt.Sprintf("a file name such as %q", f.Default), raw)
	}
	full, err := Absolute(file, f.Start())
	if err == nil {
		*f.Target = full
	}
	return err
}

// integer reads a whole number. units is only for the error messages; it may be empty.
func integer(raw []byte, least, most int64, units string) (int64, error) {
	what, limit := "a whole number", strconv.FormatInt(most, 10)
	if units != "" {
		what, limit = what+" of "+units, limit+" "+units
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	switch {
	case raw[0] == '"':
		return 0, Wrong(what+" without quotes", raw)
	case errors.Is(err, strconv.ErrSyntax):
		return 0, Wrong(what, raw)
	case err != nil || n < least || n > most:
		return 0, fmt.Errorf("must be from %d to %s, found %s", least, limit, Describe(raw))
	}
	return n, nil
}
