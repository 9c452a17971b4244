package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"time"
)

// lock keeps two programs from changing livepatches at once. It is released
// when the process ends, however that happens.
func (m *Machine) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(m.path("run"), 0o755); err != nil {
		return nil, fmt.Errorf("make the lock: %w", err)
	}
	file, err := os.OpenFile(m.path("run/klpforge.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the lock: %w", err)
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("%w while another klpforge was changing livepatches (lock %s)", errInterrupted,
				file.Name())
		case <-time.After(lockPoll):
		}
	}
}
