#!/bin/sh
# Makes arm64.o, with a section for each function and variable, arm64-whole.o, the same compiled
# without, and arm64.elf, which has the latter as a kernel is linked. Made with gcc 12.2.0 and binutils 2.40 for arm64.
# With OUT set, they go there instead of beside their sources.
set -eu
cd "$(dirname "$0")"
out=${OUT:-.}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cc=aarch64-linux-gnu-gcc-12
flags="-O2 -g0 -fno-ident -fno-pic -fno-pie -mgeneral-regs-only -fpatchable-function-entry=4,2
 -fno-asynchronous-unwind-tables -fno-stack-protector -mbranch-protection=pac-ret"
$cc $flags -ffunction-sections -fdata-sections -c arm64.c -o "$out/arm64.o"
$cc $flags -c arm64.c -o "$out/arm64-whole.o"
$cc -c arm64-stubs.S -o "$tmp/stubs.o"
aarch64-linux-gnu-ld -nostdlib -static -z max-page-size=4096 -z noexecstack --no-warn-rwx-segments -e printk -Ttext=0xffff800080010000 \
	--section-start=.rodata=0xffff800080810000 -Tdata=0xffff800081234000 -o "$out/arm64.elf" "$tmp/stubs.o" "$out/arm64-whole.o"
