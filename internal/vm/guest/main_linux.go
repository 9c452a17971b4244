package guest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"
)

// Main is the body of /init. It never returns: a process 1 that exits would
// make the kernel panic, and the host would take that for the patch's doing.
func Main() {
	out := &emitter{w: os.Stdout}
	func() {
		defer func() {
			if r := recover(); r != nil {
				out.emit(Event{Kind: EvDone, Err: fmt.Sprintf("guest program panicked: %v\n%s", r, debug.Stack())})
			}
		}()
		ok, err := boot(out)
		ev := Event{Kind: EvDone, OK: ok && err == nil}
		if err != nil {
			ev.Err = err.Error()
		}
		out.emit(ev)
	}()
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	// No power management: -no-reboot makes a restart end the VM too.
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}

// boot mounts what every script needs, moves the results to their own line and
// runs the script.
func boot(out *emitter) (bool, error) {
	for _, m := range []struct{ dev, dir, fs, opt string }{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"devtmpfs", "/dev", "devtmpfs", ""},
		{"tmpfs", "/tmp", "tmpfs", ""},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return false, fmt.Errorf("make mount point: %w", err)
		}
		if err := unix.Mount(m.dev, m.dir, m.fs, 0, m.opt); err != nil {
			return false, fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	// Absent in some kernels, and only looked at by steps that name it.
	_ = unix.Mount("debugfs", "/sys/kernel/debug", "debugfs", 0, "")
	_ = unix.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, "")

	tty, err := openRaw(ResultsTTY(runtime.GOARCH))
	if err != nil {
		return false, err
	}
	out.w = tty

	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return false, fmt.Errorf("uname: %w", err)
	}
	out.emit(Event{Kind: EvStart, Kernel: unix.ByteSliceToString(uts.Release[:])})

	text, err := os.ReadFile(ScriptPath)
	if err != nil {
		return false, fmt.Errorf("read script: %w", err)
	}
	var s Script
	if err := json.Unmarshal(text, &s); err != nil {
		return false, fmt.Errorf("decode script: %w", err)
	}
	in, err := newInterp(out)
	if err != nil {
		return false, err
	}
	return in.runScript(s), nil
}

// openRaw opens a serial line without any translation of what is written.
func openRaw(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open results line: %w", err)
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read settings of %s: %w", path, err)
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	t.Cflag |= unix.CLOCAL
	t.Cflag = t.Cflag&^unix.CBAUD | unix.B115200
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("set %s to raw: %w", path, err)
	}
	return f, nil
}

// emitter writes events, one line each.
type emitter struct {
	mu sync.Mutex
	w  io.Writer
}

// emit writes ev and, on a serial line, waits until it has left the machine:
// the next step may end the kernel.
func (e *emitter) emit(ev Event) {
	b, err := json.Marshal(ev)
	if err != nil { // only strings, numbers and slices: cannot happen, but must not vanish
		b, _ = json.Marshal(Event{Kind: EvDone, Err: "encode event: " + err.Error()})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	line := append([]byte(Prefix), b...)
	_, _ = e.w.Write(append(line, '\n'))
	if f, ok := e.w.(*os.File); ok {
		_ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) // tcdrain
	}
}
