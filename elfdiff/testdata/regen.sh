#!/bin/sh
# Compiles every fixture (or those named as arguments), as kernel objects are
# compiled for comparison: by gcc to before.o and after.o, by clang to
# before.clang.o and after.clang.o. CC=gcc or CC=clang-14 makes one kind only.
# A case adds flags by a line "// flags: ...", for clang "// clang flags: ..." if
# there is one, and changes the object by lines "// objcopy: ..."; "// gcc only:
# reason" leaves clang out. With OUT set, the objects go there instead of beside
# their sources.
set -eu
cd "$(dirname "$0")/../../testdata/fixtures"
common="-O2 -std=gnu11 -ffunction-sections -fdata-sections -g0 -fno-ident -w
 -pg -mfentry -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone
 -fno-asynchronous-unwind-tables -fno-stack-protector -fcf-protection=none -I../include"
[ $# -gt 0 ] || set -- *

lines() { sed -n "s|^// $1: ||p" "$name/$side.c"; }

compile() { # compiler, flags, suffix
	# The working directory and the name given must not leave a trace.
	(cat "$name/$side.c") | $1 $common $2 -x c -c - -o "$dest/$side$3.o"
	lines objcopy | while read -r change; do objcopy $change "$dest/$side$3.o"; done
}

for name; do
	for side in before after; do
		dest=${OUT:-.}/$name
		mkdir -p "$dest"
		case ${CC:-gcc} in gcc) compile gcc "-mrecord-mcount $(lines flags)" "" ;; esac
		# clang has no -mrecord-mcount: objtool or recordmcount makes the table,
		# and so do the tests. Unused addresses would name every symbol.
		case ${CC:-clang-14} in clang*)
			grep -q '^// gcc only: ' "$name/after.c" && continue
			flags=$(lines "clang flags")
			compile ${CC:-clang-14} "-fno-addrsig ${flags:-$(lines flags)}" .clang ;;
		esac
	done
done
