package machine_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

var update = flag.Bool("update", false, "rewrite "+formsFile+" and "+decoderFile)

// decoderFile says how much of the kernels' code is known.
const decoderFile = "../../docs/measured/decoder.md"

// swept is what a walk over all executable bytes of a kernel finds.
type swept struct {
	release              string
	count                int
	forms                map[string][]byte // the shortest, then lowest encoding of each form
	formCount            map[string]int
	unknown              map[string]int // bytes of instructions of which only the length is known
	undecodable, skipped int            // places without an instruction, and bytes up to the next symbol
	lacking              map[string]int // names of instructions that x86asm alone does not know
}

// sweep decodes all executable sections from symbol to symbol. Where bytes are
// no instruction, it goes on at the next symbol.
func sweep(t *testing.T, release string) swept {
	t.Helper()
	dir := os.Getenv("KLPFORGE_E2E_CACHE")
	if os.Getenv("KLPFORGE_E2E") == "" || dir == "" {
		t.Skip("needs a real kernel; run `make e2e`")
	}
	k, err := kernel.Open(kernel.Options{Release: release, Root: string(cachedir.Dir(dir).TargetRoot(release)), Cache: cachedir.Dir(dir)})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	im, err := k.Image()
	if err != nil {
		t.Fatal(err)
	}
	syms, err := k.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromImage(im, syms)
	if err != nil {
		t.Fatal(err)
	}
	var starts []uint64
	for _, s := range p.Symbols() {
		starts = append(starts, s.Addr)
	}
	slices.Sort(starts)
	s := swept{release: release, forms: map[string][]byte{}, formCount: map[string]int{}, unknown: map[string]int{}, lacking: map[string]int{}}
	for _, seg := range p.Segments() {
		if seg.Exec && seg.Data != nil {
			s.segment(seg.Data, seg.Addr, starts)
		}
	}
	return s
}

func (s *swept) segment(data []byte, base uint64, starts []uint64) {
	for at := 0; at < len(data); {
		// An instruction does not reach over the next symbol.
		i, _ := slices.BinarySearch(starts, base+uint64(at)+1)
		end := len(data)
		if i < len(starts) && starts[i] < base+uint64(len(data)) {
			end = int(starts[i] - base)
		}
		in, err := machine.X86.Decode(data[at:end], base+uint64(at))
		if err != nil {
			s.undecodable++
			s.skipped += end - at
			at = end
			continue
		}
		code := data[at : at+in.Len]
		at += in.Len
		s.count++
		if !in.Known() {
			s.unknown[hex.EncodeToString(code)]++
			continue
		}
		if x, err := x86asm.Decode(code, 64); err != nil || x.Op == 0 || x.Len != len(code) {
			s.lacking[in.Name]++
		}
		key := formOf(&in)
		s.formCount[key]++
		if have, ok := s.forms[key]; !ok || len(code) < len(have) || len(code) == len(have) && bytes.Compare(code, have) < 0 {
			s.forms[key] = bytes.Clone(code)
		}
	}
}

// TestKernels: every instruction of the kernels at hand is known, and each of
// its forms is in the file that TestProcessor runs.
func TestKernels(t *testing.T) {
	have := map[string]bool{}
	if !*update {
		for _, f := range readForms(t) {
			have[f.key] = true
		}
	}
	all := map[string][]byte{}
	var table, detail strings.Builder
	for _, release := range []string{e2e.CloudRelease, "6.12.117+deb12-cloud-amd64"} {
		s := sweep(t, release)
		for key, code := range s.forms {
			if old, ok := all[key]; !ok || len(code) < len(old) || len(code) == len(old) && bytes.Compare(code, old) < 0 {
				all[key] = bytes.Clone(code)
			}
			if !*update && !have[key] {
				t.Errorf("%s: form %q (%x, %d times) is not in %s; run with -update", release, key, code, s.formCount[key], formsFile)
			}
		}
		unknown := 0
		for _, code := range slices.Sorted(maps.Keys(s.unknown)) {
			unknown += s.unknown[code]
			t.Errorf("%s: nothing is known of instruction %s (%d times)", release, code, s.unknown[code])
		}
		t.Logf("%s: %d instructions of %d forms, %d unknown; %d places do not decode (%d bytes up to the next symbol)",
			release, s.count, len(s.forms), unknown, s.undecodable, s.skipped)
		lacking := 0
		var names []string
		for _, name := range slices.Sorted(maps.Keys(s.lacking)) {
			lacking += s.lacking[name]
			names = append(names, fmt.Sprintf("%s %d", name, s.lacking[name]))
		}
		fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %d | %d |\n", release, s.count, len(s.forms), lacking, unknown, s.undecodable, s.skipped)
		fmt.Fprintf(&detail, "- %s: %s.\n", release, strings.Join(names, ", "))
	}
	if *update {
		writeForms(t, all)
		writeDecoder(t, table.String(), detail.String())
	}
}

func writeForms(t *testing.T, all map[string][]byte) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# One encoding of each form of instruction in the kernels at hand; written by TestKernels -update.\n")
	for _, key := range slices.Sorted(maps.Keys(all)) {
		in, err := machine.X86.Decode(all[key], codeAt)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%x\t%s\n", all[key], in.String())
	}
	if err := os.WriteFile(formsFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("wrote %d forms", len(all))
}

func writeDecoder(t *testing.T, table, detail string) {
	t.Helper()
	text := `# What the decoder knows of real kernels

Every executable section of the image, decoded from symbol to symbol; padding counts. Written by
` + "`go test ./analyze/machine -run TestKernels -update`" + ` with the kernels in the cache (KLPFORGE_E2E).

- *x86asm alone*: instructions that golang.org/x/arch/x86/x86asm v0.32 does not know, or gives as a bare prefix.
- *unknown*: instructions of which ` + "`analyze/machine`" + ` knows the length only.
- *no instruction*: places where bytes do not decode, and the bytes from there to the next symbol: data among the code.

| kernel | instructions | forms | x86asm alone | unknown | no instruction | bytes |
| --- | --- | --- | --- | --- | --- | --- |
` + table + `
What x86asm alone does not know, by name:

` + detail
	if err := os.WriteFile(decoderFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
