package elfdiff

import (
	"reflect"
	"runtime"
	"sync/atomic"
	"testing"
)

func TestInParallel(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for _, n := range []int{0, 1, share, 2*share - 1, 2 * share, 10*share + 3} {
		hits := make([]atomic.Int32, n)
		inParallel(n, func(from, to int) {
			for i := from; i < to; i++ {
				hits[i].Add(1)
			}
		})
		for i := range hits {
			if got := hits[i].Load(); got != 1 {
				t.Fatalf("%d of %d is done %d times", i, n, got)
			}
		}
	}
}

// TestParallelResult: the result for a pair that is large enough to be shared out
// does not depend on the number of processors.
func TestParallelResult(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	diff := func(procs int) *Result {
		runtime.GOMAXPROCS(procs)
		after := manyFunctions(6*share, 1)
		for i := range after.Sections {
			if s := &after.Sections[i]; i%10 == 0 && len(s.Data) > 0 {
				s.Data[len(s.Data)-1]++
			}
		}
		r, err := Diff(manyFunctions(6*share, 1), after)
		if err != nil {
			t.Fatal(err)
		}
		if shared := r.pairs.same != nil; shared != (procs > 1) {
			t.Errorf("%d processors: compared ahead: %v", procs, shared)
		}
		return r
	}
	one := diff(1)
	if len(one.Functions) == 0 || len(one.Functions) >= 6*share {
		t.Fatalf("%d functions changed", len(one.Functions))
	}
	if four := diff(4); !reflect.DeepEqual(one.Functions, four.Functions) || !reflect.DeepEqual(one.Data, four.Data) || !reflect.DeepEqual(one.Problems, four.Problems) {
		t.Errorf("4 processors find other changes: %d functions, %d with one", len(four.Functions), len(one.Functions))
	}
}
