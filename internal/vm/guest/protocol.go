// Package guest is the program that runs as /init in a test VM, and the
// protocol by which it is told what to do and says what happened.
//
// The host puts a Script into the initramfs as ScriptPath. The guest runs its
// steps one after another and writes one Event per line, each after Prefix,
// to a second port, which nothing else in the VM writes to: kernel
// messages on the console can interrupt a line of user space in the middle.
//
// The protocol types build everywhere; the interpreter is Linux only.
package guest

import "time"

// Prefix starts every line that carries an Event.
const Prefix = "KLPVM:"

// DefaultWait is how long a step waits for a transition when it says nothing.
// The kernel signals the remaining tasks after 15 s.
const DefaultWait = 60 * time.Second

// Fixed places in the guest's file system.
const (
	ScriptPath = "/script.json"
	ConsoleTTY = "/dev/console"
	ModuleDir  = "/lib/modules"
)

// ResultsTTY is the port for events in a guest of that GOARCH: a serial line, or a virtio console
// where the machine has one serial line alone.
func ResultsTTY(goarch string) string {
	if goarch == "arm64" {
		return "/dev/hvc0"
	}
	return "/dev/ttyS1"
}

// Taint bits (include/linux/panic.h, v6.1) that loading a livepatch sets by itself.
const (
	TaintOutOfTree = 1 << 12 // O
	TaintUnsigned  = 1 << 13 // E
	TaintLivepatch = 1 << 15 // K

	// TaintAllowed is what an unsigned livepatch module brings and nothing more.
	TaintAllowed = TaintOutOfTree | TaintUnsigned | TaintLivepatch
)

// Op names what a Step does. The constructors of this package say which
// fields of Step each one uses.
type Op string

// The operations.
const (
	OpInsmod         Op = "insmod"
	OpRmmod          Op = "rmmod"
	OpModprobe       Op = "modprobe"
	OpLoopAttach     Op = "loop-attach"
	OpLoopDetach     Op = "loop-detach"
	OpMount          Op = "mount"
	OpUmount         Op = "umount"
	OpRemove         Op = "remove"
	OpCopy           Op = "copy"
	OpWriteFile      Op = "write-file"
	OpVerifyFile     Op = "verify-file"
	OpWrite          Op = "write"
	OpRead           Op = "read"
	OpExpect         Op = "expect"
	OpExpectLog      Op = "expect-log"
	OpSync           Op = "sync"
	OpDropCaches     Op = "drop-caches"
	OpWaitTransition Op = "wait-transition"
	OpExpectEnabled  Op = "expect-enabled"
	OpDisable        Op = "disable"
	OpLivepatches    Op = "livepatches"
	OpCheckDmesg     Op = "check-dmesg"
	OpCheckTaint     Op = "check-taint"
	OpProbe          Op = "probe"
	OpExec           Op = "exec"
	OpReverse        Op = "reverse"
	OpSleep          Op = "sleep"
	OpRepeat         Op = "repeat"
	OpBackground     Op = "background"
	OpStopBackground Op = "stop-background"
	OpBatch          Op = "batch"
	OpPoweroff       Op = "poweroff"
)

// Match says how OpExpect and OpProbe compare what they saw with Step.Want.
type Match string

// The ways to compare. Exact ignores white space at both ends.
const (
	MatchExact    Match = "exact"
	MatchContains Match = "contains"
	MatchAbsent   Match = "absent" // Want does not occur
	MatchRegexp   Match = "regexp"
)

// Script is the whole job of one boot. When a step fails, the rest is not run,
// unless the step has MayFail. The guest powers off at the end in any case.
type Script struct {
	Steps []Step `json:"steps"`
}

// Step is one operation. Which fields matter depends on Op; the constructors
// are the reference. The fields above the blank line work for every Op.
type Step struct {
	Op        Op     `json:"op"`
	Label     string `json:"label,omitempty"`      // free text, repeated in the result
	MayFail   bool   `json:"may_fail,omitempty"`   // a failure is recorded and the script goes on
	WantErrno string `json:"want_errno,omitempty"` // the step must fail with this errno, such as "EINVAL"

	Path   string        `json:"path,omitempty"`
	To     string        `json:"to,omitempty"`
	FS     string        `json:"fs,omitempty"`
	Data   string        `json:"data,omitempty"`
	Module string        `json:"module,omitempty"` // name of a module or a livepatch, as in sysfs
	Files  []ModFile     `json:"files,omitempty"`
	Match  Match         `json:"match,omitempty"`
	Want   string        `json:"want,omitempty"`
	Size   int64         `json:"size,omitempty"`  // bytes
	Seed   int64         `json:"seed,omitempty"`  // of a file's pattern
	Count  int           `json:"count,omitempty"` // of repetitions or tasks
	Millis int64         `json:"ms,omitempty"`    // timeout or duration; 0 is the default of the Op
	Mask   uint64        `json:"mask,omitempty"`
	Allow  []string      `json:"allow,omitempty"` // regular expressions of kernel messages that are no complaint
	Args   []string      `json:"args,omitempty"`
	Steps  []Step        `json:"steps,omitempty"`
	Batch  []BatchModule `json:"batch,omitempty"`
}

// ModFile is a kernel module in the initramfs.
type ModFile struct {
	Name     string `json:"name"`               // as in /proc/modules
	Path     string `json:"path"`               // in the guest, uncompressed
	Optional bool   `json:"optional,omitempty"` // a soft dependency: may fail to load
}

// BatchModule is one livepatch of OpBatch.
type BatchModule struct {
	Label  string    `json:"label"`
	Name   string    `json:"name"` // module name, which is its name in sysfs too
	Path   string    `json:"path"` // in the guest
	Params string    `json:"params,omitempty"`
	Before []ModFile `json:"before,omitempty"` // loaded first, if not yet there
	After  []ModFile `json:"after,omitempty"`  // loaded once the livepatch is in force
}

// Event kinds.
const (
	EvStart       = "start"        // the guest runs; Kernel is set
	EvBegin       = "begin"        // a step begins; ID, Op and Label are set
	EvEnd         = "end"          // it ended; Step is set
	EvModuleBegin = "module-begin" // a module of a batch begins; Label is set
	EvModule      = "module"       // it ended; Module is set
	EvDone        = "done"         // the script is over; OK says whether no step failed; Err has a failure of the guest itself
)

// Event is one line from the guest.
type Event struct {
	Kind   string        `json:"ev"`
	ID     string        `json:"id,omitempty"`
	Op     Op            `json:"op,omitempty"`
	Label  string        `json:"label,omitempty"`
	Kernel string        `json:"kernel,omitempty"` // uname -r
	Step   *StepResult   `json:"step,omitempty"`
	Module *ModuleResult `json:"module,omitempty"`
	OK     bool          `json:"ok,omitempty"`
	Err    string        `json:"err,omitempty"`
}

// StepResult is the outcome of one step. ID is the index of the step in the
// script, from 0; a step inside OpRepeat has "<id>.<repetition>.<index>".
type StepResult struct {
	ID          string      `json:"id"`
	Op          Op          `json:"op"`
	Label       string      `json:"label,omitempty"`
	OK          bool        `json:"ok"`
	Err         string      `json:"err,omitempty"`
	Errno       string      `json:"errno,omitempty"` // name of the system error in Err, such as "ENOEXEC"
	Out         string      `json:"out,omitempty"`   // content read, at most MaxOut bytes
	Log         []string    `json:"log,omitempty"`   // kernel messages during a step that failed, or asked for
	Livepatches []Livepatch `json:"livepatches,omitempty"`
	// Holders are the tasks that a transition waited for when they were last looked at,
	// which is done once a second and when the wait is over.
	Holders []Holder `json:"holders,omitempty"`
	Millis  int64    `json:"ms"`
}

// Holder is a task that a transition waits for.
type Holder struct {
	PID     int      `json:"pid"`
	TID     int      `json:"tid"`
	Name    string   `json:"name"`
	State   string   `json:"state"`
	Kernel  bool     `json:"kernel_thread,omitempty"`
	Stack   []string `json:"stack,omitempty"`   // innermost first, as the kernel prints it
	Patched []string `json:"patched,omitempty"` // "object:function" on the stack that has to be left
}

// MaxHolders bounds StepResult.Holders.
const MaxHolders = 20

// MaxOut bounds StepResult.Out, in bytes.
const MaxOut = 64 << 10

// MaxLog bounds StepResult.Log and ModuleResult.Log, in lines.
const MaxLog = 400

// Livepatch is one directory of /sys/kernel/livepatch. Funcs and Objects are sorted.
type Livepatch struct {
	Name       string      `json:"name"`
	Enabled    bool        `json:"enabled"`
	Transition bool        `json:"transition"`
	Objects    []LPObject  `json:"objects,omitempty"`
	Attrs      [][2]string `json:"attrs,omitempty"` // other readable attributes, such as replace
}

// LPObject is one patched object.
type LPObject struct {
	Name    string   `json:"name"`    // "vmlinux" or a module
	Patched string   `json:"patched"` // "1", "0", or "" where the kernel has no such attribute
	Funcs   []string `json:"funcs"`   // "name,sympos"
}

// Stage says how far a module of a batch came.
type Stage string

// The stages in their order. StageDone is success.
const (
	StageBefore     Stage = "before"     // loading what it needs
	StageLoad       Stage = "load"       // finit_module
	StageTransition Stage = "transition" // waiting for all tasks to switch
	StageEnabled    Stage = "enabled"    // checking that it is in force
	StageAfter      Stage = "after"      // loading modules that it patches late
	StageDisable    Stage = "disable"    // writing 0 to enabled, and the transition back
	StageUnload     Stage = "unload"     // delete_module
	StageLog        Stage = "log"        // the kernel complained, or was tainted
	StageDone       Stage = "done"
)

// ModuleResult is the outcome of one module of a batch.
type ModuleResult struct {
	Label string `json:"label"`
	Name  string `json:"name"`
	// Stage is the one that failed, or StageDone.
	Stage        Stage      `json:"stage"`
	OK           bool       `json:"ok"`
	Err          string     `json:"err,omitempty"`
	Errno        string     `json:"errno,omitempty"`
	DepErrs      []string   `json:"dep_errs,omitempty"`  // modules of Before and After that did not load, such as drivers without their device
	Livepatch    *Livepatch `json:"livepatch,omitempty"` // as seen when enabled; nil when it never was
	Complaints   []string   `json:"complaints,omitempty"`
	Log          []string   `json:"log,omitempty"`     // all kernel messages, when something was wrong
	Holders      []Holder   `json:"holders,omitempty"` // of the transition, as in StepResult
	Stuck        bool       `json:"stuck,omitempty"`   // could not be unloaded; the batch ended here
	LoadMs       int64      `json:"load_ms"`
	TransitionMs int64      `json:"transition_ms"`
	DisableMs    int64      `json:"disable_ms"`
}
