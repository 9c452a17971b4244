package kimage

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

func TestBanner(t *testing.T) {
	for _, c := range []struct {
		in                                                 string
		release, cc, linker, build, pkg, upstream, builder string
	}{
		{kerneltest.Banner, "6.1.0-9-test", "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", "GNU ld (GNU Binutils for Debian) 2.40",
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
