package note

// Keys of modinfo that a module has besides the note, for tools that know no notes. The
// version is the kernel's own "version".
const (
	InfoProduct    = "klpforge_name"
	InfoVendor     = "klpforge_vendor"
	InfoReplace    = "klpforge_replace"    // Y or N
	InfoGeneration = "klpforge_generation" // of the livepatch interface
)
