package kernel

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/sealed"
)

// deb is what apt knows of one version of a binary package.
type deb struct {
	Name, Version, Arch string
	SHA256              string
	Size                int64 // bytes
	Filename            string
	Depends             []dependency
	BuiltUsing          []dependency
}

// dependency is the first alternative of one entry of a relation field.
type dependency struct {
	Name, Op, Version string
}

// apt runs apt's and dpkg's programs.
type apt struct {
	options []string // "-o", "Key=value", …
}

// ErrNoApt means that apt-get, apt-cache or dpkg is not installed.
var ErrNoApt = errors.New("apt is not available")

// CommandError is a failed subprocess.
type CommandError struct {
	Args   []string
	Err    error
	Output string // what it printed to stderr, complete
}

func (e *CommandError) Error() string {
	last := strings.TrimSpace(e.Output)
	if i := strings.LastIndexByte(last, '\n'); i >= 0 {
		last = last[i+1:]
	}
	return fmt.Sprintf("%s: %v: %s", strings.Join(e.Args[:min(3, len(e.Args))], " "), e.Err, last)
}

func (e *CommandError) Unwrap() error { return e.Err }

func (a apt) run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	if strings.HasPrefix(args[0], "apt-") {
		args = append(append([]string{args[0]}, a.options...), args[1:]...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var out, errb bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errb
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("%w: %s is not installed; on another distribution name the parts with --source, --config, --symvers, --vmlinux and --headers", ErrNoApt, args[0])
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, &CommandError{Args: args, Err: err, Output: errb.String()}
	}
	return out.Bytes(), nil
}

// versions returns all versions of a package that the archive has, in apt's
// order, which is newest first. None is not an error.
func (a apt) versions(ctx context.Context, pkg string) ([]deb, error) {
	out, err := a.run(ctx, "", "apt-cache", "show", "--all-versions", pkg)
	var ce *CommandError
	if errors.As(err, &ce) && strings.Contains(ce.Output, "No packages found") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask apt for %s: %w", pkg, err)
	}
	return parseStanzas(out, pkg)
}

// parseStanzas reads the output of apt-cache show.
func parseStanzas(out []byte, pkg string) ([]deb, error) {
	var list []deb
	for _, st := range bytes.Split(out, []byte("\n\n")) {
		var d deb
		sc := bufio.NewScanner(bytes.NewReader(st))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			k, v, ok := strings.Cut(sc.Text(), ":")
			if !ok || strings.HasPrefix(k, " ") {
				continue
			}
			v = strings.TrimSpace(v)
			switch k {
			case "Package":
				d.Name = v
			case "Version":
				d.Version = v
			case "Architecture":
				d.Arch = v
			case "SHA256":
				d.SHA256 = v
			case "Size":
				fmt.Sscan(v, &d.Size)
			case "Filename":
				d.Filename = v
			case "Depends", "Pre-Depends":
				d.Depends = append(d.Depends, parseRelations(v)...)
			case "Built-Using":
				d.BuiltUsing = parseRelations(v)
			}
		}
		if err := sc.Err(); err != nil {
			return nil, fmt.Errorf("read what apt says of %s: %w", pkg, err)
		}
		// A stanza without a file is an installed package that the archive
		// no longer has.
		if d.Name == pkg && d.Version != "" && d.Filename != "" {
			list = append(list, d)
		}
	}
	return list, nil
}

// parseRelations reads "a (>= 1) | b, c (= 2)".
func parseRelations(s string) []dependency {
	var out []dependency
	for e := range strings.SplitSeq(s, ",") {
		e, _, _ = strings.Cut(e, "|")
		name, rest, _ := strings.Cut(strings.TrimSpace(e), " ")
		d := dependency{Name: strings.TrimSpace(name)}
		d.Name, _, _ = strings.Cut(d.Name, ":")
		if f := strings.Fields(strings.Trim(strings.TrimSpace(rest), "()")); len(f) == 2 {
			d.Op, d.Version = f[0], f[1]
		}
		if d.Name != "" {
			out = append(out, d)
		}
	}
	return out
}

// file is the name apt-get download gives a package: the epoch's colon is
// escaped.
func (d deb) file() string {
	return d.Name + "_" + strings.ReplaceAll(d.Version, ":", "%3a") + "_" + d.Arch + ".deb"
}

// download brings a package into dir, unless a file of the right hash is
// already there, and returns its path. The hash is the one from apt's signed
// index.
func (a apt) download(ctx context.Context, dir string, d deb) (string, error) {
	path := filepath.Join(dir, d.file())
	switch sum, err := fileSHA256(path); {
	case err == nil && sum == d.SHA256 && d.SHA256 != "":
		return path, nil
	case err == nil && d.SHA256 != "":
		sealed.Note(filepath.Dir(dir), path, fmt.Errorf("%w: its SHA256 is not that of apt's index", sealed.ErrDamaged))
	case err != nil && !errors.Is(err, os.ErrNotExist):
		sealed.Note(filepath.Dir(dir), path, fmt.Errorf("%w: %w", sealed.ErrDamaged, err))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("download %s: %w", d.Name, err)
	}
	tmp, err := os.MkdirTemp(dir, ".tmp-")
	if err != nil {
		return "", fmt.Errorf("download %s: %w", d.Name, err)
	}
	defer os.RemoveAll(tmp)
	// apt drops to the user _apt for the download itself and warns when that
	// user may not write here; the file is checked below in any case.
	if _, err := a.run(ctx, tmp, "apt-get", "-q", "download", d.Name+"="+d.Version); err != nil {
		return "", fmt.Errorf("download %s %s: %w", d.Name, d.Version, err)
	}
	got, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if len(got) != 1 {
		return "", fmt.Errorf("download %s %s: apt left %d files", d.Name, d.Version, len(got))
	}
	sum, err := fileSHA256(got[0])
	if err != nil {
		return "", fmt.Errorf("download %s: %w", d.Name, err)
	}
	if d.SHA256 != "" && sum != d.SHA256 {
		return "", fmt.Errorf("download %s %s: SHA256 is %s, apt's index says %s", d.Name, d.Version, sum, d.SHA256)
	}
	if err := os.Rename(got[0], path); err != nil {
		return "", fmt.Errorf("download %s: %w", d.Name, err)
	}
	return path, nil
}

// unpack extracts a package's files into dir.
func (a apt) unpack(ctx context.Context, debFile, dir string) error {
	if _, err := a.run(ctx, "", "dpkg", "-x", debFile, dir); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(debFile), err)
	}
	return nil
}

func fileSHA256(path string) (string, error) {
	f, err := regular.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
