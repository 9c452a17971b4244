package elfdiff

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// share is how many items of a list a goroutine takes at a time.
const share = 512

// inParallel calls work for consecutive ranges that together are [0, n), on all
// processors when there is enough to do. The ranges must not depend on each
// other.
func inParallel(n int, work func(from, to int)) {
	workers := min(runtime.GOMAXPROCS(0), n/(2*share))
	if workers < 2 {
		work(0, n)
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				from := int(next.Add(share)) - share
				if from >= n {
					return
				}
				work(from, min(from+share, n))
			}
		})
	}
	wg.Wait()
}

// together calls both at the same time.
func together(first, second func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		first()
	}()
	second()
	<-done
}
