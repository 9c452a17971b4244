package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/pipeline"
)

// The files in testdata/hostile are patches as a hostile contributor sends them. In
// their texts stand
//
//	@CANARY@     a directory: whatever runs by the patch makes a file there
//	@SECRET@     a file that no build has to read; @SECRETDIR@ is its directory
//	@TREE@       the prepared tree in the cache
const (
	secretText = "0x5ec2e7, /* the secret of this machine */\n"
	secretMark = "the secret of this machine"
	secretCode = "\xe7\xc2\x5e\x00"
)

// hostile says what becomes of each patch: the finding that it must be refused with,
// or "" where the rest of it is a livepatch, what is hostile being left out.
var hostile = map[string]string{
	"makefile-shell": "KLP134", "makefile-list-shell": "KLP134", "makefile-recipe": "KLP134", "makefile-eval": "KLP134",
	"makefile-continued": "KLP134", "makefile-include": "KLP134", "makefile-override": "KLP134", "makefile-parent": "KLP134",
	"makefile-kbuild": "KLP134", "makefile-new-directory": "KLP134", "prepared-tree": "KLP134",
	"flags-plugin": "KLP134", "flags-wrapper": "KLP134", "flags-file": "KLP134",
	"makefile-top": "", "makefile-gnu": "", "saved-command": "", "script": "", "objtool": "", "kconfig": "",
	"host-program": "KLP130", "host-header": "KLP130",
	"incbin": "KLP133", "incbin-pieces": "KLP133", "incbin-macro": "KLP133", "incbin-code": "KLP133", "assembler-include": "KLP133",
	"include-absolute": "KLP133", "include-parents": "KLP133", "include-macro": "KLP133", "include-header": "KLP133",
	"include-data": "KLP133", "has-include": "KLP133",
	"symlink": "symbolic link",
}

// stage is where hostile patches are tried.
type stage struct {
	env                    *Env
	canary, secret, output string
	began                  time.Time
	tree                   *kbuild.Tree
}

func newStage(t *testing.T) *stage {
	t.Helper()
	e := env(t)
	s := &stage{env: e, canary: t.TempDir(), output: t.TempDir(), began: time.Now().Add(-time.Second)}
	s.secret = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(s.secret, []byte(secretText), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tree = s.prepared(t)
	return s
}

func (s *stage) options() pipeline.Options {
	return pipeline.Options{Kernel: kernel.Options{Release: CloudRelease, Root: string(s.env.Cache.TargetRoot(CloudRelease)), Cache: s.env.Cache}}
}

// prepared opens the prepared tree, which must be as it was left.
func (s *stage) prepared(t *testing.T) *kbuild.Tree {
	t.Helper()
	target, err := kernel.Open(s.options().Kernel)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	tree, err := pipeline.Prepare(context.Background(), target, kbuild.PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// patch writes a patch of testdata with its places filled in.
func (s *stage) patch(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("@CANARY@", s.canary, "@SECRETDIR@", filepath.Dir(s.secret), "@SECRET@", s.secret, "@TREE@", s.tree.Dir).Replace(string(text))
	return writeTemp(t, filepath.Base(file), filled)
}

// clean makes sure that nothing ran and that nothing of the secret is anywhere.
func (s *stage) clean(t *testing.T, texts ...string) {
	t.Helper()
	ran, err := os.ReadDir(s.canary)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range ran {
		t.Errorf("the patch ran a command: %s was made", f.Name())
		os.RemoveAll(filepath.Join(s.canary, f.Name()))
	}
	for _, dir := range []string{s.output, filepath.Join(string(s.env.Cache), "logs"), filepath.Join(string(s.env.Cache), "objects")} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if info, err := d.Info(); err == nil && info.ModTime().Before(s.began) {
				return nil // of an earlier run
			}
			if data, err := os.ReadFile(p); err == nil && bytes.Contains(data, []byte(secretMark)) {
				t.Errorf("the secret is in %s", p)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range texts {
		if strings.Contains(text, secretMark) || strings.Contains(text, "5ec2e7") {
			t.Errorf("the secret was printed: %s", text)
		}
	}
}

// treeDigest is over the names and contents of everything in the prepared tree.
func treeDigest(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %v\n", p, d.Type())
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			fmt.Fprintln(sum, target)
			return err
		case d.Type().IsRegular():
			data, err := os.ReadFile(p)
			fmt.Fprintf(sum, "%d\n", len(data))
			sum.Write(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// described is all that a run says.
func described(res *pipeline.Result, err error) string {
	var b strings.Builder
	for _, p := range res.Problems {
		fmt.Fprintln(&b, p.Text())
	}
	for _, f := range res.Findings {
		fmt.Fprintln(&b, f.ID, f.Message)
	}
	for _, n := range res.Notes {
		fmt.Fprintln(&b, n)
	}
	if err != nil {
		fmt.Fprintf(&b, "%v\n%+v\n", err, err)
	}
	return b.String()
}

// TestHostile gives patches of a stranger to lint and build. Nothing of them runs,
// nothing that is not of the tree is read, nothing outside of the work tree written.
func TestHostile(t *testing.T) {
	s := newStage(t)
	before := treeDigest(t, s.tree.Dir)
	files, err := filepath.Glob("testdata/hostile/*.patch")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".patch")
		names = append(names, name)
		want, listed := hostile[name]
		if !listed {
			t.Errorf("%s: not in the table", f)
			continue
		}
		t.Run(name, func(t *testing.T) {
			patch := s.patch(t, f)
			for _, lint := range []bool{true, false} {
				opt := s.options()
				opt.Patches, opt.DiffOnly, opt.Sandbox = []string{patch}, lint, kbuild.SandboxRequire
				opt.Output = filepath.Join(s.output, strings.ReplaceAll(name, "-", "_")+".ko")
				opt.TrustPatch = lint // which a review does not heed
				res, err := pipeline.Run(context.Background(), opt)
				said := described(res, err)
				s.clean(t, said)
				switch {
				case want == "" && err != nil:
					t.Errorf("lint %v: what is harmless of it was refused: %v", lint, err)
				case want != "" && (err == nil || !strings.Contains(said, want)):
					t.Errorf("lint %v: not refused with %s:\n%s", lint, want, said)
				}
				if err == nil && !lint {
					s.checkModule(t, res.Module)
				}
			}
		})
	}
	for name := range hostile {
		if !slices.Contains(names, name) {
			t.Errorf("testdata/hostile has no %s.patch", name)
		}
	}
	if after := treeDigest(t, s.tree.Dir); after != before {
		t.Error("the prepared tree was changed")
	}
	if again := s.prepared(t); again.Healed != "" {
		t.Errorf("the prepared tree is taken for changed: %s", again.Healed)
	}
}

func (s *stage) checkModule(t *testing.T, module string) {
	t.Helper()
	data, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(secretCode)) || bytes.Contains(data, []byte(secretMark)) {
		t.Errorf("%s carries the secret", module)
	}
}

// TestHostileWithoutSandbox: where nothing can be confined, what was read is still
// compared, and its contents are not shown.
func TestHostileWithoutSandbox(t *testing.T) {
	s := newStage(t)
	for name, want := range hostile {
		if want != "KLP133" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			opt := s.options()
			opt.Patches, opt.DiffOnly, opt.Sandbox = []string{s.patch(t, "testdata/hostile/"+name+".patch")}, true, kbuild.SandboxOff
			res, err := pipeline.Run(context.Background(), opt)
			said := described(res, err)
			s.clean(t, said)
			var refusal *pipeline.Refusal
			if !errors.As(err, &refusal) || !strings.Contains(said, want) {
				t.Errorf("not refused with %s:\n%s", want, said)
			}
		})
	}
}

// TestTrustedPatchIsConfined: with --trust-patch a makefile of the patch runs, but
// cannot write to the prepared tree, by whatever name, nor read what is not of it.
func TestTrustedPatchIsConfined(t *testing.T) {
	s := newStage(t)
	before := treeDigest(t, s.tree.Dir)
	opt := s.options()
	opt.Patches, opt.TrustPatch, opt.Sandbox = []string{s.patch(t, "testdata/hostile/prepared-tree.patch")}, true, kbuild.SandboxRequire
	opt.Output = filepath.Join(s.output, "trusted.ko")
	res, err := pipeline.Run(context.Background(), opt)
	said := described(res, err)
	s.clean(t, said)
	if strings.Contains(said, "KLP134") {
		t.Errorf("the patch is trusted, but was refused:\n%s", said)
	}
	if after := treeDigest(t, s.tree.Dir); after != before {
		t.Error("the prepared tree was changed")
	}
	if err == nil {
		s.checkModule(t, res.Module)
	}
}

// TestNewSource: an object that a plain line of a makefile lists is compiled without
// running the makefile, to the same bytes as by it.
func TestNewSource(t *testing.T) {
	s := newStage(t)
	patch := s.patch(t, "testdata/newsource/composite.patch")
	var modules [2][]byte
	for i, trust := range []bool{false, true} {
		opt := s.options()
		opt.Patches, opt.TrustPatch, opt.Name = []string{patch}, trust, "newsource"
		opt.Output = filepath.Join(s.output, fmt.Sprintf("newsource%d.ko", i))
		res, err := pipeline.Run(context.Background(), opt)
		if err != nil {
			t.Fatalf("trust %v: %v", trust, err)
		}
		if !slices.Contains(res.NewFuncs, "ext4_sync_check") {
			t.Errorf("trust %v: the new function is not in the module: %q", trust, res.NewFuncs)
		}
		if modules[i], err = os.ReadFile(res.Module); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(modules[0], modules[1]) {
		t.Error("the two modules differ")
	}
}
