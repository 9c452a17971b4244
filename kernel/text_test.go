package kernel

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	c, err := ParseConfig(".config", `# comment
CONFIG_LIVEPATCH=y
CONFIG_EXT4_FS=m
# CONFIG_KERNEL_XZ is not set
CONFIG_HZ=250
CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"
CONFIG_GCC_VERSION=120200
CONFIG_QUOTED="a \"b\" \\"
CONFIG_EMPTY=""
`)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Bool("LIVEPATCH") || !c.Bool("CONFIG_LIVEPATCH") || c.Bool("EXT4_FS") || !c.Module("EXT4_FS") || !c.Enabled("EXT4_FS") || c.Enabled("KERNEL_XZ") {
		t.Error("Bool, Module or Enabled is wrong")
	}
	if c.Value("HZ") != "250" || c.Value("QUOTED") != `a "b" \` || c.Value("EMPTY") != "" || c.Value("NONE") != "" {
		t.Errorf("values: %q %q", c.Value("HZ"), c.Value("QUOTED"))
	}
	if c.GCCMajor() != 12 || c.Compiler().Version != "12.2.0" {
		t.Errorf("compiler: %d, %+v", c.GCCMajor(), c.Compiler())
	}
	if n := c.Names(); len(n) != 7 || n[0] != "CC_VERSION_TEXT" {
		t.Errorf("Names = %v", n)
	}
	for in, line := range map[string]int{"CONFIG_A=y\nnonsense\n": 2, "A=y\n": 1, `CONFIG_A="x`: 1, `CONFIG_A="x" y`: 1, `CONFIG_A="x\`: 1} {
		var se *SyntaxError
		if _, err := ParseConfig("c", in); !errors.As(err, &se) || se.Line != line {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestSymvers(t *testing.T) {
	s, err := ParseSymvers("Module.symvers", "0x4c9d28b0\tphys_base\tvmlinux\tEXPORT_SYMBOL\t\n"+
		"0x00000001\tloop_f\tdrivers/block/a-loop\tEXPORT_SYMBOL_GPL\tLOOP_NS\n"+
		"0xffffffff\told_f\tvmlinux\tEXPORT_SYMBOL\n"+
		"0x00000002\tv54_f\tNS\tfs/x\tEXPORT_SYMBOL_GPL\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []Export
	for e := range s.All() {
		got = append(got, e)
	}
	want := []Export{
		{"phys_base", 0x4c9d28b0, "vmlinux", "EXPORT_SYMBOL", ""},
		{"loop_f", 1, "drivers/block/a-loop", "EXPORT_SYMBOL_GPL", "LOOP_NS"},
		{"old_f", 0xffffffff, "vmlinux", "EXPORT_SYMBOL", ""},
		{"v54_f", 2, "fs/x", "EXPORT_SYMBOL_GPL", "NS"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	e, ok := s.Lookup("loop_f")
	if !ok || e.Object() != "a_loop" || !e.GPL() {
		t.Errorf("Lookup = %+v, %v", e, ok)
	}
	if _, ok := s.Lookup("nope"); ok || s.Len() != 4 {
		t.Error("Lookup(nope) or Len is wrong")
	}
	good := "0x1\ta\tvmlinux\tEXPORT_SYMBOL\t\n"
	for in, line := range map[string]int{
		good + "0x1\ta\tvmlinux\n":                   2,
		good + good + "zz\ta\tvmlinux\tEXPORT_X\t\n": 3,
		"0x123456789\ta\tvmlinux\tEXPORT_SYMBOL\t\n": 1,
		"0x1\t\tvmlinux\tEXPORT_SYMBOL\t\n":          1,
		"0x1\ta\tvmlinux\tnonsense\t\n":              1,
		"0x1\ta\tb\tEXPORT_SYMBOL\td\te\n":           1,
		"<html>\n":                                   1,
	} {
		var se *SyntaxError
		if _, err := ParseSymvers("Module.symvers", in); !errors.As(err, &se) || se.Line != line || !strings.Contains(err.Error(), "Module.symvers:") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestBanner(t *testing.T) {
	for _, c := range []struct {
		in                                                 string
		release, cc, linker, build, pkg, upstream, builder string
	}{
		{fakeBanner, "6.1.0-9-test", "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", "GNU ld (GNU Binutils for Debian) 2.40",
			"#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)", "6.1.192-1", "6.1.192", "someone@example.org"},
		{"Linux version 6.12.117+deb12-cloud-amd64 (debian-kernel@lists.debian.org) (x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1~deb12u1 (2026-11-14)",
			"6.12.117+deb12-cloud-amd64", "x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", "GNU ld (GNU Binutils for Debian) 2.40",
			"#1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1~deb12u1 (2026-11-14)", "6.12.117-1~deb12u1", "6.12.117", "debian-kernel@lists.debian.org"},
		{"Linux version 5.14.21 (a@b) (clang version 15.0.7, LLD 15.0.7) #3 SMP Fri",
			"5.14.21", "clang version 15.0.7", "LLD 15.0.7", "#3 SMP Fri", "", "5.14.21", "a@b"},
		{"Linux version 4.4.0 (a@b) (gcc version 5.4.0 20160609 (Ubuntu 5.4.0-6ubuntu1) ) #1 SMP",
			"4.4.0", "5.4.0 20160609 (Ubuntu 5.4.0-6ubuntu1)", "", "#1 SMP", "", "4.4.0", "a@b"},
	} {
		b, err := ParseBanner(c.in)
		if err != nil {
			t.Error(err)
			continue
		}
		got := []string{b.Release, b.Compiler.Text, b.Linker, b.Build, b.Package, b.Upstream(), b.Builder}
		if d := cmp.Diff([]string{c.release, c.cc, c.linker, c.build, c.pkg, c.upstream, c.builder}, got); d != "" {
			t.Errorf("%s:\n%s", c.in, d)
		}
	}
	for _, in := range []string{"", "Linux version ", "Linux version 6.1.0 (a@b", "Linux version 6.1.0 x (y) #1", "GNU Hurd"} {
		if b, err := ParseBanner(in); !errors.Is(err, ErrNoBanner) {
			t.Errorf("%q: %+v, %v", in, b, err)
		}
	}
}

func TestCompilerMatch(t *testing.T) {
	const kernel = "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"
	for other, want := range map[string]CompilerMatch{
		kernel: CompilerSame,
		"x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022": CompilerSame,
		"gcc (Debian 12.2.0-14+deb12u1) 12.2.0":                                         CompilerSame,
		"cc (Debian 12.2.0-14+deb12u1) 12.2.0":                                          CompilerSame,
		"gcc-12 (Debian 12.2.0-14) 12.2.0":                                              CompilerSameVersion,
		"gcc-13 (Debian 13.2.0-1) 13.2.0":                                               CompilerDifferent,
		"gcc (GCC) 12.3.0":                                                              CompilerDifferent,
		"Debian clang version 14.0.6":                                                   CompilerDifferent,
		"":                                                                              CompilerUnknown,
		"bash: gcc: command not found":                                                  CompilerUnknown,
	} {
		if got := ParseCompiler(kernel).Match(ParseCompiler(other)); got != want {
			t.Errorf("%q: %v, want %v (%+v)", other, got, want, ParseCompiler(other))
		}
	}
}

func TestVermagic(t *testing.T) {
	for cfg, want := range map[string]string{
		"CONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n": "6.1.0 SMP preempt mod_unload modversions ",
		"CONFIG_SMP=y\nCONFIG_PREEMPT_RT=y\nCONFIG_PREEMPT_BUILD=y\n":                          "6.1.0 SMP preempt_rt ",
		"CONFIG_ARM64=y\n": "6.1.0 aarch64",
	} {
		c, err := ParseConfig("c", cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := vermagicOf("6.1.0", c); err != nil || got != want {
			t.Errorf("%q: %q, %v", cfg, got, err)
		}
	}
	c, _ := ParseConfig("c", "CONFIG_RANDSTRUCT=y\n")
	if _, err := vermagicOf("6.1.0", c); err == nil {
		t.Error("no error for RANDSTRUCT")
	}
}
