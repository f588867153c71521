package config

import "strings"

// Nearest returns the known word that was probably meant; empty if none is similar. If two are
// equally similar, it returns the one with the more similar length: "check-stat" is as near
// to "check" as to "check-state".
func Nearest(word string, known []string) string {
	word = fold(word)
	best, least := "", 2+len(word)/3
	unlike := func(candidate string) int { return max(len(candidate)-len(word), len(word)-len(candidate)) }
	for _, candidate := range known {
		d := distance(word, fold(candidate))
		if d < least || d == least && best != "" && unlike(candidate) < unlike(best) {
			best, least = candidate, d
		}
	}
	return best
}

func fold(word string) string { return strings.ReplaceAll(strings.ToLower(word), "-", "_") }

// distance returns the Levenshtein distance. If one word is a part of the other, the distance
// is 1: "services" is near to "monitored_services".
func distance(a, b string) int {
	if a != b && min(len(a), len(b)) > 2 && (strings.Contains(a, b) || strings.Contains(b, a)) {
		return 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal, row[j+1] = row[j+1], min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
