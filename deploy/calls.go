package deploy

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotRoot means that the process may not load modules.
var ErrNotRoot = errors.New("loading and unloading livepatches needs root: run it with sudo, or as root")

// Kernel is Calls of the running kernel.
type Kernel struct{}

var _ Calls = Kernel{}

// Privileged implements Calls.
func (Kernel) Privileged() error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	return nil
}

// Finit implements Calls with finit_module(2).
func (Kernel) Finit(f *os.File, params string) error {
	return unix.FinitModule(int(f.Fd()), params, 0)
}

// Init implements Calls with init_module(2).
func (Kernel) Init(image []byte, params string) error { return unix.InitModule(image, params) }

// Delete implements Calls with delete_module(2).
func (Kernel) Delete(name string) error { return unix.DeleteModule(name, unix.O_NONBLOCK) }

// Write implements Calls.
func (Kernel) Write(path, data string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(data)
	return errors.Join(err, file.Close())
}

// LogMark implements Calls: the sequence number of the last record.
func (k Kernel) LogMark() int64 {
	mark := int64(-1)
	readLog(func(seq int64, _ string) { mark = seq })
	return mark
}

// LogSince implements Calls.
func (k Kernel) LogSince(mark int64) []string {
	var out []string
	readLog(func(seq int64, text string) {
		if seq > mark {
			out = append(out, text)
		}
	})
	return out
}

// readLog calls each for each record of /dev/kmsg, whose format is
// "level,sequence,time,flags;text" and continuation lines
// (Documentation/ABI/testing/dev-kmsg, v6.1). What cannot be read is left out:
// the log only explains an error that is reported anyway.
func readLog(each func(seq int64, text string)) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	buf := make([]byte, 16<<10)
	for {
		length, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EINTR) { // overwritten meanwhile
			continue
		}
		if err != nil || length <= 0 {
			return
		}
		if seq, text, ok := parseRecord(string(buf[:length])); ok {
			each(seq, text)
		}
	}
}

func parseRecord(r string) (seq int64, text string, ok bool) {
	head, text, ok := strings.Cut(r, ";")
	fields := strings.Split(head, ",")
	if !ok || len(fields) < 3 {
		return 0, "", false
	}
	seq, err := parseInt(fields[1])
	text, _, _ = strings.Cut(text, "\n")
	return seq, text, err == nil
}
