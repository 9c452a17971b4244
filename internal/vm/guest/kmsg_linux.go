package guest

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// kernelLog reads the kernel's ring buffer and keeps what came since it was opened.
type kernelLog struct {
	fd   int
	msgs []string
	lost int // times the ring buffer overtook us
}

// openKernelLog opens the log at its present end.
func openKernelLog() (*kernelLog, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/kmsg: %w", err)
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("seek /dev/kmsg: %w", err)
	}
	return &kernelLog{fd: fd}, nil
}

// pump reads what is there and returns how many messages are kept now, a
// position for since. A nil log is empty.
func (k *kernelLog) pump() int {
	if k == nil {
		return 0
	}
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(k.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EPIPE):
			k.lost++
			k.msgs = append(k.msgs, "(kernel messages lost: ring buffer overrun)")
			continue
		case err != nil || n == 0:
			return len(k.msgs)
		}
		if m, ok := parseKmsg(string(buf[:n])); ok {
			k.msgs = append(k.msgs, m)
		}
	}
}

// since returns the messages from position pos on.
func (k *kernelLog) since(pos int) []string {
	if k == nil {
		return nil
	}
	k.pump()
	return k.msgs[pos:]
}

// clip bounds a log to MaxLog lines, keeping both ends.
func clip(msgs []string) []string {
	if len(msgs) <= MaxLog {
		return msgs
	}
	half := MaxLog / 2
	out := append([]string(nil), msgs[:half]...)
	out = append(out, fmt.Sprintf("(%d messages left out)", len(msgs)-2*half))
	return append(out, msgs[len(msgs)-half:]...)
}
