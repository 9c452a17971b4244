package finding

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
)

// ID names a kind of finding: "KLP103". It never changes its meaning, because people
// accept findings by it.
type ID string

// Group is what a kind of finding is about; the first digit of its id.
type Group uint8

// The groups.
const (
	Feasibility Group = iota + 1 // whether the patch can become a livepatch at all
	Consistency                  // old and new code running at once
	Transition                   // whether the transition ends
	Policy                       // policy, releases, and what the patch needs
)

// Group returns the group of a registered id, and 0 for others.
func (id ID) Group() Group {
	if _, ok := Lookup(id); !ok {
		return 0
	}
	return Group(id[len("KLP")] - '0')
}

// Whether the patch can become a livepatch at all. Those from IDModinfo to IDDependency
// are made when the finished module is read back.
const (
	IDNotTraceable   ID = "KLP101" // ftrace has no entry in the function
	IDAlreadyRun     ID = "KLP102" // boot-time code or data
	IDChangedData    ID = "KLP103" // existing data changes
	IDStatics        ID = "KLP104"
	IDModuleKey      ID = "KLP105" // a static key or static call of a module
	IDExportCRC      ID = "KLP106" // the CRC of an exported symbol differs or is missing
	IDSymbol         ID = "KLP107" // a symbol is ambiguous, absent or at another position
	IDShippedCode    ID = "KLP108" // the code to be replaced is not the code that was compiled
	IDUnsupported    ID = "KLP109" // an object, or a part of one, that cannot be carried
	IDRegistration   ID = "KLP110" // a registration that nothing runs
	IDLoadTime       ID = "KLP111" // a construct that the target cannot carry
	IDUnknownSection ID = "KLP112" // a section of unknown meaning
	IDOpTable        ID = "KLP115" // a changed table of function pointers
	IDNoObject       ID = "KLP116" // an object that the target does not have
	IDDirective      ID = "KLP117" // what the patch's author said in a macro
	IDCallbacks      ID = "KLP118"
	IDIndirect       ID = "KLP119" // the address of a function that may not be called through a pointer
	IDModinfo        ID = "KLP120" // not marked as a livepatch, not GPL
	IDVermagic       ID = "KLP121"
	IDUndefined      ID = "KLP122" // a symbol that no export provides
	IDNamespace      ID = "KLP123" // a namespace that is used but not imported
	IDTables         ID = "KLP124" // the kernel's tables say something else than the manifest
	IDRelocation     ID = "KLP125" // a livepatch relocation that the kernel refuses or never applies
	IDDependency     ID = "KLP126" // a load-time dependency on a patched module
	IDTypes          ID = "KLP127" // types differ from the target's
	IDConfig         ID = "KLP128"
	IDWriteProtected ID = "KLP129" // a store to data that is write-protected after boot
	IDBuildInput     ID = "KLP130" // an input of the build that is no source
	IDRemovedSource  ID = "KLP131" // a source file that is deleted or renamed
	IDReload         ID = "KLP132" // a module that does not load again
	IDOutsideFile    ID = "KLP133" // a file outside of the tree is read
	IDBuildRules     ID = "KLP134" // build rules that would have to run
	IDUnwind         ID = "KLP135" // code without unwind data
)

// Old and new code running at once.
const (
	IDLockEffect      ID = "KLP201"
	IDLockedData      ID = "KLP202"
	IDLockOrder       ID = "KLP203"
	IDCallingContract ID = "KLP204"
	IDReturnContract  ID = "KLP205"
	IDContext         ID = "KLP206"
	IDOwnership       ID = "KLP207"
	IDLayout          ID = "KLP208"
	IDDataMeaning     ID = "KLP209"
	IDCoupled         ID = "KLP210"
	IDRCU             ID = "KLP211"
	IDPatchingPath    ID = "KLP212"
	IDFutureOnly      ID = "KLP213"
	IDSelfDeadlock    ID = "KLP214"
	IDOutlives        ID = "KLP215"
	IDUnseenSleep     ID = "KLP216"
)

// Whether the transition ends.
const (
	IDSleepers        ID = "KLP301"
	IDEndlessLoop     ID = "KLP302"
	IDIdle            ID = "KLP303"
	IDUnreliableStack ID = "KLP304"
)

// Policy, releases, and what the patch needs.
const (
	IDImmediate    ID = "KLP401"
	IDForce        ID = "KLP402"
	IDLeftBehind   ID = "KLP403"
	IDDropped      ID = "KLP404"
	IDStates       ID = "KLP405"
	IDOverlap      ID = "KLP406"
	IDSuccession   ID = "KLP407"
	IDFollowUp     ID = "KLP408"
	IDPrerequisite ID = "KLP409"
)

// IsVerdict reports whether findings of the id are verdicts, which are given or not, and
// count neither as notes nor as anything worse.
func (id ID) IsVerdict() bool { return id == IDImmediate || id == IDForce }

// Kind is a row of the registry.
type Kind struct {
	ID    ID
	Title string   // a few words, lower case
	Worst Severity // no finding of this id is more severe
}

// registry has every id that klpforge reports, in ascending order.
var registry = []Kind{
	{IDNotTraceable, "not traceable", Error},
	{IDAlreadyRun, "code or data that has already run or is gone", Error},
	{IDChangedData, "changed initial value, size or section of existing data", Error},
	{IDStatics, "static locals that cannot be told apart", Error},
	{IDModuleKey, "static key or static call owned by a module", Error},
	{IDExportCRC, "version of an exported symbol differs", Error},
	{IDSymbol, "symbol ambiguous, absent or at another position", Error},
	{IDShippedCode, "compiled original does not match the running kernel", Error},
	{IDUnsupported, "unsupported object", Error},
	{IDRegistration, "new registration that nothing will run", Error},
	{IDLoadTime, "construct that the target cannot carry", Error},
	{IDUnknownSection, "unknown section", Error},
	{IDOpTable, "changed table of functions", Warning},
	{IDNoObject, "no such object in the target", Error},
	{IDDirective, "directive of the patch's author", Warning},
	{IDCallbacks, "several callbacks of one kind", Error},
	{IDIndirect, "function that pointers must not lead to", Error},
	{IDModinfo, "not marked as a livepatch", Error},
	{IDVermagic, "made for another kernel", Error},
	{IDUndefined, "undefined symbol", Error},
	{IDNamespace, "symbol namespace not imported", Error},
	{IDTables, "tables disagree with the manifest", Error},
	{IDRelocation, "livepatch relocation that the kernel refuses or never applies", Error},
	{IDDependency, "load-time dependency on a patched module", Warning},
	{IDTypes, "types differ from the running kernel's", Error},
	{IDConfig, "compiled with another configuration", Error},
	{IDWriteProtected, "store to data that the kernel write-protects after boot", Error},
	{IDBuildInput, "input of the kernel's build that a livepatch does not carry", Error},
	{IDRemovedSource, "source of the running kernel is deleted or renamed", Error},
	{IDReload, "module that does not load again after it was removed", Note},
	{IDOutsideFile, "reads a file outside of the kernel's tree", Error},
	{IDBuildRules, "changed build rules would have to run", Error},
	{IDUnwind, "new code has no unwind data", Warning},
	{IDLockEffect, "lock effect changed", Error},
	{IDLockedData, "another lock around the same data", Error},
	{IDLockOrder, "lock order inverted", Error},
	{IDCallingContract, "calling contract changed", Warning},
	{IDReturnContract, "return contract changed", Error},
	{IDContext, "sleeps, or returns, in another context", Error},
	{IDOwnership, "ownership changed", Warning},
	{IDLayout, "type layout changed", Error},
	{IDDataMeaning, "data meaning changed", Warning},
	{IDCoupled, "changed functions communicate", Note},
	{IDRCU, "RCU contract changed", Error},
	{IDPatchingPath, "livepatching itself runs it", Warning},
	{IDFutureOnly, "effect limited to the future", Warning},
	{IDSelfDeadlock, "takes a lock that a caller holds", Error},
	{IDOutlives, "pointer that outlives the livepatch", Warning},
	{IDUnseenSleep, "sleeps in code that the stack check does not see", Warning},
	{IDSleepers, "tasks sleep in a patched function", Warning},
	{IDEndlessLoop, "patched function loops for ever", Warning},
	{IDIdle, "idle or scheduler code", Error},
	{IDUnreliableStack, "stack is not reliable", Warning},
	{IDImmediate, "verdict: safe to apply immediately", Note},
	{IDForce, "verdict: safe to force", Note},
	{IDLeftBehind, "callbacks that leave something behind", Warning},
	{IDDropped, "dropped since the last release", Warning},
	{IDStates, "states do not allow this change", Error},
	{IDOverlap, "two livepatches change one function", Error},
	{IDSuccession, "name, vendor, version or kernel do not follow", Error},
	{IDFollowUp, "a follow-up is missing", Error},
	{IDPrerequisite, "a prerequisite is missing", Error},
}

// Kinds returns all rows of the registry by id.
func Kinds() []Kind { return slices.Clone(registry) }

// Lookup returns the row of an id, and false when the id is not registered.
func Lookup(id ID) (Kind, bool) {
	for _, k := range registry {
		if k.ID == id {
			return k, true
		}
	}
	return Kind{}, false
}

//go:embed texts.txt
var texts string

var headRE = regexp.MustCompile(`(?m)^(KLP[0-9]{3})\n`)

// Text returns what an id means, what decides it and what to do, in paragraphs; empty
// for an id whose text is the package comment of the check that reports it.
func Text(id ID) string {
	at := headRE.FindAllStringSubmatchIndex(texts, -1)
	for i, m := range at {
		if texts[m[2]:m[3]] != string(id) {
			continue
		}
		end := len(texts)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		return strings.TrimSpace(texts[m[1]:end]) + "\n"
	}
	return ""
}
