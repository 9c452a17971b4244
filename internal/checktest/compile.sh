#!/bin/sh
# Compiles SOURCE to OBJECT as kernel objects are compiled for comparison, with
# FLAGS after the usual ones, or prints the version of the compiler when called
# without arguments. With ORC set, the objtool that KLPFORGE_OBJTOOL names, of a
# prepared 6.1 tree (tools/objtool/objtool), adds unwind data.
set -eu
[ $# -gt 0 ] || exec ${CC:-gcc} -dumpfullversion
# The working directory and the name given must not leave a trace.
source=$1 object=$2
shift 2
${CC:-gcc} -O2 -std=gnu11 -ffunction-sections -fdata-sections -g0 -fno-ident -w \
	-pg -mfentry -mrecord-mcount -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone \
	-fno-asynchronous-unwind-tables -fno-stack-protector -fcf-protection=none \
	-fno-strict-aliasing -fdebug-prefix-map="$PWD"=. "$@" -x c -c - -o "$object" <"$source"
[ -z "${ORC:-}" ] || "${KLPFORGE_OBJTOOL:?names no objtool}" --orc "$object"
