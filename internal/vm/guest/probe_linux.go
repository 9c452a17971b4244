package guest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A probeFunc makes one system call and returns a short description of what
// came back.
type probeFunc struct {
	usage string
	args  int // how many
	run   func(a []string) (string, error)
}

var probes = map[string]probeFunc{
	"getxattr": {"PATH NAME: value, quoted", 2, func(a []string) (string, error) {
		b := make([]byte, 4096)
		n, err := unix.Getxattr(a[0], a[1], b)
		if err != nil {
			return "", err
		}
		return strconv.Quote(string(b[:n])), nil
	}},
	"setxattr": {"PATH NAME VALUE", 3, func(a []string) (string, error) {
		return "", unix.Setxattr(a[0], a[1], []byte(a[2]), 0)
	}},
	"listxattr": {"PATH: names, quoted", 1, func(a []string) (string, error) {
		b := make([]byte, 4096)
		n, err := unix.Listxattr(a[0], b)
		if err != nil {
			return "", err
		}
		return strconv.Quote(string(b[:n])), nil
	}},
	"socket": {"FAMILY TYPE PROTOCOL, as numbers", 3, func(a []string) (string, error) {
		n, err := numbers(a)
		if err != nil {
			return "", err
		}
		fd, err := unix.Socket(n[0], n[1], n[2])
		if err != nil {
			return "", err
		}
		return "", unix.Close(fd)
	}},
	"open": {"PATH FLAGS, flags as a number", 2, func(a []string) (string, error) {
		n, err := numbers(a[1:])
		if err != nil {
			return "", err
		}
		fd, err := unix.Open(a[0], n[0], 0o600)
		if err != nil {
			return "", err
		}
		return "", unix.Close(fd)
	}},
	"stat": {"PATH: mode in octal and size", 1, func(a []string) (string, error) {
		var st unix.Stat_t
		err := unix.Stat(a[0], &st)
		return fmt.Sprintf("%o %d", st.Mode, st.Size), err
	}},
	"statfs": {"PATH: type in hex", 1, func(a []string) (string, error) {
		var st unix.Statfs_t
		err := unix.Statfs(a[0], &st)
		return fmt.Sprintf("%x", st.Type), err
	}},
	"fallocate": {"PATH MODE OFFSET LENGTH, as numbers", 4, func(a []string) (string, error) {
		n, err := numbers(a[1:])
		if err != nil {
			return "", err
		}
		fd, err := unix.Open(a[0], unix.O_RDWR|unix.O_CREAT, 0o600)
		if err != nil {
			return "", err
		}
		defer unix.Close(fd)
		return "", unix.Fallocate(fd, uint32(n[0]), int64(n[1]), int64(n[2]))
	}},
	"copy-file-range": {"FROM TO OFFSET LENGTH, offset in TO and length as numbers: bytes copied", 4, func(a []string) (string, error) {
		n, err := numbers(a[2:])
		if err != nil {
			return "", err
		}
		from, err := unix.Open(a[0], unix.O_RDONLY, 0)
		if err != nil {
			return "", err
		}
		defer unix.Close(from)
		to, err := unix.Open(a[1], unix.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		defer unix.Close(to)
		at := int64(n[0])
		copied, err := unix.CopyFileRange(from, nil, to, &at, n[1], 0)
		return strconv.Itoa(copied), err
	}},
	"syscall": {"NUMBER [ARG...], as numbers: the result", -1, func(a []string) (string, error) {
		n, err := numbers(a)
		if err != nil {
			return "", err
		}
		if len(n) == 0 || len(n) > 7 {
			return "", fmt.Errorf("want 1 to 7 numbers, got %d", len(n))
		}
		var v [7]uintptr
		for i, x := range n {
			v[i] = uintptr(x)
		}
		r, _, e := unix.Syscall6(v[0], v[1], v[2], v[3], v[4], v[5], v[6])
		if e != 0 {
			return "", e
		}
		return strconv.FormatUint(uint64(r), 10), nil
	}},
}

// ProbeNames lists the probes with their arguments and results, sorted.
func ProbeNames() []string {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(probes)) {
		out = append(out, n+" "+probes[n].usage)
	}
	return out
}

// probe runs a probe. A system error is an outcome, not a failure.
func probe(name string, args []string) (string, error) {
	p, ok := probes[name]
	if !ok {
		return "", fmt.Errorf("unknown probe %q", name)
	}
	if p.args >= 0 && len(args) != p.args {
		return "", fmt.Errorf("probe %s wants %s, got %d arguments", name, p.usage, len(args))
	}
	out, err := p.run(args)
	if en := errnoName(err); en != "" {
		return en, nil
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace("ok " + trimOut(out)), nil
}

func numbers(a []string) ([]int, error) {
	out := make([]int, len(a))
	for i, s := range a {
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			return nil, fmt.Errorf("parse number: %w", err)
		}
		out[i] = int(n)
	}
	return out, nil
}
