package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klpforge/klpforge/internal/regular"
)

// MaxFailures is how often a module may fail to load at boot before it is set aside.
const MaxFailures = 2

// BootSchema identifies the file of failures.
const BootSchema = "klpforge.boot/v1"

// bootFile is its name in the state directory.
const bootFile = "boot.json"

// Failure is a module file that failed to load at boot. Another content under
// the same name starts afresh.
type Failure struct {
	File     string    `json:"file"`
	SHA256   string    `json:"sha256"`
	Failures int       `json:"failures"` // in boots: several in one count once
	BootID   string    `json:"boot_id"`  // of the last one
	Error    string    `json:"error"`    // of the last one
	Time     time.Time `json:"time"`     // of the last one
}

// SetAside reports whether the module is not loaded at boot any more.
func (f *Failure) SetAside() bool { return f.Failures >= MaxFailures }

// records are the failures at boot. What is not in the list has none.
type records struct {
	path string
	List []Failure
}

// maxRecord bounds the file of failures, in bytes: it has one entry for each
// module of a kernel that failed.
const maxRecord = 4 << 20

// openRecords reads the record in a directory. With an error it is empty, and usable.
func openRecords(dir string) (*records, error) {
	opened := &records{path: filepath.Join(dir, bootFile)}
	text, err := regular.Read(opened.path, maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return opened, nil
	}
	if err != nil {
		return opened, fmt.Errorf("read what failed at boot: %w", err)
	}
	var doc struct {
		Schema  string    `json:"schema"`
		Modules []Failure `json:"modules"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return opened, fmt.Errorf("read what failed at boot: %s: %w", opened.path, err)
	}
	if doc.Schema != BootSchema {
		return opened, fmt.Errorf("read what failed at boot: %s: its schema is %q, want %q", opened.path, doc.Schema,
			BootSchema)
	}
	opened.List = doc.Modules
	return opened, nil
}

// putAsideError says that a record could not be used and what became of it.
type putAsideError struct{ text string }

func (e *putAsideError) Error() string { return e.text }

// putAside moves a record that cannot be read, for the reason why, out of the
// way, so that a new one can begin. It returns what to say about it.
func (r *records) putAside(why error) error {
	aside := r.path + ".damaged"
	err := os.RemoveAll(aside) // one is enough to look at
	if err == nil {
		err = os.Rename(r.path, aside)
	}
	if err != nil {
		return &putAsideError{fmt.Sprintf("%v; it cannot be put aside (%v), and counts as empty", why, err)}
	}
	return &putAsideError{fmt.Sprintf("%v; it is put aside as %s, and every module is tried again", why, aside)}
}

// find returns the failure of a content, or nil.
func (r *records) find(sha string) *Failure {
	if i := slices.IndexFunc(r.List, func(f Failure) bool { return f.SHA256 == sha }); i >= 0 {
		return &r.List[i]
	}
	return nil
}

// begin writes down, before a module is loaded, that it failed: if it takes
// the machine down, nobody can write it later.
func (r *records) begin(file, sha, bootID string) error {
	failure := r.find(sha)
	if failure == nil {
		r.List = append(r.List, Failure{SHA256: sha})
		failure = &r.List[len(r.List)-1]
	}
	if failure.BootID != bootID {
		failure.Failures++
	}
	failure.File, failure.BootID, failure.Time = file, bootID, time.Now().UTC().Truncate(time.Second)
	failure.Error = "the machine, or klpforge, ended while it was being loaded"
	return r.save()
}

// fail completes what begin wrote.
func (r *records) fail(sha string, why error) error {
	const most = 4 << 10 // bytes of the kernel's log in it
	text := why.Error()
	r.find(sha).Error = text[:min(len(text), most)]
	return r.save()
}

// succeed forgets a module's failures.
func (r *records) succeed(sha string) error {
	n := len(r.List)
	r.List = slices.DeleteFunc(r.List, func(f Failure) bool { return f.SHA256 == sha })
	if len(r.List) == n {
		return nil
	}
	return r.save()
}

// restore puts back what was known of a module before begin; old is nil for nothing.
func (r *records) restore(sha string, old *Failure) error {
	if old == nil {
		return r.succeed(sha)
	}
	*r.find(sha) = *old
	return r.save()
}

// save replaces the file as a whole, and returns when it is on the disk.
func (r *records) save() (err error) {
	list := r.List
	if list == nil {
		list = []Failure{}
	}
	text, err := json.MarshalIndent(map[string]any{"schema": BootSchema, "modules": list}, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(r.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write down what failed at boot: %w", err)
	}
	file, err := os.CreateTemp(dir, bootFile+".*")
	if err != nil {
		return fmt.Errorf("write down what failed at boot: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), r.path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // it may have its name already
		return fmt.Errorf("write down what failed at boot: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
