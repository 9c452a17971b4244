package elfdiff

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// A line that is added to a source moves those below it, and with them the numbers that
// WARN, might_sleep and the like leave in objects. The kernel that runs may keep the old
// ones. A constant in code is taken for a line number only when nothing but that can become of
// it: it is loaded into a register, and goes from there, past instructions that leave
// the register alone, to a function of which it is known that this argument is a line.
// Whatever else differs, or cannot be followed, is a change.

// takesLine says which argument of a function is a line number.
type takesLine struct {
	function string
	arg      int    // 0 for the first
	file     string // declares or defines it
}

// lineArguments are functions whose argument of that number is a line in all of v5.10, v6.1
// and v6.12 that have them, as TestLineArguments reads in their sources. One whose place
// changed (__ext4_journal_start_sb, xfs_errortag_test) must not be here.
var lineArguments = []takesLine{
	{"__might_sleep", 1, "kernel/sched/core.c"},
	{"___might_sleep", 1, "kernel/sched/core.c"},
	{"__might_resched", 1, "kernel/sched/core.c"},
	{"__cant_sleep", 1, "kernel/sched/core.c"},
	{"__cant_migrate", 1, "kernel/sched/core.c"},
	{"__might_fault", 1, "mm/memory.c"},
	{"lockdep_rcu_suspicious", 1, "include/linux/lockdep.h"},
	{"warn_slowpath_fmt", 1, "kernel/panic.c"},
	{"__warn", 1, "kernel/panic.c"},
	{"xdp_warn", 2, "include/net/xdp.h"},
	{"jbd2_journal_start_reserved", 2, "fs/jbd2/transaction.c"},
	{"__jbd2_debug", 3, "fs/jbd2/journal.c"},
	{"__ext4_error", 2, "fs/ext4/super.c"},
	{"__ext4_error_inode", 2, "fs/ext4/super.c"},
	{"__ext4_error_file", 2, "fs/ext4/super.c"},
	{"__ext4_std_error", 2, "fs/ext4/super.c"},
	{"__ext4_warning", 2, "fs/ext4/super.c"},
	{"__ext4_warning_inode", 2, "fs/ext4/super.c"},
	{"__ext4_grp_locked_error", 1, "fs/ext4/super.c"},
	{"__ext4_iget", 4, "fs/ext4/inode.c"},
	{"__ext4_mark_inode_dirty", 3, "fs/ext4/inode.c"},
	{"__ext4_forget", 1, "fs/ext4/ext4_jbd2.c"},
	{"__ext4_handle_dirty_metadata", 1, "fs/ext4/ext4_jbd2.c"},
	{"__ext4_journal_get_create_access", 1, "fs/ext4/ext4_jbd2.c"},
	{"__ext4_journal_get_write_access", 1, "fs/ext4/ext4_jbd2.c"},
	{"__ext4_journal_start_reserved", 1, "fs/ext4/ext4_jbd2.c"},
	{"__ext4_journal_stop", 1, "fs/ext4/ext4_jbd2.c"},
	{"__btrfs_abort_transaction", 2, "fs/btrfs/transaction.h"},
	{"__btrfs_handle_fs_error", 2, "fs/btrfs/messages.h"},
	{"__btrfs_panic", 2, "fs/btrfs/messages.h"},
	{"xfs_error_report", 4, "fs/xfs/xfs_error.h"},
	{"gfs2_assert_warn_i", 4, "fs/gfs2/util.h"},
	{"gfs2_assert_withdraw_i", 4, "fs/gfs2/util.h"},
	{"gfs2_consist_i", 3, "fs/gfs2/util.h"},
	{"gfs2_consist_inode_i", 3, "fs/gfs2/util.h"},
	{"gfs2_consist_rgrpd_i", 3, "fs/gfs2/util.h"},
	{"ubifs_assert_failed", 3, "fs/ubifs/debug.h"},
	{"acpi_error", 1, "drivers/acpi/acpica/utxface.c"},
	{"acpi_exception", 1, "drivers/acpi/acpica/utxface.c"},
	{"acpi_warning", 1, "drivers/acpi/acpica/utxface.c"},
	{"acpi_bios_error", 1, "drivers/acpi/acpica/utxface.c"},
	{"acpi_bios_exception", 1, "drivers/acpi/acpica/utxface.c"},
	{"acpi_bios_warning", 1, "drivers/acpi/acpica/utxface.c"},
	{"acpi_ut_trace", 0, "drivers/acpi/acpica/utdebug.c"},
	{"acpi_ut_exit", 0, "drivers/acpi/acpica/utdebug.c"},
	{"acpi_ut_status_exit", 0, "drivers/acpi/acpica/utdebug.c"},
	{"acpi_ut_predefined_warning", 1, "drivers/acpi/acpica/uterror.c"},
	{"acpi_ut_prefixed_namespace_error", 1, "drivers/acpi/acpica/uterror.c"},
	{"acpi_ut_method_error", 1, "drivers/acpi/acpica/uterror.c"},
	{"__snd_printk", 2, "include/sound/core.h"},
}

// lineNotes are the line numbers found to differ in one function.
type lineNotes struct{ reasons []string }

func (n *lineNotes) add(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(n.reasons, text) {
		n.reasons = append(n.reasons, text)
	}
}

// entry notes the line numbers of two table entries, whose bytes are given.
func (n *lineNotes) entry(ent *entry, before, after []byte, bigEndian bool) {
	sh := ent.shape
	if sh.lineLen != 2 {
		return
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if bigEndian {
		order = binary.BigEndian
	}
	if x, y := order.Uint16(before[sh.lineOff:]), order.Uint16(after[sh.lineOff:]); x != y {
		n.add("line %d -> %d of %s", x, y, ent.row.construct)
	}
}

// lineNumbers moves the functions of which only line numbers differ from the changes to
// Lines, or, when they count, gives the numbers as reasons. It also finds those in
// which only the tables have other numbers.
func (r *Result) lineNumbers(count bool) {
	comp := newComparer(r.pairs.pairing)
	notes := map[AtomID]*lineNotes{} // by patched root; nil: something else differs
	listed := map[AtomID]bool{}
	for _, ch := range r.Functions {
		listed[ch.Patched] = ch.Kind == Changed
	}
	for i := range r.Patched.Atoms {
		patchedAtom := AtomID(i)
		at := &r.Patched.Atoms[patchedAtom]
		if at.Class != classText || at.Name == "" || r.Patched.thunk(patchedAtom) {
			continue
		}
		root := r.Patched.Root(patchedAtom)
		origAtom := r.pairs.toO[patchedAtom]
		changed := listed[root]
		if !changed && (origAtom < 0 || !r.linesInTables(origAtom, patchedAtom)) {
			continue
		}
		note, seen := notes[root]
		if !seen {
			note = &lineNotes{}
		}
		if note != nil {
			if comp.lines = note; origAtom < 0 || comp.differ(origAtom, patchedAtom) != equal {
				note = nil
			}
		}
		notes[root] = note
	}
	r.lostParts(notes)

	same := func(ch Change) bool {
		note := notes[ch.Patched]
		if ch.Kind != Changed || note == nil || len(note.reasons) == 0 {
			return false
		}
		ch.Reasons = []string{"only line numbers differ: " + strings.Join(note.reasons, "; ")}
		r.Lines = append(r.Lines, ch)
		return true
	}
	r.Functions = slices.DeleteFunc(r.Functions, same)
	for i := range r.Patched.Atoms {
		patchedAtom := AtomID(i)
		if origAtom := r.pairs.toO[patchedAtom]; origAtom >= 0 && notes[patchedAtom] != nil && !listed[patchedAtom] {
			same(Change{Name: r.Orig.Atoms[origAtom].Name, Kind: Changed, Section: r.Patched.Section(patchedAtom),
				Orig: origAtom, Patched: patchedAtom,
				Init: r.Patched.InitOnly(patchedAtom) || r.Orig.InitOnly(origAtom)})
		}
	}
	if count {
		r.Functions, r.Lines = append(r.Functions, r.Lines...), nil
	}
}

// linesInTables reports whether two functions that may be equal have entries in tables
// with a line number that differs.
func (r *Result) linesInTables(origAtom, patchedAtom AtomID) bool {
	origEntries, patchedEntries := r.Orig.entriesOf(origAtom), r.Patched.entriesOf(patchedAtom)
	if len(origEntries) != len(patchedEntries) {
		return false
	}
	for i := range origEntries {
		before, after := r.Orig.entry(origEntries[i]), r.Patched.entry(patchedEntries[i])
		sh := before.shape
		if sh.lineLen == 0 || after.shape.size != sh.size {
			continue
		}
		was, is := r.Orig.whole(&before), r.Patched.whole(&after)
		if string(was[sh.lineOff:][:sh.lineLen]) != string(is[sh.lineOff:][:sh.lineLen]) {
			return true
		}
	}
	return false
}

// lostParts makes functions changed that lost a part.
func (r *Result) lostParts(notes map[AtomID]*lineNotes) {
	orig := r.Orig
	for i := range orig.Atoms {
		atom := AtomID(i)
		at := &orig.Atoms[atom]
		if at.Class != classText || at.Name == "" || r.pairs.toP[atom] >= 0 || orig.thunk(atom) {
			continue
		}
		if root := r.pairs.toP[orig.Root(atom)]; root >= 0 {
			notes[root] = nil
		}
	}
}

// lineNumber returns where the line number ends that lies at an offset of two atoms and
// differs, bytes from their primary symbols; 0 when what lies there is none.
func (c *comparer) lineNumber(origAtom, patchedAtom AtomID, off uint64) uint64 {
	if c.o.Atoms[origAtom].Class != classText || c.p.Atoms[patchedAtom].Class != classText {
		return 0
	}
	before, startX := c.o.constantAt(origAtom, off)
	after, startY := c.p.constantAt(patchedAtom, off)
	if before.Len == 0 || startX != startY || before.Len != after.Len || before.Arg != after.Arg ||
		before.Form != after.Form {
		return 0
	}
	end := startX + uint64(before.Len)
	to := c.o.goesTo(origAtom, end, before.Arg)
	if to == "" || c.p.goesTo(patchedAtom, end, after.Arg) != to || !isLine(before.Value) || !isLine(after.Value) {
		return 0
	}
	c.lines.add("line %d -> %d passed to %s", before.Value, after.Value, to)
	return end
}

// isLine reports whether a number can be that of a line.
func isLine(n int64) bool { return n > 0 && n < 1<<20 }

// constantAt returns the instruction at an offset of an atom, and where it starts, when
// all it does is to load a constant that no relocation fills.
func (o *Object) constantAt(atom AtomID, off uint64) (elfobj.Constant, uint64) {
	at := &o.Atoms[atom]
	if len(o.dataIn[at.Sec]) > 0 {
		return elfobj.Constant{}, 0 // where instructions begin is not known from the start of the function alone
	}
	code := o.Code(atom)
	start, length := uint64(0), uint64(0)
	for ; start < uint64(len(code)); start += length {
		in, err := o.Arch.Decode(code[start:])
		if err != nil {
			return elfobj.Constant{}, 0
		}
		if length = uint64(in.Len); start+length > off {
			break
		}
	}
	if start > off || start >= uint64(len(code)) {
		return elfobj.Constant{}, 0
	}
	constant, ok := o.Arch.Constant(code[start:])
	if !ok || o.relocated(atom, start, start+length) {
		return elfobj.Constant{}, 0
	}
	return constant, start
}

// relocated reports whether a relocation lies in a range of an atom, bytes from its primary
// symbol.
func (o *Object) relocated(atom AtomID, from, to uint64) bool {
	at := &o.Atoms[atom]
	relocs := o.relocs(at.Sec)
	k := searchOff(relocs, at.Base+from)
	return k < len(relocs) && relocs[k].Off < at.Base+to
}

// maxSetup bounds the instructions between the constant and the call.
const maxSetup = 40

// goesTo returns the function that gets what is in the register of an argument at an
// offset of an atom, bytes from its primary symbol, if nothing else can get it and
// that argument of the function is a line; else "".
func (o *Object) goesTo(atom AtomID, off uint64, arg int) string {
	code := o.Code(atom)
	for range maxSetup {
		if off >= uint64(len(code)) {
			return ""
		}
		in, err := o.Arch.Decode(code[off:])
		if err != nil {
			return ""
		}
		switch {
		case in.Kind == elfobj.BranchCall, in.Kind == elfobj.BranchJump && o.relocated(atom, off, off+uint64(in.Len)):
			return o.lineTaker(atom, off, off+uint64(in.Len), arg)
		case in.Kind == elfobj.BranchJump: // in this function
			to := int64(off) + int64(in.PCBase) + in.Disp
			if in.PCLen == 0 || to < 0 {
				return ""
			}
			off = uint64(to)
		case o.Arch.Spares(code[off:], arg):
			off += uint64(in.Len)
		default:
			return ""
		}
	}
	return ""
}

// lineTaker names the function that the branch in a range of an atom leads to, if it is
// known that its argument of that number is a line. One that only this object knows may be
// any other of that name.
func (o *Object) lineTaker(atom AtomID, from, to uint64, arg int) string {
	at := &o.Atoms[atom]
	relocs := o.relocs(at.Sec)
	k := searchOff(relocs, at.Base+from)
	if k == len(relocs) || relocs[k].Off >= at.Base+to || !o.Arch.BranchReloc(o.File.Sections[at.Sec].Data, relocs[k]) {
		return ""
	}
	name := ""
	switch target := o.target(at.Sec, &relocs[k], k); {
	case target.Kind == TargetExtern && target.Off+target.Skew == 0:
		name = target.Name
	case target.Kind == TargetAtom && target.Off == 0 && !o.Local(target.Atom):
		name = o.Atoms[target.Atom].Name
	}
	if slices.ContainsFunc(lineArguments, func(l takesLine) bool { return l.function == name && l.arg == arg }) {
		return name
	}
	return ""
}
