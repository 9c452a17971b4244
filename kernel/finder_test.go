package kernel

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// placesOf is a finder of a kernel whose parts lie anywhere.
type placesOf map[Part]string

func (placesOf) Release() string { return kerneltest.Release }

func (f placesOf) Find(p Part) (string, []string) { return f[p], []string{"looked/at/" + p.String()} }

func (placesOf) Remedy(p Part) string {
	if p == PartSource {
		return "check out what it was built from"
	}
	return "run make"
}

func TestFinder(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, data []byte) string { return kerneltest.Write(t, filepath.Join(dir, name), data) }
	vmlinux := kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)
	config := put("conf", []byte("CONFIG_SMP=y\n"))
	put("src/Makefile", []byte("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\n"))
	finder := placesOf{PartImage: put("out/vmlinux", vmlinux), PartConfig: config, PartSource: filepath.Join(dir, "src")}

	tg := open(t, Options{Finder: finder})
	if tg.Release() != kerneltest.Release {
		t.Errorf("release %s", tg.Release())
	}
	if c, err := tg.Config(); err != nil || c.Path != config || !c.Bool("SMP") {
		t.Errorf("config %+v, %v", c, err)
	}
	if b, err := tg.Banner(); err != nil || b.Release != kerneltest.Release {
		t.Errorf("banner %+v, %v", b, err)
	}

	// A part that is missing, or another kernel's, gets the finder's remedy.
	var missing *MissingPartError
	if _, err := tg.Symvers(); !errors.As(err, &missing) || missing.Remedy != "run make" || missing.Searched[0] != "looked/at/Module.symvers" {
		t.Errorf("symvers: %v", err)
	}
	var mismatch *SourceMismatchError
	if _, err := tg.Source(); !errors.As(err, &mismatch) || !strings.HasSuffix(err.Error(), "6.1.192; check out what it was built from") {
		t.Errorf("source: %v", err)
	}
	// What is named one by one counts before what is found.
	other := put("other", []byte("CONFIG_A=y\n"))
	if c, err := open(t, Options{Finder: finder, Config: other}).Config(); err != nil || c.Path != other {
		t.Errorf("config %+v, %v", c, err)
	}
	if tg, err := Open(Options{Finder: finder, Release: "6.1.0-8-test"}); err == nil || !strings.Contains(err.Error(), kerneltest.Release) {
		t.Errorf("another release was asked for: %v, %v", tg, err)
	}
}
