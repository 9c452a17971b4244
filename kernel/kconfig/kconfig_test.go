package kconfig

import (
	"errors"
	"testing"

	"github.com/klpforge/klpforge/internal/syntax"
)

func TestConfig(t *testing.T) {
	c, err := Parse(".config", `# comment
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
		var se *syntax.Error
		if _, err := Parse("c", in); !errors.As(err, &se) || se.Line != line {
			t.Errorf("%q: %v", in, err)
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
