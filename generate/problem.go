package generate

import "fmt"

// Severity says how bad a problem is.
type Severity string

// Severities. A module with an error must not ship.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Problem ids that Verify reports.
const (
	IDNotTraceable = "KLP101" // ftrace has no entry in the function
	IDExportCRC    = "KLP106" // the CRC of an exported symbol differs or is missing
	IDSymbol       = "KLP107" // a symbol is ambiguous, absent or at another position
	IDShippedCode  = "KLP108" // the code to be replaced is not the code that was compiled
	IDLoadTime     = "KLP111" // a construct that the target cannot carry
	IDNoObject     = "KLP116" // an object that the target does not have
	IDIndirect     = "KLP119" // the address of a function that may not be called through a pointer
	IDModinfo      = "KLP120" // not marked as a livepatch, not GPL
	IDVermagic     = "KLP121" // made for another kernel
	IDUndefined    = "KLP122" // a symbol that no export provides
	IDNamespace    = "KLP123" // a namespace that is used but not imported
	IDTables       = "KLP124" // the kernel's tables say something else than the manifest
	IDRelocation   = "KLP125" // a livepatch relocation that the kernel refuses or never applies
	IDDependency   = "KLP126" // a load-time dependency on a patched module
	IDTypes        = "KLP127" // the types that the code was checked against are not the target's
	IDPrerequisite = "KLP409" // a module that need not be loaded when the patched code runs
)

// Problem is one thing that is wrong with a finished module.
type Problem struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Object   string   `json:"object,omitempty"`
	Symbol   string   `json:"symbol,omitempty"`
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy,omitempty"`
}

// String gives the problem on one line, without the remedy.
func (p Problem) String() string {
	where := ""
	switch {
	case p.Object != "" && p.Symbol != "":
		where = p.Object + ": " + p.Symbol + ": "
	case p.Object != "" || p.Symbol != "":
		where = p.Object + p.Symbol + ": "
	}
	return fmt.Sprintf("%s %s: %s%s", p.Severity, p.ID, where, p.Message)
}
