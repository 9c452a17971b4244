package main

import (
	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// testCase is one patch, as both tools get it.
type testCase struct {
	name  string // of the patch's file
	what  string // for the table
	edits []e2e.Edit
	// modules are files below the build tree that are loaded before the livepatch, in order;
	// their names without the directory are those of the objects that are patched.
	modules []string
	// seen is what user space reads while the livepatch is in force, nil where the patch
	// shows in nothing that can be read.
	seen []guest.Step
}

// cases are small patches of the source of 7.2, one for each way in which the tools might
// differ. All are of files that the configuration of internal/ownkernel builds.
var cases = []testCase{
	{
		name: "objects", what: "a built-in function and one of a module",
		edits: []e2e.Edit{
			{File: "fs/proc/cmdline.c", Old: "\tseq_puts(m, saved_command_line);\n",
				New: "\tseq_puts(m, \"beside \");\n\tseq_puts(m, saved_command_line);\n"},
			{File: "drivers/block/loop.c", Old: "(unsigned long long)lo->lo_offset);", New: "(unsigned long long)lo->lo_offset + 4711);"},
		},
		modules: []string{"drivers/block/loop.ko"},
		seen:    []guest.Step{guest.Expect("/proc/cmdline", guest.MatchContains, "beside console=")},
	},
	{
		name: "new", what: "a new function with a static local and a WARN",
		edits: []e2e.Edit{
			{File: "fs/proc/loadavg.c", Old: "static int loadavg_proc_show(",
				New: "static noinline int loadavg_reads(void)\n{\n\tstatic int reads = 41;\n\n\tWARN_ON_ONCE(reads < 0);\n\treturn ++reads;\n}\n\n" +
					"static int loadavg_proc_show("},
			{File: "fs/proc/loadavg.c", Old: "\tget_avenrun(avnrun, FIXED_1/200, 0);\n",
				New: "\tget_avenrun(avnrun, FIXED_1/200, 0);\n\tseq_printf(m, \"%d \", loadavg_reads());\n"},
		},
		seen: []guest.Step{guest.Expect("/proc/loadavg", guest.MatchRegexp, "^42 "), guest.Expect("/proc/loadavg", guest.MatchRegexp, "^43 ")},
	},
	{
		name: "header", what: "an inline function of a header, used in several files",
		edits: []e2e.Edit{
			{File: "fs/proc/internal.h", Old: "\treturn pde->flags & PROC_ENTRY_PERMANENT;\n",
				New: "\treturn pde->flags & PROC_ENTRY_PERMANENT && pde->namelen;\n"},
		},
	},
	{
		name: "local", what: "code of a module that uses its static data",
		edits: []e2e.Edit{
			{File: "fs/cramfs/uncompress.c", Old: "\tint err;\n\n\tstream.next_in = src;\n",
				New: "\tint err;\n\n\tif (!initialized)\n\t\treturn -EIO;\n\tstream.next_in = src;\n"},
		},
		modules: []string{"fs/cramfs/cramfs.ko"},
	},
	{
		name: "lib", what: "a file below lib/",
		edits: []e2e.Edit{
			{File: "lib/cmdline.c", Old: "\tif (!cur || !(*cur))\n\t\treturn 0;\n",
				New: "\tif (!cur || !(*cur) || *cur == ',')\n\t\treturn 0;\n"},
		},
	},
	{
		name: "data", what: "the initial value of a variable that is there",
		edits: []e2e.Edit{{File: "fs/cramfs/uncompress.c", Old: "static int initialized;\n", New: "static int initialized = 1;\n"}},
	},
	{
		name: "lines", what: "a comment above functions that warn: line numbers alone",
		edits: []e2e.Edit{
			{File: "fs/proc/generic.c", Old: "static DEFINE_IDA(proc_inum_ida);\n", New: "/* numbers of inodes */\n\nstatic DEFINE_IDA(proc_inum_ida);\n"},
		},
	},
}
