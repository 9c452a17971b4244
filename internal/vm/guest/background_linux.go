package guest

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
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

// LongSleep is a kind that keeps a transition from ending when it replaces
// hrtimer_nanosleep(), until StopBackground or until the kernel signals the tasks,
// after 15 s. It runs only when it is asked for; Background returns when all sleep.
const LongSleep = "longsleep"

func longSleep(int) {
	ts := unix.NsecToTimespec((2 * time.Minute).Nanoseconds())
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
	quit     chan struct{}
	wg       sync.WaitGroup
	mu       sync.Mutex
	sleepers map[int]bool // threads of LongSleep that have not ended
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
	b := &background{quit: make(chan struct{}), sleepers: map[int]bool{}}
	long := 0
	for i := range n {
		kind := kinds[i%len(kinds)]
		if kind == LongSleep {
			long++
		}
		b.wg.Go(func() {
			runtime.LockOSThread() // a kernel task each, never unlocked: it ends with the goroutine
			run := loadOf(kind)
			if kind == LongSleep {
				defer b.sleeper(unix.Gettid())()
			}
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
	return b, poll(time.Minute, "background tasks asleep", func() (bool, error) { return b.asleep() == long, nil })
}

// sleeper notes a thread of LongSleep; the function returned forgets it.
func (b *background) sleeper(tid int) func() {
	set := func(on bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if on {
			b.sleepers[tid] = true
		} else {
			delete(b.sleepers, tid)
		}
	}
	set(true)
	return func() { set(false) }
}

// asleep counts the threads of LongSleep that are in the kernel, sleeping.
func (b *background) asleep() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for tid := range b.sleepers {
		stack, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stack", tid))
		if err == nil && strings.Contains(string(stack), "nanosleep") {
			n++
		}
	}
	return n
}

// wake interrupts the threads of LongSleep. The Go runtime takes SIGURG for a
// request to look up, which does no harm.
func (b *background) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for tid := range b.sleepers {
		_ = unix.Tgkill(os.Getpid(), tid, unix.SIGURG)
	}
}

// stop ends the tasks and waits for them. A nil set has none.
func (b *background) stop() {
	if b == nil {
		return
	}
	close(b.quit)
	done := make(chan struct{})
	go func() {
		b.wg.Wait()
		close(done)
	}()
	for {
		b.wake() // again and again: a thread may have been on its way to sleep
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
