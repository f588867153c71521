package row

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Wrong returns the error for a JSON value of the wrong kind.
func Wrong(want string, raw []byte) error {
	return fmt.Errorf("must be %s, found %s", want, Describe(raw))
}

// Describe says what a JSON value is, in the words of JSON.
func Describe(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't', 'f', 'n':
		return string(raw)
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s) // the document was decoded before
		return "the string " + Quote(s)
	}
	if len(raw) > 40 {
		return fmt.Sprintf("a number of %d characters", len(raw))
	}
	return "the number " + string(raw)
}

// Quote returns a text in double quotes, short and printable. The result can be pasted into
// JSON or into a shell.
func Quote(s string) string {
	const longest = 80
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "…"
	}
	return strconv.Quote(s)
}

// Absolute returns the absolute path of a file. A relative name starts at the directory start,
// or at the working directory if start is empty. The text of an error continues after the
// name of a flag or a key.
func Absolute(file, start string) (string, error) {
	switch {
	case file == "":
		return "", errors.New("is empty; name a file")
	case strings.ContainsRune(file, 0):
		return "", fmt.Errorf("%s has a NUL character, which no file name has", Quote(file))
	case slices.Contains([]string{"", ".", ".."}, file[strings.LastIndex(file, "/")+1:]):
		return "", fmt.Errorf("%s is a directory; name a file in it", Quote(file))
	}
	if start != "" && !filepath.IsAbs(file) {
		file = filepath.Join(start, file)
	}
	full, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("%s is relative, and the working directory is not known (%w); name the file in full", Quote(file), err)
	}
	return full, nil
}
