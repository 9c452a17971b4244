package pack

import (
	"errors"
	"math"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	var w Writer
	w.Uint(math.MaxUint64)
	w.Int(math.MinInt64)
	w.Bool(true)
	w.String("spin_lock")
	w.Uint(0)
	w.Text("mutex")
	w.Text("")
	w.Text("mutex")
	whole := w.B

	r := NewReader(whole)
	if a, b, c, d := r.Uint(), r.Int(), r.Bool(), r.String(); a != math.MaxUint64 || b != math.MinInt64 || !c || d != "spin_lock" {
		t.Errorf("read %d %d %v %q", a, b, c, d)
	}
	if a := r.Uint(); a != 0 {
		t.Errorf("read %d for 0", a)
	}
	if a, b, c := r.Text(), r.Text(), r.Text(); a != "mutex" || b != "" || c != "mutex" {
		t.Errorf("read texts %q %q %q", a, b, c)
	}
	if r.Err() != nil || len(r.Rest()) != 0 {
		t.Errorf("at the end: error %v, rest %x", r.Err(), r.Rest())
	}

	// Any part of it makes an error, and nothing but zeros afterwards.
	for n := range whole {
		r := NewReader(whole[:n])
		r.Uint()
		r.Int()
		r.Bool()
		_ = r.String()
		r.Uint()
		_, _ = r.Text(), r.Text()
		last := r.Text()
		if !errors.Is(r.Err(), ErrCorrupt) || last != "" {
			t.Errorf("%d of %d bytes: error %v, last %q", n, len(whole), r.Err(), last)
		}
	}
}

// A number of a text that was not written yet is no text.
func TestTextIsBounded(t *testing.T) {
	var w Writer
	w.Text("a")
	w.Uint(2)
	r := NewReader(w.B)
	if a, b := r.Text(), r.Text(); a != "a" || b != "" || !errors.Is(r.Err(), ErrCorrupt) {
		t.Errorf("read %q %q, error %v", a, b, r.Err())
	}
}

func TestLenIsBounded(t *testing.T) {
	var w Writer
	w.Uint(1 << 60)
	r := NewReader(w.B)
	if n := r.Len(); n != 0 || r.Err() == nil {
		t.Errorf("a length beyond the bytes gives %d, error %v", n, r.Err())
	}
}
