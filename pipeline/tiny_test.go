package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/pipeline"
)

// tinyRelease is the release of testdata/tiny.
const tinyRelease = "6.1.0-tiny"

// tiny is testdata/tiny, compiled and linked, with a cache of its own.
type tiny struct {
	t      testing.TB
	source string // the tree, with vmlinux and drivers/tiny/tiny.ko in it
	kernel kernel.Options
}

// shared is the tree that most tests take; it is only read.
var shared struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// newTiny returns the kernel, built once for all tests.
func newTiny(t testing.TB) *tiny {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "tiny-"); shared.err == nil {
			shared.err = buildTiny(shared.dir, nil)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return tinyAt(t, shared.dir)
}

// otherTiny returns a kernel whose sources were changed: file to new text.
func otherTiny(t testing.TB, change func(file, text string) string) *tiny {
	t.Helper()
	dir := t.TempDir()
	if err := buildTiny(dir, change); err != nil {
		t.Fatal(err)
	}
	return tinyAt(t, dir)
}

func tinyAt(t testing.TB, dir string) *tiny {
	return &tiny{t: t, source: filepath.Join(dir, "source"), kernel: optionsAt(dir)}
}

// optionsAt name the parts of the kernel that buildTiny made below dir.
func optionsAt(dir string) kernel.Options {
	return kernel.Options{Release: tinyRelease, Root: filepath.Join(dir, "root"), Cache: cachedir.Dir(filepath.Join(dir, "cache")),
		Source: filepath.Join(dir, "source"), Config: filepath.Join(dir, "config"), Symvers: filepath.Join(dir, "Module.symvers"),
		Headers: filepath.Join(dir, "headers"), Image: filepath.Join(dir, "vmlinux"), ModulesDir: filepath.Join(dir, "modules")}
}

// buildTiny makes below dir: source, vmlinux, modules, headers, config,
// Module.symvers, and an empty root and cache.
func buildTiny(dir string, change func(file, text string) string) error {
	src := filepath.Join(dir, "source")
	for from, to := range map[string]string{
		"testdata/tiny": "",
		"../testdata/kernel/scripts/Makefile.build":   "scripts/Makefile.build",
		"../testdata/kernel/scripts/basic/fixdep":     "scripts/basic/fixdep",
		"../testdata/livepatch/linux/kernel.h":        "include/linux/kernel.h",
		"../testdata/livepatch/linux/module.h":        "include/linux/module.h",
		"../testdata/livepatch/5.8/linux/livepatch.h": "include/linux/livepatch.h",
	} {
		if err := copyTree(from, filepath.Join(src, to)); err != nil {
			return err
		}
	}
	gcc, err := exec.Command("gcc", "--version").Output()
	if err != nil {
		return fmt.Errorf("the tests of this package need gcc, make and ld: %w", err)
	}
	cc, _, _ := strings.Cut(string(gcc), "\n")
	err = rewrite(src, func(file, text string) string {
		// As scripts/Makefile.build of a kernel with CONFIG_MODVERSIONS does.
		if file == "scripts/Makefile.build" {
			text = strings.Replace(text, "> $(@D)/.$(@F).cmd", "> $(@D)/.$(@F).cmd; scripts/basic/versions $@ >> $(@D)/.$(@F).cmd", 1)
			// And as it tells each object its names.
			text = strings.Replace(text, `-DDIR='"$(obj)"' -DNAME='"$(basename $(@F))"'`, `-DKBUILD_MODFILE='"$(basename $@)"' -DKBUILD_BASENAME='"$(basename $(@F))"' `+
				`-DKBUILD_MODNAME='"$(basename $(@F))"' -D__KBUILD_MODNAME=kmod_$(basename $(@F))`, 1)
		}
		text = strings.ReplaceAll(text, "TINY_CC", cc)
		if change != nil {
			text = change(file, text)
		}
		return text
	})
	if err != nil {
		return err
	}
	work := filepath.Join(dir, "shipped")
	if err := copyTree(src, work); err != nil {
		return err
	}
	cmd := exec.Command("make", "-s", "CC=gcc", "shipped")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the tiny kernel: %w\n%s", err, out)
	}
	config := "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.99 Kernel Configuration\n#\nCONFIG_LIVEPATCH=y\nCONFIG_KALLSYMS_ALL=y\nCONFIG_MODVERSIONS=y\nCONFIG_SMP=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_HZ=250\nCONFIG_CC_VERSION_TEXT=\"" + cc + "\"\n"
	for name, text := range map[string]string{
		"config":                                 config,
		"Module.symvers":                         "0x00000001\tcore_value\tvmlinux\tEXPORT_SYMBOL\t\n0x00000002\tklp_enable_patch\tvmlinux\tEXPORT_SYMBOL_GPL\t\n0x00000003\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t\n",
		"headers/Makefile":                       "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 99\n",
		"headers/.config":                        config,
		"headers/include/generated/utsrelease.h": "#define UTS_RELEASE \"" + tinyRelease + "\"\n",
		"modules/modules.builtin":                "",
		"root/empty":                             "",
		"cache/empty":                            "",
	} {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{
		filepath.Join(src, "include/linux"):         "headers/include/linux",
		filepath.Join(work, "vmlinux"):              "vmlinux",
		filepath.Join(work, "drivers/tiny/tiny.ko"): "modules/kernel/drivers/tiny/tiny.ko",
	} {
		if err := copyTree(from, filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies a file or a directory with all below.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(at, 0o755)
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(at, b, info.Mode())
	})
}

func rewrite(dir string, change func(file, text string) string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if text := change(rel, string(b)); text != string(b) {
			return os.WriteFile(p, []byte(text), 0)
		}
		return nil
	})
}

// edit is a change of one file: what stands in it, and what shall.
type edit struct{ file, old, new string }

// patch writes edits of the source as a patch file.
func (k *tiny) patch(edits ...edit) string {
	k.t.Helper()
	dir := k.t.TempDir()
	for _, e := range edits {
		b, err := os.ReadFile(filepath.Join(k.source, e.file))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			k.t.Fatal(err)
		}
		after := filepath.Join(dir, "b", e.file)
		if have, err := os.ReadFile(after); err == nil {
			b = have
		}
		if e.old != "" && strings.Count(string(b), e.old) != 1 {
			k.t.Fatalf("%s has %q %d times", e.file, e.old, strings.Count(string(b), e.old))
		}
		text := strings.Replace(string(b), e.old, e.new, 1)
		before, err := os.ReadFile(filepath.Join(k.source, e.file))
		if err == nil {
			put(k.t, filepath.Join(dir, "a", e.file), string(before))
		}
		put(k.t, after, text)
	}
	cmd := exec.Command("diff", "-uNr", "a", "b")
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		k.t.Fatalf("diff: %v", err)
	}
	file := filepath.Join(dir, "fix.patch")
	put(k.t, file, string(out))
	return file
}

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// build builds a livepatch of a patch file.
func (k *tiny) build(patch string, change func(*pipeline.Options)) (*pipeline.Result, error) {
	o := pipeline.Options{Kernel: k.kernel, Patches: []string{patch}, Output: filepath.Join(k.t.TempDir(), "fix.ko"), Jobs: 2}
	if change != nil {
		change(&o)
	}
	return pipeline.Run(k.t.Context(), o)
}

// built is a finished livepatch.
type built struct {
	res      *pipeline.Result
	file     *elfobj.File
	manifest *note.Note
}

// mustBuild fails the test unless a livepatch results.
func (k *tiny) mustBuild(patch string, change func(*pipeline.Options)) *built {
	k.t.Helper()
	res, err := k.build(patch, change)
	if err != nil {
		k.t.Fatalf("build: %v", err)
	}
	f, err := elfobj.ReadFile(res.Module)
	if err != nil {
		k.t.Fatal(err)
	}
	m, err := note.Read(f)
	if err != nil {
		k.t.Fatal(err)
	}
	return &built{res, f, m}
}

// functions lists what a livepatch replaces, as "object function sympos".
func (b *built) functions() []string {
	var out []string
	for _, o := range b.manifest.Objects {
		for _, f := range o.Funcs {
			out = append(out, fmt.Sprintf("%s %s %d", o.Name, f.Name, f.Sympos))
		}
	}
	slices.Sort(out)
	return out
}

// klpSymbols lists the livepatch symbols of a module.
func (b *built) klpSymbols() []string {
	var out []string
	for _, s := range b.file.Symbols {
		if strings.HasPrefix(s.Name, ".klp.sym.") {
			out = append(out, s.Name)
		}
	}
	slices.Sort(out)
	return out
}

// refused gives the ids of the problems of a refusal with their symbols.
func refused(t testing.TB, res *pipeline.Result, err error) []string {
	t.Helper()
	var r *pipeline.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("no refusal: %v", err)
	}
	if res.Module != "" {
		t.Errorf("a refused livepatch is at %s", res.Module)
	}
	var out []string
	for _, p := range r.Problems {
		out = append(out, string(p.ID)+" "+p.Symbol)
	}
	slices.Sort(out)
	return out
}

// code is where a function lies in a file, and a checksum of it.
type code struct {
	addr, size uint64
	sha256     string
}

// shippedCode finds a function with the Go library's reader of ELF files.
func shippedCode(t testing.TB, file, name string) code {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if s.Name != name {
			continue
		}
		sec := f.Sections[s.Section]
		data, err := sec.Data()
		if err != nil {
			t.Fatal(err)
		}
		off := s.Value
		if f.Type == elf.ET_EXEC {
			off -= sec.Addr
		}
		sum := sha256.Sum256(data[off : off+s.Size])
		return code{s.Value, s.Size, hex.EncodeToString(sum[:])}
	}
	t.Fatalf("%s has no %s", file, name)
	return code{}
}

// contains reports whether bytes stand in any section of the module.
func (b *built) contains(text []byte) bool {
	return slices.ContainsFunc(b.file.Sections, func(s elfobj.Section) bool { return bytes.Contains(s.Data, text) })
}
