package guest

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// loads are the kinds of background task: each makes a round of system calls.
// A round's errors do not matter: what counts is being in the kernel.
var loads = map[string]func(id int){
	"getpid": func(int) {
		for range 200 {
			unix.Getppid()
		}
	},
	"proc": func(int) {
		for _, f := range []string{"/proc/self/stat", "/proc/meminfo", "/proc/self/maps", "/proc/cmdline"} {
			_, _ = os.ReadFile(f)
		}
	},
	"pipe": func(int) {
		var p [2]int
		if unix.Pipe2(p[:], unix.O_CLOEXEC) != nil {
			return
		}
		b := []byte("x")
		for range 50 {
			_, _ = unix.Write(p[1], b)
			_, _ = unix.Read(p[0], b)
		}
		unix.Close(p[0])
		unix.Close(p[1])
	},
	"socket": func(int) {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return
		}
		b := []byte("x")
		for range 20 {
			_, _ = unix.Write(p[0], b)
			_, _ = unix.Read(p[1], b)
		}
		unix.Close(p[0])
		unix.Close(p[1])
	},
	"file": func(id int) {
		name := fmt.Sprintf("/tmp/load.%d", id)
		_ = os.WriteFile(name, make([]byte, 16<<10), 0o600)
		_, _ = os.Stat(name)
		_, _ = os.ReadFile(name)
		_ = os.Remove(name)
	},
	// Sleeps in the kernel for longer than a transition takes.
	"sleep": func(int) {
		ts := unix.NsecToTimespec((500 * time.Millisecond).Nanoseconds())
		_ = unix.Nanosleep(&ts, nil)
	},
}

// LongSleep is a kind that keeps a transition from ending for some seconds
// when it replaces hrtimer_nanosleep(). It runs only when it is asked for.
const LongSleep = "longsleep"

func longSleep(int) {
	ts := unix.NsecToTimespec((8 * time.Second).Nanoseconds())
	_ = unix.Nanosleep(&ts, nil)
}

// LoadNames lists the kinds of background task, sorted, without LongSleep.
func LoadNames() []string { return slices.Sorted(maps.Keys(loads)) }

func loadOf(kind string) func(int) {
	if kind == LongSleep {
		return longSleep
	}
	return loads[kind]
}

// background is a set of running tasks.
type background struct {
	quit chan struct{}
	wg   sync.WaitGroup
}

// startBackground starts n threads, which take the kinds in turn.
func startBackground(n int, kinds []string) (*background, error) {
	if len(kinds) == 0 {
		kinds = LoadNames()
	}
	for _, k := range kinds {
		if loadOf(k) == nil {
			return nil, fmt.Errorf("unknown background task %q", k)
		}
	}
	b := &background{quit: make(chan struct{})}
	for i := range n {
		b.wg.Go(func() {
			runtime.LockOSThread() // a kernel task each, never unlocked: it ends with the goroutine
			run := loadOf(kinds[i%len(kinds)])
			for {
				select {
				case <-b.quit:
					return
				case <-time.After(2 * time.Millisecond): // leave time to the script on two emulated CPUs
					run(i)
				}
			}
		})
	}
	return b, nil
}

// stop ends the tasks and waits for them. A nil set has none.
func (b *background) stop() {
	if b == nil {
		return
	}
	close(b.quit)
	b.wg.Wait()
}
