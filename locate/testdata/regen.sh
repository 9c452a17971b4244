#!/bin/sh
# Makes unit.o, the object that is looked for, with one section per function,
# and shipped.elf, which holds the same code compiled without, among others.
# Made with gcc 12.2.0 and binutils 2.40.
# With OUT set, they go there instead of beside their sources.
set -eu
cd "$(dirname "$0")"
out=${OUT:-.}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
flags="-O2 -g0 -fno-ident -pg -mfentry -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone
 -fno-asynchronous-unwind-tables -fno-stack-protector -fcf-protection=none"
gcc $flags -ffunction-sections -fdata-sections -c unit.c -o "$out/unit.o"
gcc $flags -ffunction-sections -fdata-sections '-DNAME(x)=x' -c alone.c -o "$out/alone.o"
gcc $flags -c unit.c -o "$tmp/unit.o"
for n in 1 2; do
	gcc $flags "-DNAME(x)=x##$n" -c twins.c -o "$tmp/twins$n.o"
	gcc $flags "-DNAME(x)=x##$n" -c alone.c -o "$tmp/alone$n.o"
done
gcc -c stubs.S -o "$tmp/stubs.o"
ld -nostdlib -static -z noexecstack --no-warn-rwx-segments -T kernel.lds -e printk -o "$out/shipped.elf" \
	"$tmp/twins1.o" "$tmp/alone1.o" "$tmp/unit.o" "$tmp/alone2.o" "$tmp/twins2.o" "$tmp/stubs.o"
