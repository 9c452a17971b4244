package sample

import "testing"

func TestSample(t *testing.T) {
	if Clamp(3, 5) != 3 || Clamp(7, 5) != 5 {
		t.Error("Clamp")
	}
	if !Both(true, true) || Both(true, false) {
		t.Error("Both") // Both(false, true) is missing
	}
	if Count([]int{1, 2, -1, 3}) != 2 {
		t.Error("Count")
	}
	if i, err := Find([]string{"a", "b"}, "b"); i != 1 || err != nil {
		t.Error("Find")
	}
	if _, err := Find(nil, "b"); err == nil {
		t.Error("Find finds what is not there")
	}
	if Kind(3) != "three" || Kind(7) != "seven" {
		t.Error("Kind")
	}
}

func TestSlow(t *testing.T) {
	if Forever() != 1000 {
		t.Error("Forever")
	}
	if Swapped(5, 3) != 2 {
		t.Error("Swapped")
	}
}
