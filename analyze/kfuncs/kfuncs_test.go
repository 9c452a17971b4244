package kfuncs

import (
	_ "embed"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/plan"
)

// TestTable reads every value of the table as its readers do.
func TestTable(t *testing.T) {
	values := map[string][]string{
		"waits":   {"bounded", "state", "timed", "forever", "program"},
		"locking": {"", "bare"},
		"grace":   {string(GraceRCU), string(GraceSRCU)},
		"patching": {
			PatchingHandler, PatchingUnwinder, PatchingRCU,
		},
		"callee": {string(CalleeHook), string(CalleeKeeps), string(CalleeReturn), string(CalleeStatic), string(CalleeThunk)},
	}
	used := map[string]bool{}
	for row := range All() {
		for column, val := range row.Columns {
			used[column] = true
			if allowed, ok := values[column]; ok && !slices.Contains(allowed, val) {
				t.Errorf("%s: %s=%s", row.Name, column, val)
			}
			switch column {
			case "gfp", "state-arg", "shadow-id", "free", "put", "get", "last":
				if n, err := strconv.Atoi(val); err != nil || n < 0 || n > 9 {
					t.Errorf("%s: %s=%s is no argument", row.Name, column, val)
				}
			case "runs":
				if _, err := parseRuns(val); err != nil {
					t.Errorf("%s: %v", row.Name, err)
				}
			case "lock", "saves", "restores":
				of := func(column string) (string, bool) { v, ok := row.Columns[column]; return v, ok }
				if _, _, err := lockingOf(of); err != nil {
					t.Errorf("%s: %v", row.Name, err)
				}
			case "pair":
				if !givesBackAll(t, row.Name, val) {
					t.Errorf("%s does not give back what %s takes", val, row.Name)
				}
			}
		}
		for _, v := range []string{row.Since, row.Until} {
			if major, minor, ok := strings.Cut(v, "."); v != "" && (!ok || major == "" || minor == "") {
				t.Errorf("%s: %q is no version", row.Name, v)
			}
		}
		said := 0
		for _, column := range []string{"sleeps", "never-sleeps", "gfp"} {
			if _, ok := row.Columns[column]; ok {
				said++
			}
		}
		if said > 1 {
			t.Errorf("%s: more than one says whether it sleeps", row.Name)
		}
	}
	for column := range columns {
		if !used[column] {
			t.Errorf("no row has the column %s", column)
		}
	}
}

// givesBackAll reports whether one function undoes in the other order what another
// does with locks.
func givesBackAll(t *testing.T, take, give string) bool {
	t.Helper()
	a, ok1 := Locks(take)
	b, ok2 := Locks(give)
	if !ok1 || !ok2 || a.When != Always || b.When != Always || (b.Restores >= 0) != a.Saves {
		return false
	}
	undone := b.Ops
	slices.Reverse(undone)
	for i := range undone {
		undone[i].Delta = -undone[i].Delta
	}
	if a.Saves { // restoring the interrupt flag gives back what was taken with it
		a.Ops = slices.DeleteFunc(a.Ops, func(op LockOp) bool { return op.Kind == IRQ })
	}
	return cmp.Equal(a.Ops, undone)
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"a.c:\n  f":                  "line 2: f: the row says nothing",
		"a.c:\n  f sleeps=1":         `line 2: f: column "sleeps=1"`,
		"a.c:\n  f gfp":              `line 2: f: column "gfp"`,
		"a.c:\n  f gfp=":             `line 2: f: column "gfp="`,
		"a.c:\n  f sleeps sleeps":    `line 2: f: column "sleeps"`,
		"a.c:\n  f hops":             `line 2: f: column "hops"`,
		"  f sleeps":                 `line 1: f does not belong below ""`,
		"a.c:\n  f* sleeps":          `line 2: f* does not belong below "a.c"`,
		"*:\n  f sleeps":             `line 2: f does not belong below "*"`,
		"*:\n  a*b sleeps":           "line 2: a*b: a * stands at the ends of a name",
		"*:\n  ** sleeps":            "line 2: **: a * stands at the ends of a name",
		"a.c:\n  f sleeps\n  f idle": "line 3: f has a row of these versions already",
		"a.c:\n  f sleeps until=6.9\n  f idle since=6.9": "line 3: f has a row of these versions already",
		"a.c\n  f sleeps": "line 1: neither a file nor a row",
		"a.c:\n  f sleeps until=6.9\nb.c:\n  f idle since=6.10":  "",
		"b.c:\n  f idle since=6.10\na.c:\n  f sleeps until=5.19": "",
		"# words\n\n*:\n  *f* aside\n  f* sleeps":                "",
	} {
		_, err := parse(text)
		switch {
		case err == nil && want != "":
			t.Errorf("%q: no error", text)
		case err != nil && err.Error() != want:
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestRow(t *testing.T) {
	rows, err := parse("a/b.c:\n  f sleeps lock=+spin as=g since=5.18 until=6.1")
	want := []Row{{Name: "f", File: "a/b.c", As: "g", Since: "5.18", Until: "6.1", Columns: map[string]string{"sleeps": "", "lock": "+spin"}}}
	if d := cmp.Diff(want, rows); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

// TestIndex: a function's own row counts before its family, and longer families
// before shorter ones; rows that differ between versions tell nothing.
func TestIndex(t *testing.T) {
	rows, err := parse("a.c:\n  down_soon waits=timed\n  both gfp=1 idle until=6.1\n  __alloc gfp=1\nb.c:\n  both gfp=2 idle since=6.2\n" +
		"*:\n  down_* waits=bounded\n  down_s* waits=state\n  both* gfp=3\n  *_end callee=return\n  *_long_end callee=keeps\n  *mid* aside")
	if err != nil {
		t.Fatal(err)
	}
	x := newIndex(rows)
	for _, c := range []struct{ name, column, want string }{
		{"down_soon", "waits", "timed"},
		{"down_slow", "waits", "state"},
		{"down_fast", "waits", "bounded"},
		{"down", "waits", "none"},
		{"both", "gfp", "none"},
		{"bothered", "gfp", "3"},
		{"both", "idle", ""},
		{"__alloc", "gfp", "1"},
		{"__alloc_noprof", "gfp", "1"},
		{"__alloc_other", "gfp", "none"},
		{"the_end", "callee", "return"},
		{"the_ending", "callee", "none"},
		{"amid", "aside", ""},
		{"amid", "callee", "none"},
		{"a_long_end", "callee", "keeps"},
	} {
		got, ok := x.get(c.name, c.column)
		if !ok {
			got = "none"
		}
		if got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.column, c.name, got, c.want)
		}
	}
}

func TestIsLock(t *testing.T) {
	for name, want := range map[string]bool{
		"_raw_spin_lock_irqsave": true, "_raw_spin_lock_nested": true, "mutex_lock": true, "up": true, "rcu_read_unlock": true,
		"downgrade_write": true, "_mutex_lock_nest_lock": true, "_down_write_nest_lock": true, "mutex_lock_io_nested": true,
		"rt_spin_lock": true, "rt_write_unlock": true, "rt_mutex_lock": true, "_rt_mutex_lock_nest_lock": true, "ww_mutex_unlock": true,
		"console_trylock": true, "cpus_write_lock": true, "rtnl_trylock": true, "_atomic_dec_and_lock": true, "native_irq_disable": true,
		"__mutex_lock_slowpath": true, "folio_lock": true, // by their families
		"upper": false, "kfree": false, "downgrade": false, "schedule": false, "native_save_fl": false,
	} {
		if got := IsLock(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestLockArg(t *testing.T) {
	for name, want := range map[string]int{
		"mutex_lock": 0, "_raw_spin_lock_bh": 0, "atomic_dec_and_mutex_lock": 1, "mutex_is_locked": 0, "deactivate_locked_super": 0,
		"rtnl_lock": -1, "rcu_read_lock": -1, "console_unlock": -1, "__local_bh_enable_ip": -1, "preempt_count_add": -1, "kfree": -1,
	} {
		got, ok := LockArg(name)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%s: argument %d, want %d", name, got, want)
		}
	}
}

// TestLocks: primitives that no kernel has are not in the table, and those that lockdep
// gives other names are.
func TestLocks(t *testing.T) {
	for _, name := range []string{
		"_raw_read_lock_nested", "_raw_read_lock_nest_lock", "_raw_write_lock_nest_lock", "_raw_read_lock_irqsave_nested",
		"_raw_write_lock_irqsave_nested", "_raw_read_trylock_bh", "_raw_write_trylock_bh", "pv_native_restore_fl",
	} {
		if _, ok := Locks(name); ok {
			t.Errorf("%s is a primitive, and no kernel has it", name)
		}
	}
	for name, want := range map[string]Locking{
		"_raw_spin_lock_irqsave": {Ops: []LockOp{{Kind: IRQ, Delta: 1}, {Kind: Spin, Delta: 1}}, Saves: true, Restores: -1},
		"native_restore_fl":      {Restores: 0},
		"down_trylock":           {Ops: []LockOp{{Kind: Sem, Delta: 1}}, When: UnlessOne, Restores: -1},
		"downgrade_write":        {Ops: []LockOp{{Kind: RwsemWrite, Delta: -1}, {Kind: RwsemRead, Delta: 1}}, Restores: -1},
		"cpus_read_lock":         {Ops: []LockOp{{Kind: PercpuRwsemRead, Delta: 1, Symbol: "cpu_hotplug_lock"}}, Restores: -1},
		"schedule":               {Restores: -1},
		"native_save_fl":         {Saves: true, Restores: -1},
		"rtnl_lock":              {Ops: []LockOp{{Kind: Mutex, Delta: 1, Symbol: "rtnl_mutex"}}, Restores: -1, Traced: true},
		"vfs_get_tree": {Ops: []LockOp{{Kind: RwsemWrite, Delta: 1,
			Members: []string{"fs_context.root", "dentry.d_sb", "super_block.s_umount"}}}, When: OnZero, Restores: -1},
	} {
		got, ok := Locks(name)
		if d := cmp.Diff(want, got); !ok || d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestParseOps(t *testing.T) {
	for _, text := range []string{"spin", "+spun", "+spin@", "+rcu@1", "+spin?perhaps", "", "+spin,"} {
		if _, _, err := parseOps(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
	for _, text := range []string{"1", "x:rcu", "1:space", ""} {
		if _, err := parseRuns(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestPairs(t *testing.T) {
	for take, give := range map[string]string{
		"mutex_lock": "mutex_unlock", "_raw_spin_lock_irqsave": "_raw_spin_unlock_irqrestore", "rtnl_lock": "rtnl_unlock",
		"mutex_trylock": "", "mutex_unlock": "",
	} {
		if got := Gives(take); got != give {
			t.Errorf("%s is given back by %q, want %q", take, got, give)
		}
	}
	for name, want := range map[string]bool{"mutex_unlock": true, "mutex_lock": false, "kfree": false} {
		if GivesBack(name) != want {
			t.Errorf("GivesBack(%s)", name)
		}
	}
	for name, want := range map[string]bool{
		"mutex_trylock": true, "my_trylock": true, "down_killable": true, "wait_on_bit_lock_interruptible": true, "down_timeout": true,
		"my_lock_killable": true, "down_my_killable": true, "schedule": false,
		"mutex_lock": false, "wait_for_completion_killable": false,
	} {
		if MayLock(name) != want {
			t.Errorf("MayLock(%s)", name)
		}
	}
}

// TestRuns: what functions run that they are given, and where.
func TestRuns(t *testing.T) {
	for _, c := range []struct {
		name string
		arg  int
		want Context
	}{
		{"call_rcu", 1, InRCU}, {"call_rcu", 0, ""}, {"call_srcu", 2, InSRCU}, {"call_srcu", 1, ""},
		{"call_rcu_tasks", 1, InRCUTasks}, {"call_rcu_tasks_rude", 1, InRCUTasks}, {"call_rcu_tasks_trace", 1, InRCUTasks},
		{"smp_call_function", 0, InIPI}, {"smp_call_function_any", 1, InIPI}, {"smp_call_function_many", 1, InIPI},
		{"smp_call_function_single", 1, InIPI}, {"on_each_cpu_cond_mask", 1, InIPI}, {"on_each_cpu", 0, InIPI},
		{"request_percpu_nmi", 1, InNMI}, {"request_nmi", 1, InNMI},
		{"request_threaded_irq", 1, InIRQ}, {"request_threaded_irq", 2, InIRQThread},
		{"kthread_create_on_node", 0, InThread}, {"kfree", 0, ""},
	} {
		if got := Runs(c.name, c.arg); got != c.want {
			t.Errorf("%s runs argument %d in %q, want %q", c.name, c.arg, got, c.want)
		}
	}
	for name, want := range map[string]string{
		"call_srcu": "srcu", "init_timer_key": "timer", "request_threaded_irq": "irq", "proc_create": "file",
		"smp_call_function": "", "sort": "", "kfree": "", "smp_call_function_single_async": "ipi",
	} {
		if got := Keeps(name); got != want {
			t.Errorf("%s keeps for %q, want %q", name, got, want)
		}
	}
	sleeping := []Context{}
	for c := range contexts {
		if !c.ForbidsSleep() {
			sleeping = append(sleeping, c)
		}
	}
	slices.Sort(sleeping)
	if d := cmp.Diff([]Context{InIRQOrThread, InIRQThread, InThread}, sleeping); d != "" || Context("").ForbidsSleep() {
		t.Errorf("contexts that allow sleeping (-want +got):\n%s", d)
	}
}

// TestRCUCallers: a livepatch waits for what these run (plan.RCUCallers), so the table
// says that RCU runs it.
func TestRCUCallers(t *testing.T) {
	for _, name := range plan.RCUCallers {
		if Runs(name, 1) != InRCU || !GraceRCU.Asks(name) {
			t.Errorf("%s is no function of RCU that runs its argument", name)
		}
	}
}

func TestFrees(t *testing.T) {
	for name, want := range map[string]bool{
		"kfree": true, "sk_skb_reason_drop": true, "__folio_put": true, "free_percpu": true, "free_pages": true, "kmem_cache_free_bulk": true,
		"put_page": true, "put_device": false, "get_device": false, "call_rcu": false,
	} {
		if Frees(name) != want {
			t.Errorf("Frees(%s) is not %v", name, want)
		}
	}
	counts := Counts()
	for name, want := range map[string]Count{
		"kfree": {0, -1}, "free_percpu": {0, -1}, "free_pages": {0, -1}, "__free_pages": {0, -1}, "kmem_cache_free": {1, -1},
		"sk_skb_reason_drop": {1, -1}, "get_device": {0, 1}, "call_rcu": {0, -1}, "netdev_put": {0, -1},
	} {
		if got := counts[name]; got != want {
			t.Errorf("%s counts %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"get_disk_ro", "kmem_cache_free_bulk"} { // a flag is read; an array is given
		if c, ok := counts[name]; ok {
			t.Errorf("%s counts %v", name, c)
		}
	}
	counts["kfree"] = Count{3, 3}
	if Counts()["kfree"] != (Count{0, -1}) {
		t.Error("a reader changes the table")
	}
}

func TestSleeps(t *testing.T) {
	for _, c := range []struct {
		name string
		want Sleep
		arg  int
	}{
		{"mutex_lock", SleepMay, 0}, {"kfree", SleepNever, 0}, {"__put_task_struct", SleepNever, 0},
		{"dev_kfree_skb_any_reason", SleepNever, 0}, {"__dev_kfree_skb_irq", SleepNever, 0}, {"get_random_bytes", SleepNever, 0}, {"__folio_put", SleepNever, 0}, {"_raw_spin_whatever", SleepNever, 0}, {"__kmalloc", SleepFlags, 1},
		{"__kmalloc_noprof", SleepFlags, 1}, {"idr_alloc", SleepFlags, 4}, {"f", SleepUnknown, 0},
		// With buckets, and later an alignment, before the flags (mm/slub.c, v6.11 and v6.18).
		{"__kmalloc_node_noprof", SleepFlags, 2}, {"__kvmalloc_node_noprof", SleepUnknown, 0},
	} {
		if got, arg := Sleeps(c.name); got != c.want || arg != c.arg {
			t.Errorf("%s: %v, argument %d", c.name, got, arg)
		}
	}
}

func TestWaits(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  Wait
		exact bool
	}{
		{"schedule", WaitState, true}, {"schedule_timeout", WaitTimed, true}, {"down_interruptible", WaitForever, true},
		{"down_killable", WaitBounded, false}, {"f", WaitUnknown, false},
	} {
		if got, exact := Waits(c.name); got != c.want || exact != c.exact {
			t.Errorf("%s waits %q, exact: %v", c.name, got, exact)
		}
	}
}

// TestWords asks the columns that are a word or a list.
func TestWords(t *testing.T) {
	for name, c := range map[string]struct {
		ask     func(string) bool
		yes, no string
	}{
		"NoReturn":           {NoReturn, "panic", "nmi_panic"},
		"arch_cpu_idle_dead": {NoReturn, "do_exit", "arch_cpu_idle_dead"}, // returns on 6.1 under Xen
		"EndsThread":         {EndsThread, "kthread_exit", "panic"},
		"Over":               {Over, "sort", "call_rcu"},
		"Fills":              {Fills, "sized_strscpy", "memcmp"},
		"Message":            {Message, "_printk", "panic"},
		"ChangesStaticCalls": {ChangesStaticCalls, "tracepoint_add_func", "printk"},
		"Idle":               {Idle, "do_idle", "schedule"},
		"Aside":              {Aside, "my_printk_once", "klp_ftrace_handler"},
		"Preserves":          {Preserves, "preempt_schedule_thunk", "preempt_schedule"},
		"NoArgs":             {NoArgs, "__SCT__cond_resched", "__SCT__pv_sched_clock"},
		"OwnConvention":      {OwnConvention, "__get_user_4", "get_user_pages"},
		"ReadsMemory":        {ReadsMemory, "atomic_read", "ioread32"},
		"GraceRCU":           {GraceRCU.Asks, "synchronize_net", "synchronize_srcu"},
		"GraceSRCU":          {GraceSRCU.Asks, "synchronize_srcu", "synchronize_net"},
	} {
		if !c.ask(c.yes) || c.ask(c.no) {
			t.Errorf("%s: %s %v, %s %v", name, c.yes, c.ask(c.yes), c.no, c.ask(c.no))
		}
	}
	if l := Atomic(); !slices.IsSorted(l) || !slices.Contains(l, "try_to_wake_up") || slices.Contains(l, "schedule") {
		t.Errorf("Atomic: %q", l)
	}
	for _, part := range []string{PatchingHandler, PatchingUnwinder, PatchingRCU} {
		if len(Patching(part)) == 0 {
			t.Errorf("nothing is patching=%s", part)
		}
	}
	if n, ok := ShadowID("klp_shadow_free_all"); n != 0 || !ok {
		t.Errorf("klp_shadow_free_all: id in argument %d, %v", n, ok)
	}
	if n, ok := StateArg("prepare_to_wait"); n != 2 || !ok {
		t.Errorf("prepare_to_wait: state in argument %d, %v", n, ok)
	}
	if r, ok := Changes("__get_user_1"); !ok || !slices.Equal(r, []string{"rax", "rdx"}) {
		t.Errorf("__get_user_1 changes %q, %v", r, ok)
	}
	if r, ok := Changes("__fentry__"); !ok || len(r) != 0 {
		t.Errorf("__fentry__ changes %q, %v", r, ok)
	}
	if _, ok := Changes("memcpy"); ok {
		t.Error("memcpy has a convention of its own")
	}
}

func TestCalleeOf(t *testing.T) {
	for name, want := range map[string][2]string{
		"__fentry__": {"hook", ""}, "srso_return_thunk": {"return", ""}, "__SCT__might_resched": {"static", ""},
		"__x86_indirect_its_thunk_r11": {"thunk", "r11"}, "__x86_indirect_thunk_array": {"thunk", "array"},
		"preempt_schedule_thunk": {"keeps", ""}, "memcpy": {"", ""},
	} {
		kind, register := CalleeOf(name)
		if got := [2]string{string(kind), register}; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestDoc: doc.go explains the columns that there are.
func TestDoc(t *testing.T) {
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		if !strings.Contains(docText, "\t"+column) && !strings.Contains(docText, ", "+column+"=") {
			t.Errorf("doc.go does not explain the column %s", column)
		}
	}
}

//go:embed doc.go
var docText string
