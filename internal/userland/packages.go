package userland

// Suites are those that there is a use for: each has a kernel line with a compiler that
// Debian 12 lacks.
var Suites = []string{"bullseye", "trixie", "sid"}

// packages is what building a kernel's objects and modules needs, without
// recommendations: the suite's default compiler, which also builds its kernels.
var packages = []string{
	"gcc", "make", "binutils", "libc6-dev", "libelf-dev", "libssl-dev", "flex", "bison", "bc",
	"perl", "python3", "dwarves", "xz-utils", "zstd", "lz4", "cpio", "kmod", "openssl", "diffutils", "ca-certificates",
}
