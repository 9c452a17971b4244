package main

import (
	"fmt"
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows stages and counts on a terminal and nothing elsewhere.
type progress struct {
	mu   sync.Mutex
	p    *mpb.Progress
	bar  *mpb.Bar
	last string
}

func newProgress(w io.Writer) *progress {
	p := &progress{}
	if isTerminal(w) {
		p.p = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
		p.bar = p.p.New(0, mpb.BarStyle(), mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.last
		}, decor.WCSyncSpaceR)))
	}
	return p
}

func (p *progress) update(stage string, done, total int) {
	if p.p == nil {
		return
	}
	p.mu.Lock()
	p.last = stage
	if total > 0 {
		p.last = fmt.Sprintf("%s %d/%d", stage, done, total)
	}
	p.mu.Unlock()
	if total > 0 {
		p.bar.SetTotal(int64(total), false)
		p.bar.SetCurrent(int64(done))
	} else {
		p.bar.SetCurrent(0)
	}
}

func (p *progress) done() {
	if p.p == nil {
		return
	}
	p.bar.Abort(true)
	p.p.Wait()
}
