package row

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Text is a string. Check says what is wrong with a value other than the default; the text of its error
// continues after the name of the key.
type Text struct {
	Target           *string
	Default, Example string
	Check            func(string) error
}

func (t Text) Kind() string        { return "a string" }
func (t Text) MeasuredIn() string  { return "" }
func (t Text) DefaultText() string { return orNone(t.Default) }
func (t Text) Reset()              { *t.Target = t.Default }
func (t Text) Get() any            { return *t.Target }

func (t Text) Set(raw []byte) error {
	var text string
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return Wrong(fmt.Sprintf("a string such as %q", t.Example), raw)
	}
	if text != t.Default {
		if err := t.Check(text); err != nil {
			return err
		}
	}
	*t.Target = text
	return nil
}

// Choice is one of several strings. The first one is the default.
type Choice struct {
	Target *string
	Of     []string
}

func (c Choice) Kind() string        { return strings.Join(c.Of, ", ") }
func (c Choice) MeasuredIn() string  { return "" }
func (c Choice) DefaultText() string { return c.Of[0] }
func (c Choice) Reset()              { *c.Target = c.Of[0] }
func (c Choice) Get() any            { return *c.Target }

func (c Choice) Set(raw []byte) error {
	var text string
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil || !slices.Contains(c.Of, text) {
		return Wrong("one of "+strings.Join(c.Of, ", "), raw)
	}
	*c.Target = text
	return nil
}

// Texts is a list of strings; none by default. Check is as that of Text, for each entry.
type Texts struct {
	Target  *[]string
	Example string
	Check   func(string) error
}

func (t Texts) Kind() string        { return "a list of strings" }
func (t Texts) MeasuredIn() string  { return "" }
func (t Texts) DefaultText() string { return orNone("") }
func (t Texts) Reset()              { *t.Target = nil }
func (t Texts) Get() any            { return *t.Target }

func (t Texts) Set(raw []byte) error {
	var list []*string
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil || slices.Contains(list, nil) {
		return Wrong(fmt.Sprintf("a list of strings such as [%q]", t.Example), raw)
	}
	texts := make([]string, len(list))
	for i, text := range list {
		if err := t.Check(*text); err != nil {
			return fmt.Errorf("entry %d %w", i+1, err)
		}
		texts[i] = *text
	}
	*t.Target = texts
	return nil
}

// orNone returns a default as the manual shows it.
func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
