// Package userland makes whole installations of other suites of Debian in directories of
// the cache, and runs programs in them: each kernel is then built by its own compiler, with
// the libraries and tools that go with it. The static klpforge binary runs in all of
// them.
//
// It needs root, debootstrap, and the machine's own package sources to name the
// archive.
package userland

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch/apt"
)

// killDelay is how long a run that was cancelled may take to end.
const killDelay = 10 * time.Second

// Userland is an installation that can be used.
type Userland struct {
	Suite string
	Root  string // the directory that is its /
}

// Options say where userlands are kept and who is told what happens.
type Options struct {
	Cache cachedir.Dir
	Log   io.Writer // output of the programs that make one; nil for none
}

// Dir is where userlands of a cache are kept, by suite.
func Dir(c cachedir.Dir) string { return filepath.Join(string(c), "userlands") }

// Ensure makes the userland of a suite unless it is there. It is made aside and put in
// its place when complete.
func Ensure(ctx context.Context, suite string, o Options) (*Userland, error) {
	c, err := o.Cache.Resolve()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	dir := Dir(c)
	u := &Userland{Suite: suite, Root: filepath.Join(dir, suite)}
	unlock, err := cachedir.Lock(ctx, filepath.Join(dir, "."+suite+".lock"), func() {
		fmt.Fprintf(o.Log, "waiting for another run that makes the userland of %s\n", suite)
	})
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Stat(u.Root); err == nil {
		return u, nil
	}

	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("userland of %s: only root can create it", suite)
	}
	sources, err := apt.Sources(ctx, suite)
	if err != nil {
		return nil, fmt.Errorf("userland of %s: %w", suite, err)
	}
	tmp, err := os.MkdirTemp(dir, "."+suite+"-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	if err := install(ctx, &Userland{Suite: suite, Root: tmp}, sources, o.Log); err != nil {
		return nil, fmt.Errorf("userland of %s: %w", suite, err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return nil, err
	}
	return u, os.Rename(tmp, u.Root)
}

// install fills a directory: the base by debootstrap, the rest by its own apt.
func install(ctx context.Context, u *Userland, sources []apt.Source, log io.Writer) error {
	base := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", u.Suite, u.Root, sources[0].Base)
	if err := run(base, log); err != nil {
		return err
	}
	var list bytes.Buffer
	for _, s := range sources {
		list.WriteString(s.Line())
	}
	if err := os.WriteFile(filepath.Join(u.Root, "etc/apt/sources.list"), list.Bytes(), 0o644); err != nil {
		return err
	}
	// How the machine reaches the archive holds within as well.
	acquire, err := apt.Acquire(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(u.Root, "etc/apt/apt.conf.d/90machine"), acquire, 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apt-get", "-q", "update"}, // a frozen suite has no updates any more: what else fails, fails below
		append([]string{"apt-get", "-q", "-y", "--no-install-recommends", "install"}, packages...),
		{"apt-get", "clean"},
		{"sh", "-c", "rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*"},
	} {
		cmd := u.Command(ctx, nil, args...)
		cmd.Env = append(cmd.Env, "DEBIAN_FRONTEND=noninteractive")
		if err := run(cmd, log); err != nil && args[len(args)-1] != "update" {
			return err
		}
	}
	return nil
}

// run runs a program with its output in the log, and in the error when it fails.
func run(cmd *exec.Cmd, log io.Writer) error {
	var out bytes.Buffer
	w := io.MultiWriter(&out, log)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Args[0]), err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
	return nil
}

// enter makes the mounts of a command and runs it. They are in a mount namespace of its
// own, and go with it; so do all processes, with the namespace's first one.
const enter = `set -e
root=$1; shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
	if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$root$(dirname "$2")"; [ -e "$root$2" ] || : >"$root$2"; fi
	mount --bind "$1" "$root$2"
	shift 2
done
shift
exec chroot "$root" "$@"
`

// Bind shows a file or directory of the machine within a userland.
type Bind struct{ From, At string }

// Command is a command within the userland. Each run has mounts, /proc and /tmp of its
// own. Variables of the machine's environment are not handed on; add to Env.
func (u *Userland) Command(ctx context.Context, binds []Bind, args ...string) *exec.Cmd {
	all := []string{"--mount", "--pid", "--fork", "--kill-child", "sh", "-c", enter, "sh", u.Root}
	for _, b := range binds {
		all = append(all, b.From, b.At)
	}
	all = append(append(all, "--"), args...)
	cmd := exec.CommandContext(ctx, "unshare", all...)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb",
	}
	cmd.WaitDelay = killDelay
	return cmd
}
