package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer is written to by timers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// TestStageLog has stages of seconds and of minutes, in fake time.
func TestStageLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		p := newProgress(&out)
		stage := func(name string, total int, d time.Duration) {
			p.update(name, 0, total)
			time.Sleep(d / 2)
			p.update(name, total/2, total)
			time.Sleep(d - d/2)
		}
		stage("open target kernel", 0, time.Second)
		stage("copy source", 1000, 10*time.Second)
		stage("configure", 0, time.Second)
		stage("modules_prepare", 0, 3*time.Minute)
		stage("check tree", 0, time.Second)
		p.done()
		time.Sleep(time.Hour)
		want := []string{"[   3s] copy source 0/1000", "[  14s] modules_prepare", "[  74s] modules_prepare", "[ 134s] modules_prepare"}
		if got := strings.TrimSuffix(out.b.String(), "\n"); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
}

// TestShortRun writes nothing about a run of a second.
func TestShortRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		p := newProgress(&out)
		p.update("compile", 1, 2)
		time.Sleep(time.Second)
		p.done()
		time.Sleep(time.Hour)
		if out.b.Len() != 0 {
			t.Errorf("got %s", out.b.String())
		}
	})
}
