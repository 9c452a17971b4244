#!/bin/sh
# Compiles the fixtures of other architectures (or those named as arguments), as
# kernel objects for these are compiled: testdata/cross/CASE/{before,after}.c to
# before.ARCH.o and after.ARCH.o. ARCHS="arm64 s390x" makes these alone. "// flags:
# ..." adds flags, "// ARCH flags: ..." for one architecture.
#
#	apt-get install gcc-12-aarch64-linux-gnu gcc-12-powerpc64le-linux-gnu gcc-12-s390x-linux-gnu clang-19
set -eu
cd "$(dirname "$0")/cross"
common="-O2 -std=gnu11 -ffunction-sections -fdata-sections -g0 -fno-ident -w -fno-asynchronous-unwind-tables -fno-stack-protector"
[ $# -gt 0 ] || set -- */

# What arch/ARCH/Makefile of v6.1 (v6.12 for LoongArch) sets and code depends on.
tool() {
	case $1 in
	arm64) echo "aarch64-linux-gnu-gcc-12 -fno-pic -fno-pie -mgeneral-regs-only -fpatchable-function-entry=2" ;;
	ppc64le) echo "powerpc64le-linux-gnu-gcc-12 -fno-pic -fno-pie -mabi=elfv2 -msoft-float -mno-altivec -mno-vsx -pg -mprofile-kernel -fno-optimize-sibling-calls" ;;
	s390x) echo "s390x-linux-gnu-gcc-12 -fPIE -march=z10 -mtune=z13 -msoft-float -mno-vx -mbackchain -pg -mfentry -mrecord-mcount -mnop-mcount -mindirect-branch=thunk -mfunction-return=thunk -mindirect-branch-table" ;;
	loongarch64) echo "clang-19 --target=loongarch64-linux-gnusf -mabi=lp64s -fno-pic -fno-pie -mno-relax -fpatchable-function-entry=2 -fno-addrsig" ;;
	*) echo "no architecture $1" >&2; exit 2 ;;
	esac
}

for name; do
	name=${name%/}
	for arch in ${ARCHS:-arm64 ppc64le s390x loongarch64}; do
		for side in before after; do
			only=$(sed -n "s|^// only: ||p" "$name/after.c")
			case " ${only:-$arch} " in *" $arch "*) ;; *) continue ;; esac
			flags=$(sed -n "s|^// $arch flags: ||p" "$name/$side.c")
			[ -n "$flags" ] || flags=$(sed -n "s|^// flags: ||p" "$name/$side.c")
			[ $arch != ppc64le ] || case $flags in *-mcmodel*) ;; *) flags="$flags -mcmodel=large -mlongcall -mno-pltseq" ;; esac
			mkdir -p "${OUT:-.}/$name"
			tool=$(tool $arch)
			# Up to v4.19 gcc left room for ftrace on s390 with -mhotpatch, which excludes -pg.
			case $flags in *-mhotpatch*) tool=${tool%%-pg*}${tool#*-mnop-mcount} ;; esac
			(cat "$name/$side.c") | $tool $common $flags -x c -c - -o "${OUT:-.}/$name/$side.$arch.o"
		done
	done
done
