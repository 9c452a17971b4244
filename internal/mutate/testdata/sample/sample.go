// Package sample has faults that its tests notice, some that they do not, and some
// that they do not reach: the tests of mutate know which.
package sample

import "errors"

// Clamp bounds v from above.
func Clamp(v, limit int) int {
	if v > limit {
		return limit
	}
	return v
}

// Both has two conditions of which the tests need one only.
func Both(a, b bool) bool { return a && b }

// Count counts up to the first negative number.
func Count(list []int) (n int) {
	for _, v := range list {
		if v < 0 {
			break
		}
		n++
	}
	return n
}

// Find fails for what is not there.
func Find(list []string, s string) (int, error) {
	for i, x := range list {
		if x == s {
			return i, nil
		}
	}
	return -1, errors.New("not there")
}

// Forever ends, unless a fault keeps it from that.
func Forever() int {
	n := 0
	for {
		n += 1
		if n == 1000 {
			return n
		}
	}
}

// Sub subtracts.
func Sub(a, b int) int { return a - b }

// Swapped hands its arguments on.
func Swapped(a, b int) int { return Sub(a, b) }

// Kind names some numbers.
func Kind(n int) string {
	switch n {
	case 3:
		return "three"
	case 7:
		return "seven"
	}
	return ""
}

// Unused is not called by any test.
func Unused(v int) int { return v + 1 }
