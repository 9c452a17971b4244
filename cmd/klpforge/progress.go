package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows stages and counts: on a terminal in one line that changes, elsewhere
// as a line for each stage that takes a while.
type progress struct {
	mu   sync.Mutex
	p    *mpb.Progress
	bar  *mpb.Bar
	last string

	log *stageLog // where it is no terminal
}

func newProgress(w io.Writer) *progress {
	if !isTerminal(w) {
		return &progress{log: newStageLog(w, stageDelay, stageAgain)}
	}
	bars := &progress{p: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))}
	bars.bar = bars.p.New(0, mpb.BarStyle(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			bars.mu.Lock()
			defer bars.mu.Unlock()
			return bars.last
		}, decor.WCSyncSpaceR)))
	return bars
}

func (p *progress) update(stage string, done, total int) {
	if p.log != nil {
		p.log.update(stage, done, total)
		return
	}
	p.mu.Lock()
	p.last = stageText(stage, done, total)
	p.mu.Unlock()
	if total > 0 {
		p.bar.SetTotal(int64(total), false)
		p.bar.SetCurrent(int64(done))
	} else {
		p.bar.SetCurrent(0)
	}
}

// print shows a line that stays, above what changes.
func (p *progress) print(w io.Writer, line string) {
	if p.log == nil {
		w = p.p
	}
	fmt.Fprintln(w, line)
}

func (p *progress) done() {
	if p.log != nil {
		p.log.update("", 0, 0)
		return
	}
	p.bar.Abort(true)
	p.p.Wait()
}

func stageText(stage string, done, total int) string {
	if total > 0 {
		return fmt.Sprintf("%s %d/%d", stage, done, total)
	}
	return stage
}

// How long a stage may take before it gets a line in a log, so that a run of seconds
// leaves none, and how long until it gets another, for a stage of many minutes not to
// look stuck.
const (
	stageDelay = 2 * time.Second
	stageAgain = time.Minute
)

// stageLog writes a line about each stage that is not over after a while.
type stageLog struct {
	w            io.Writer
	delay, again time.Duration
	start        time.Time

	mu    sync.Mutex
	stage string
	done  int
	total int
	turn  int // of the stage; a timer of an earlier one says nothing
	timer *time.Timer
}

func newStageLog(w io.Writer, delay, again time.Duration) *stageLog {
	return &stageLog{w: w, delay: delay, again: again, start: time.Now()}
}

// update notes what goes on; "" ends it, and nothing is written afterwards.
func (l *stageLog) update(stage string, done, total int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done, l.total = done, total
	if stage == l.stage {
		return
	}
	l.stage = stage
	l.turn++
	if l.timer != nil {
		l.timer.Stop()
	}
	if stage != "" {
		l.wait(l.delay)
	}
}

// wait writes a line after d, unless another stage has begun. l.mu is held.
func (l *stageLog) wait(d time.Duration) {
	turn := l.turn
	l.timer = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if turn != l.turn {
			return
		}
		fmt.Fprintf(l.w, "[%4.0fs] %s\n", time.Since(l.start).Seconds(), stageText(l.stage, l.done, l.total))
		l.wait(l.again)
	})
}
