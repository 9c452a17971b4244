package rpm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// A repository of small packages with the names and places of RHEL 9's, made by the real
// rpmbuild and createrepo_c.

const (
	testVersion = "5.14.0"
	testRelease = "503.1.el9"
	testKernel  = testVersion + "-" + testRelease + ".x86_64"
)

// spec lays out packages as RHEL's kernel.spec does: source in a tarball whose directory
// %prep renames, and a patch of the distribution's.
const spec = `
Name: kernel
Summary: The Linux kernel
Version: @VERSION@
Release: @RELEASE@
License: GPLv2
ExclusiveArch: x86_64
%define KVERREL %{version}-%{release}.%{_target_cpu}
%define debug_package %{nil}
%define _build_id_links none
Source0: linux-%{version}-%{release}.tar.gz
Source1: root.tar.gz
Patch1: patch-5.14-redhat.patch
Requires: kernel-core-uname-r = %{KVERREL}
%description
Demands the others.
%package core
Summary: image
Provides: kernel-uname-r = %{KVERREL}
Provides: kernel-core-uname-r = %{KVERREL}
%description core
%package modules-core
Summary: modules
Provides: kernel-modules-core-uname-r = %{KVERREL}
%description modules-core
%package modules
Summary: more modules
%description modules
%package devel
Summary: headers
AutoReqProv: no
%description devel
%package debug-core
Summary: image of another flavour
Provides: kernel-uname-r = %{KVERREL}+debug
%description debug-core
%prep
%setup -q -n %{name}-%{version}-%{release} -c
mv linux-%{version}-%{release} linux-%{KVERREL}
cd linux-%{KVERREL}
patch -p1 -F1 -s < %{PATCH1}
cp Makefile .config
%build
%install
mkdir -p %{buildroot}
tar -xzf %{SOURCE1} -C %{buildroot}
%files
%files core
/lib/modules/%{KVERREL}/vmlinuz
/lib/modules/%{KVERREL}/config
/lib/modules/%{KVERREL}/System.map
/lib/modules/%{KVERREL}/symvers.gz
%ghost /boot/vmlinuz-%{KVERREL}
%files modules-core
/lib/modules/%{KVERREL}/kernel/fs
%files modules
/lib/modules/%{KVERREL}/kernel/drivers
%files devel
/usr/src/kernels/%{KVERREL}
/lib/modules/%{KVERREL}/build
%files debug-core
/lib/modules/%{KVERREL}+debug
`

// tools makes sure that what make deps installs for these tests is there.
func tools(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed; run make deps", p)
		}
	}
}

func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// repository is one that can be fetched from.
type repository struct {
	dir  string // of the packages
	conf string // of dnf
}

// newRepository builds the packages. Each test has its own, to spoil it.
func newRepository(t *testing.T) repository {
	t.Helper()
	tools(t, append([]string{"rpmbuild", "createrepo_c", "patch"}, Programs...)...)
	top := t.TempDir()
	put := func(path, text string) { kerneltest.Write(t, filepath.Join(top, path), []byte(text)) }

	src := "linux-" + testVersion + "-" + testRelease
	for path, text := range map[string]string{
		"Makefile": "VERSION = 5\nPATCHLEVEL = 14\nSUBLEVEL = 0\n", "Kbuild": "obj-y += init/\n", "init/main.c": "int old;\n",
		"include/linux/module.h": "\n", "tools/Makefile": "all:\n", "scripts/run": "#!/bin/sh\n",
	} {
		put("tree/"+src+"/"+path, text)
	}
	if err := os.Chmod(filepath.Join(top, "tree", src, "scripts/run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("init/main.c", filepath.Join(top, "tree", src, "link.c")); err != nil {
		t.Fatal(err)
	}
	modules := "root/lib/modules/" + testKernel
	vmlinux := kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)
	kerneltest.Write(t, filepath.Join(top, modules, "vmlinuz"), kerneltest.BzImage(t, "gzip", vmlinux))
	put(modules+"/config", "CONFIG_LIVEPATCH=y\nCONFIG_CC_VERSION_TEXT=\"gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-2)\"\n")
	put(modules+"/System.map", "ffffffff81000000 T _text\n")
	put(modules+"/kernel/fs/a.ko.xz", "a")
	put(modules+"/kernel/drivers/b.ko.xz", "b")
	put(modules+"+debug/vmlinuz", "other")
	devel := "root/usr/src/kernels/" + testKernel
	put(devel+"/Makefile", "VERSION = 5\nPATCHLEVEL = 14\nSUBLEVEL = 0\n")
	put(devel+"/include/linux/module.h", "\n")
	put("root/symvers", "0x4c9d28b0\tphys_base\tvmlinux\tEXPORT_SYMBOL\t\n")
	run(t, top, "sh", "-c", "gzip -c root/symvers >"+modules+"/symvers.gz && rm root/symvers")
	if err := os.Symlink("/usr/src/kernels/"+testKernel, filepath.Join(top, modules, "build")); err != nil {
		t.Fatal(err)
	}

	if err := os.MkdirAll(filepath.Join(top, "SOURCES"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, top, "tar", "-czf", "SOURCES/"+src+".tar.gz", "-C", "tree", src)
	run(t, top, "tar", "-czf", "SOURCES/root.tar.gz", "-C", "root", "lib", "usr")
	put("SOURCES/patch-5.14-redhat.patch", "--- a/init/main.c\n+++ b/init/main.c\n@@ -1 +1 @@\n-int old;\n+int patched;\n")
	put("kernel.spec", strings.NewReplacer("@VERSION@", testVersion, "@RELEASE@", testRelease).Replace(spec))
	run(t, top, "rpmbuild", "--nodeps", "--target", "x86_64", "--define", "_topdir "+top, "-ba", "kernel.spec")

	r := repository{dir: filepath.Join(top, "repo"), conf: filepath.Join(top, "dnf.conf")}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, top, "sh", "-c", "mv RPMS/x86_64/*.rpm SRPMS/*.rpm repo")
	r.publish(t, "gpgcheck=0")
	return r
}

// publish makes the index anew and configures dnf for the repository alone.
func (r repository) publish(t *testing.T, options string) {
	t.Helper()
	run(t, r.dir, "createrepo_c", "-q", ".")
	top := filepath.Dir(r.dir)
	// dnf tells two states of an index by their dates, which count whole seconds.
	if err := os.RemoveAll(filepath.Join(top, "cache")); err != nil {
		t.Fatal(err)
	}
	kerneltest.Write(t, filepath.Join(top, "repos/test.repo"),
		[]byte("[test]\nname=test\nbaseurl=file://"+r.dir+"\nenabled=1\nmetadata_expire=0\n"+options+"\n"))
	kerneltest.Write(t, r.conf, []byte("[main]\nreposdir="+top+"/repos\ncachedir="+top+"/cache\npersistdir="+top+"/persist\nlogdir="+top+"\n"))
}
