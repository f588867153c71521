package config

import "fmt"

// A Source says where a configuration comes from.
type Source struct {
	// File is an absolute path.
	File string
	// Named is true if the user has named this file. Then it has to exist. The default file
	// need not.
	Named bool
	// Reload is true for a reload. Then the file has to exist, too. Otherwise the default
	// services would replace those of the file, and the counters of the others would be
	// dropped, only because an editor replaces the file at that moment.
	Reload bool
	// Overrides are values that win over those of the file.
	Overrides []Override
	// Companion is who else has keys in the file, and reads them now; nil for the monitor.
	Companion *Companion
}

// An Override is a value of the command line.
type Override struct {
	Flag string // without its dashes
	Put  func(*Config)
}

// overridden reports whether a flag was given.
func (s Source) overridden(flag string) bool {
	for _, o := range s.Overrides {
		if o.Flag == flag {
			return true
		}
	}
	return false
}

// Loaded is a configuration that was read. It does not change: a reload makes a new one.
type Loaded struct {
	Config Config
	Source Source
	// Found is false if the defaults are used because there is no default file.
	Found bool
	// Unused are the keys in the file that are accepted but not used.
	Unused []string

	values map[string]value // the values in the file by key, without comments
}

// Load reads a configuration. Its errors are ErrUsage or ErrConfig. Together with an error it
// returns all that could be read, for the help.
func Load(s Source) (Loaded, error) {
	l, err := from(s)
	if err == nil && !l.Found && s.Named {
		err = problemf(ErrConfig, "the configuration file %s does not exist; create it, or leave out --config for %s", show(s.File), show(DefaultFile))
	}
	if err == nil && !l.Found && s.Reload {
		err = problemf(ErrConfig, "there is no configuration file %s to read again; put it there, or restart the monitor for the defaults", show(s.File))
	}
	if err == nil {
		err = l.checkFiles()
	}
	return l, err
}

// Reload reads the same source again. Together with an error it returns the old configuration.
func (l Loaded) Reload() (Loaded, error) {
	again := l.Source
	again.Reload = true
	next, err := Load(again)
	if err != nil {
		return l, err
	}
	return next, nil
}

func from(s Source) (Loaded, error) {
	c, src, err := read(s.File, Default(), s.Companion)
	for _, o := range s.Overrides {
		o.Put(&c)
	}
	return Loaded{Config: c, Source: s, Found: src.found, Unused: src.unused(), values: src.values}, err
}

// problemf returns an error of one of the two kinds.
func problemf(kind error, format string, args ...any) error {
	return problem{kind, fmt.Sprintf(format, args...)}
}
