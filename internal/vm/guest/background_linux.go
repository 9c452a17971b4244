package guest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
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

// More kinds, which run only when they are asked for: starting a program costs far more
// than the others do, and a network needs its loopback device.
const (
	LoadExec    = "exec"    // fork and exec
	LoadNetwork = "network" // TCP over loopback
)

var askedFor = map[string]func(id int){
	LoadExec: func(id int) {
		name := fmt.Sprintf("/tmp/load-exec.%d", id)
		if _, err := os.Stat(name); err != nil {
			if os.WriteFile(name, trueProgram, 0o700) != nil {
				return
			}
		}
		_ = exec.Command(name).Run()
	},
	LoadNetwork: func(int) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, _ = io.Copy(c, c)
				c.Close()
			}
		}()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 256)
		for range 20 {
			if _, err := c.Write(b); err != nil {
				return
			}
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
		}
	},
	LongSleep: longSleep,
}

// AllLoads lists every kind but LongSleep, sorted.
func AllLoads() []string {
	all := append(LoadNames(), LoadExec, LoadNetwork)
	slices.Sort(all)
	return all
}

// exit0 is the code of exit(0) by GOARCH, with the machine of its executables.
var exit0 = map[string]struct {
	machine elf.Machine
	code    []byte
}{
	"amd64": {elf.EM_X86_64, []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05}}, // xor %edi,%edi; mov $60,%eax; syscall
	"arm64": {elf.EM_AARCH64, []byte{ // mov x0, #0; mov x8, #93; svc #0
		0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}},
}

// trueProgram is an executable that ends with status 0: an ELF header, one
// program header that maps the file, and exit(0).
var trueProgram = func() []byte {
	const base, headers = 0x400000, 64 + 56
	machine, code := exit0[runtime.GOARCH].machine, exit0[runtime.GOARCH].code
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Entry: base + headers, Phoff: 64,
		Ehsize: 64, Phentsize: 56, Phnum: 1,
	})
	size := uint64(headers + len(code))
	_ = binary.Write(&b, binary.LittleEndian, elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000,
	})
	b.Write(code)
	return b.Bytes()
}()

// upLoopback brings the loopback device up.
func upLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
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
	if f := askedFor[kind]; f != nil {
		return f
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
	if slices.Contains(kinds, LoadNetwork) {
		if err := upLoopback(); err != nil {
			return nil, err
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
