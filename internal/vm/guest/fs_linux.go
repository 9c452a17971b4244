package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// retry repeats f while it says EBUSY or EAGAIN, for at most d.
func retry(d time.Duration, f func() error) error {
	for end := time.Now().Add(d); ; {
		err := f()
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EAGAIN) || time.Now().After(end) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// insmod loads a module file with finit_module(2).
func insmod(path, params string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open module: %w", err)
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), params, 0); err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

// rmmod unloads a module, waiting for up to d while it is in use. Right after
// a livepatch was disabled, the kernel's work item still holds a reference.
func rmmod(name string, d time.Duration) error {
	if err := retry(d, func() error { return unix.DeleteModule(name, unix.O_NONBLOCK) }); err != nil {
		return fmt.Errorf("unload %s: %w", name, err)
	}
	return nil
}

func loopAttach(dev, file string) error {
	back, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open loop file: %w", err)
	}
	defer back.Close()
	// The device node appears in devtmpfs a moment after the module is loaded.
	var f *os.File
	for range 100 {
		if f, err = os.OpenFile(dev, os.O_RDWR, 0); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("open loop device: %w", err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_SET_FD, int(back.Fd())); err != nil {
		return fmt.Errorf("attach %s to %s: %w", file, dev, err)
	}
	return nil
}

func loopDetach(dev string) error {
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open loop device: %w", err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
		return fmt.Errorf("detach %s: %w", dev, err)
	}
	return nil
}

func mount(dev, dir, fs, options string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	flags := uintptr(0)
	if fs == "bind" {
		flags = unix.MS_BIND
	}
	if err := unix.Mount(dev, dir, fs, flags, options); err != nil {
		return fmt.Errorf("mount %s at %s as %s: %w", dev, dir, fs, err)
	}
	return nil
}

// copySparse copies a file and leaves holes for whole pages of zeros.
func copySparse(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(path.Dir(to), 0o755); err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	buf, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	off := int64(0)
	for {
		n, err := io.ReadFull(src, buf)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := dst.WriteAt(buf[:n], off); err != nil {
				return err
			}
		}
		off += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return dst.Truncate(off)
		}
		if err != nil {
			return err
		}
	}
}

// pattern fills b with the bytes of a WriteFile pattern from offset off on;
// off is a multiple of 8. Every 8 bytes say where they are and for which seed.
func pattern(b []byte, off, seed int64) {
	var w [8]byte
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(w[:], (uint64(off)+uint64(i))*0x9e3779b97f4a7c15^uint64(seed))
		copy(b[i:], w[:])
	}
}

func writePattern(path string, size, seed int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := make([]byte, 64<<10)
	for off := int64(0); off < size; off += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), size-off)]
		pattern(buf, off, seed)
		if _, err := f.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

func verifyPattern(path string, size, seed int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return err
	} else if st.Size() != size {
		return fmt.Errorf("%s has %d bytes, want %d", path, st.Size(), size)
	}
	got, want := make([]byte, 64<<10), make([]byte, 64<<10)
	for off := int64(0); off < size; off += int64(len(want)) {
		want = want[:min(int64(len(want)), size-off)]
		pattern(want, off, seed)
		if _, err := io.ReadFull(f, got[:len(want)]); err != nil {
			return fmt.Errorf("read %s at %d: %w", path, off, err)
		}
		if !bytes.Equal(got[:len(want)], want) {
			return fmt.Errorf("%s differs from what was written, in the block at %d", path, off)
		}
	}
	return nil
}

// writeOnce hands data to a file in one write(2).
func writeOnce(path, data string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// readFile reads at most MaxOut bytes of a file.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxOut))
	return trimOut(string(b)), err
}

// trimOut makes text fit for a result: valid UTF-8 of at most MaxOut bytes.
func trimOut(s string) string {
	if len(s) > MaxOut {
		s = s[:MaxOut]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
