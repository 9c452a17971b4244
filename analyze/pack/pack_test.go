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
	whole := w.B

	r := NewReader(whole)
	if a, b, c, d := r.Uint(), r.Int(), r.Bool(), r.String(); a != math.MaxUint64 || b != math.MinInt64 || !c || d != "spin_lock" {
		t.Errorf("read %d %d %v %q", a, b, c, d)
	}
	if r.Uint() != 0 || r.Err() != nil || len(r.Rest()) != 0 {
		t.Errorf("at the end: error %v, rest %x", r.Err(), r.Rest())
	}

	// Any part of it makes an error, and nothing but zeros afterwards.
	for n := range whole {
		r := NewReader(whole[:n])
		r.Uint()
		r.Int()
		r.Bool()
		_ = r.String()
		last := r.Uint()
		if !errors.Is(r.Err(), ErrCorrupt) || last != 0 {
			t.Errorf("%d of %d bytes: error %v, last %d", n, len(whole), r.Err(), last)
		}
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
