// Command matrix tries klpforge on every kind of kernel that it claims to handle, each built
// for where its own compiler is at home, and prints one table: what was fetched, reviewed,
// built, checked, loaded in a VM before and after the module that it patches, seen from
// user space, replaced and unloaded.
//
//	go run ./internal/matrix [-corpus] [-write] [ROW...]
//
// Rows run one at a time. What is known of a row is kept in the cache under the digest of
// the klpforge that was tried, so that a run that was killed goes on, and a changed klpforge
// begins anew.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

type options struct {
	rows   []string
	corpus bool
	retry  bool
	show   bool   // run nothing
	write  bool   // docs/matrix.md
	json   string // file
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var o options
	flag.BoolVar(&o.corpus, "corpus", true, "also build livepatches of many changed files")
	flag.BoolVar(&o.retry, "retry", false, "try again what failed with this klpforge")
	flag.BoolVar(&o.show, "show", false, "run nothing; print what is known of the last runs, of whatever klpforge")
	flag.BoolVar(&o.write, "write", false, "write the table to docs/matrix.md")
	flag.StringVar(&o.json, "json", "", "write all results to this file")
	flag.Parse()
	o.rows = flag.Args()
	err := run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out, log io.Writer) error {
	chosen, err := choose(o.rows)
	if err != nil {
		return err
	}
	cache, err := cachedir.Default()
	if err != nil {
		return err
	}
	dir := filepath.Join(string(cache), "matrix")
	broken := 0
	if !o.show {
		p, digest, err := buildPrograms(ctx, dir)
		if err != nil {
			return err
		}
		for _, row := range chosen {
			s, err := tryRow(ctx, row, tryOptions{
				cache: cache, dir: dir, programs: p, digest: digest, log: log, corpus: o.corpus, retry: o.retry,
			})
			if err != nil {
				return err
			}
			broken += len(s.failed())
		}
	}
	states, err := collect(dir, chosen)
	if err != nil {
		return err
	}
	if o.json != "" {
		text, err := json.MarshalIndent(states, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	text := table(chosen, states)
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if o.write {
		all := rows()
		if states, err = collect(dir, all); err != nil {
			return err
		}
		if err := os.WriteFile("docs/matrix.md", []byte(page(all, states)), 0o644); err != nil {
			return err
		}
	}
	if broken > 0 {
		return fmt.Errorf("%d cells failed", broken)
	}
	return nil
}

// tryOptions say how a row is tried.
type tryOptions struct {
	cache    cachedir.Dir
	dir      string // a directory for each row is made in it
	programs programs
	digest   string // of klpforge
	log      io.Writer
	corpus   bool
	retry    bool
}

// tryRow tries what is not known of a row.
func tryRow(ctx context.Context, row Row, o tryOptions) (*State, error) {
	k, err := key(row, o.digest)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(o.dir, row.Name, k)
	s, err := openState(dir, row, o.digest)
	if err != nil {
		return nil, err
	}
	if o.retry {
		s.forget()
	}
	r := &runner{cache: o.cache, dir: dir, programs: o.programs, log: o.log, corpus: o.corpus, State: s}
	return s, r.run(ctx)
}

// collect returns the newest state of each row, nil where there is none.
func collect(dir string, of []Row) ([]*State, error) {
	var out []*State
	for _, row := range of {
		s, err := latest(filepath.Join(dir, row.Name), row)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// buildPrograms builds what runs in userlands and VMs below dir, in a directory that is
// klpforge's own, and returns the digest of klpforge. Another run may be under way with
// another klpforge.
func buildPrograms(ctx context.Context, dir string) (programs, string, error) {
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return programs{}, "", err
	}
	tmp, err := os.MkdirTemp(bin, ".tmp-")
	if err != nil {
		return programs{}, "", err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return programs{}, "", err
	}
	p := programsIn(tmp)
	for _, b := range []struct{ out, pkg string }{{p.klpforge, "cmd/klpforge"}, {p.corpus, "internal/corpus"}} {
		cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-o", b.out, "github.com/klpforge/klpforge/"+b.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, "", fmt.Errorf("build %s: %w\n%s", b.pkg, err, out)
		}
	}
	if err := vm.BuildInit(ctx, p.init); err != nil {
		return p, "", err
	}
	sum := sha256.New()
	for _, path := range []string{p.klpforge, p.corpus, p.init} {
		text, err := os.ReadFile(path)
		if err != nil {
			return p, "", err
		}
		sum.Write(text)
	}
	text, err := os.ReadFile(p.klpforge)
	if err != nil {
		return p, "", err
	}
	digest := sha256.Sum256(text)
	home := filepath.Join(bin, hex.EncodeToString(sum.Sum(nil)[:8]))
	if err := os.Rename(tmp, home); err != nil && !errors.Is(err, fs.ErrExist) {
		return p, "", err
	}
	return programsIn(home), hex.EncodeToString(digest[:]), nil
}

// programsIn are the programs in a directory.
func programsIn(dir string) programs {
	return programs{klpforge: filepath.Join(dir, "klpforge"), corpus: filepath.Join(dir, "corpus"), init: filepath.Join(dir, "vminit")}
}
