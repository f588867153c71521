package config

import "strings"

// Nearest returns the known word that was probably meant; empty if none is near.
// Of two that are as near it is the one as long as the word: "check-stat" has
// "check" in it, too.
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

// distance is the Levenshtein distance. A part of a word is one step away from
// it: "services" is near "monitored_services".
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
