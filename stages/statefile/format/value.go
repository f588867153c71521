package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"service-monitor/stages/count"
)

// The functions of this file read values that people and other programs wrote. odd means
// that the value is clear but has another form than the monitor writes. The text of an error
// continues after the name of the key.

var numberForm = regexp.MustCompile(`^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$`)

// longest is how many characters a number may have, so that a huge one takes no time.
const longest = 64

// whole reads a number that is certainly whole: 12, 12.0, 1.2e1, "12".
func whole(value []byte) (negative bool, n uint64, odd bool, err error) {
	text := string(value)
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return false, n, strconv.FormatUint(n, 10) != text, nil
	}
	var quoted string
	if json.Unmarshal(value, &quoted) == nil {
		text = strings.TrimSpace(quoted)
	}
	form := numberForm.FindStringSubmatch(text)
	if form == nil || len(text) > longest {
		return false, 0, false, cannotBe(value)
	}
	exponent, _ := strconv.Atoi(form[4])
	n, err = shift(form[2]+form[3], len(form[2])+exponent)
	if err != nil {
		return false, 0, false, cannotBe(value)
	}
	return form[1] == "-" && n > 0, n, true, nil
}

// shift reads digits of which the first point digits stand before the decimal point. All
// digits after it must be zeros.
func shift(digits string, point int) (uint64, error) {
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if more := point - len(digits); more > 0 {
		digits += strings.Repeat("0", more)
	}
	if strings.Trim(digits[point:], "0") != "" {
		return 0, errors.New("not whole")
	}
	digits = strings.TrimLeft(digits[:point], "0")
	if digits == "" {
		return 0, nil
	}
	return strconv.ParseUint(digits, 10, 64)
}

func natural(to *uint64) reader {
	return func(value []byte) (odd bool, err error) {
		negative, n, odd, err := whole(value)
		if err == nil && negative {
			err = cannotBe(value)
		}
		if err == nil {
			*to = n
		}
		return odd, err
	}
}

// counterOf reads a count. One that is higher than there can be is no count. The next event would take it to 0, or
// the sums beyond their range.
func counterOf(to *uint64) reader {
	return func(value []byte) (odd bool, err error) {
		var n uint64
		odd, err = natural(&n)(value)
		if err == nil && n > count.MaxCount {
			err = cannotBe(value)
		}
		if err == nil {
			*to = n
		}
		return odd, err
	}
}

func integer(to *int64) reader {
	return func(value []byte) (odd bool, err error) {
		if plain, err := strconv.ParseInt(string(value), 10, 64); err == nil {
			*to = plain
			return strconv.FormatInt(plain, 10) != string(value), nil
		}
		negative, n, odd, err := whole(value)
		if err == nil && n > 1<<62 {
			err = cannotBe(value)
		}
		if err != nil {
			return odd, err
		}
		if *to = int64(n); negative {
			*to = -*to
		}
		return odd, nil
	}
}

// null reports whether the value is null, which means the same as a missing key.
func null(value []byte) bool { return string(value) == "null" }

func str(to *string) reader {
	return func(value []byte) (odd bool, err error) {
		if null(value) {
			return true, nil
		}
		if !utf8.Valid(value) || json.Unmarshal(value, to) != nil {
			return false, cannotBe(value)
		}
		return false, nil
	}
}

func flag(to *bool) reader {
	return func(value []byte) (odd bool, err error) {
		text := strings.ToLower(strings.TrimSpace(strings.Trim(string(value), `"`)))
		switch text {
		case "true", "1":
			*to = true
		case "false", "0", "null":
		default:
			return false, cannotBe(value)
		}
		return string(value) != "true" && string(value) != "false", nil
	}
}

func changeTime(r *record) reader {
	return func(value []byte) (odd bool, err error) {
		var text string
		if odd, err := str(&text)(value); err != nil || odd { // null and "" mean never
			return false, err
		}
		if _, err := parseTime(text, ""); err != nil && text != "" {
			return false, cannotBe(value)
		}
		r.LastChangeTime = &text
		return false, nil
	}
}

func causes(to *map[string]uint64) reader {
	return func(value []byte) (odd bool, err error) {
		read := make(map[string]uint64)
		_, ok := members(value, func(m member) {
			var n uint64
			result, bad := m.name()
			one, wrong := counterOf(&n)(m.value)
			odd, err = odd || one, errors.Join(err, bad, wrong)
			read[result] = max(read[result], n)
		})
		if null(value) {
			return false, nil
		}
		if !ok || err != nil {
			return false, cannotBe(value)
		}
		*to = read
		return odd, nil
	}
}

// object reads a JSON object. Its numbers may have odd forms.
func object[T any](to **T) reader {
	return func(value []byte) (odd bool, err error) {
		read := new(T)
		if utf8.Valid(value) && json.Unmarshal(value, &read) == nil {
			*to = read // nil if the value is null
			return false, nil
		}
		read = new(T)
		plain, err := plainNumbers(value)
		if !utf8.Valid(value) || err != nil || json.Unmarshal(plain, read) != nil {
			return false, cannotBe(value)
		}
		*to = read
		return true, nil
	}
}

// plainNumbers rewrites the whole numbers in JSON text: 12.0 becomes 12.
func plainNumbers(value []byte) ([]byte, error) {
	var all any
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	return json.Marshal(plain(all))
}

func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			value[key] = plain(v)
		}
	case []any:
		for i, v := range value {
			value[i] = plain(v)
		}
	case json.Number:
		if negative, n, _, err := whole([]byte(value)); err == nil && !negative {
			return n
		}
	}
	return value
}

func cannotBe(value []byte) error { return errors.New("cannot be " + shown(value)) }

// shown returns a value as one line for people.
func shown(value []byte) string {
	const most = 40
	switch {
	case len(value) == 0:
		return "nothing"
	case value[0] == '{':
		return "an object"
	case value[0] == '[':
		return "a list"
	}
	text := string(value)
	if len(text) > most {
		text = text[:most] + "..."
	}
	if quoted := fmt.Sprintf("%+q", text); strings.Contains(quoted[1:len(quoted)-1], `\`) && value[0] != '"' {
		return quoted
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%+q", text)
		}
	}
	return text
}
