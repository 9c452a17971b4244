#!/bin/sh
# Regenerates the committed objects and the instruction lengths that objdump
# finds. Made with gcc 12.2.0 and binutils 2.40.
# With OUT set, they go there instead of beside their sources.
set -eu
cd "$(dirname "$0")"
out=${OUT:-.}
flags="-O2 -ffunction-sections -fdata-sections -g0 -fno-ident -fno-pic -mcmodel=kernel
 -fno-asynchronous-unwind-tables -fno-stack-protector -fcf-protection=none"
gcc -c insns.S -o "$out/insns.o"
objdump -dw "$out/insns.o" | awk -F'\t' '/^ *[0-9a-f]+:\t/ {
	sub(/^ */, "", $1); sub(/:/, "", $1); n = split($2, b, " "); print $1, n, $3 }' | sed 's/ *#.*//; s/ *$//' >"$out/insns.len"
gcc $flags -pg -mfentry -mrecord-mcount -c small.c -o "$out/small.o"
g++ $flags -c groups.cc -o "$out/groups.o"
