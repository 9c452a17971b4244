package generate

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// modinfo is the list of key=value strings that a module carries.
type modinfo []struct{ key, value string }

func readModinfo(elfFile *elfobj.File) modinfo {
	section := findSection(elfFile, ".modinfo")
	if section == nil {
		return nil
	}
	var info modinfo
	for kv := range bytes.SplitSeq(section.Data, []byte{0}) {
		if k, v, ok := strings.Cut(string(kv), "="); ok {
			info = append(info, struct{ key, value string }{k, v})
		}
	}
	return info
}

// all returns the values of key.
func (m modinfo) all(key string) []string {
	var out []string
	for _, e := range m {
		if e.key == key {
			out = append(out, e.value)
		}
	}
	return out
}

// one returns the first value of key, which is the one that the kernel uses.
func (m modinfo) one(key string) string {
	if all := m.all(key); len(all) > 0 {
		return all[0]
	}
	return ""
}

func (v *verifier) modinfo() error {
	// The kernel wants the tag, whatever its value (check_modinfo_livepatch, v6.1).
	if lp := v.info.one("livepatch"); lp != "Y" {
		v.errorf(finding.IDModinfo, "", "", "add MODULE_INFO(livepatch, \"Y\")", "modinfo livepatch is %q, want \"Y\"",
			lp)
	}
	// license_is_gpl_compatible, include/linux/license.h, v6.1
	gpl := []string{"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}
	licenses := v.info.all("license")
	for _, l := range licenses {
		if !slices.Contains(gpl, l) {
			v.errorf(finding.IDModinfo, "", "", "livepatches must be under the GPL", "modinfo license is %q", l)
		}
	}
	if len(licenses) == 0 {
		v.errorf(finding.IDModinfo, "", "", "livepatches must be under the GPL", "modinfo has no license")
	}
	want, err := v.target.Vermagic()
	if err != nil {
		return fmt.Errorf("read vermagic of %s: %w", v.target.Release(), err)
	}
	if got := v.info.one("vermagic"); strings.TrimSpace(got) != strings.TrimSpace(want) {
		v.errorf(finding.IDVermagic, "", "", "build against the headers of the target",
			"vermagic is %q, the kernel's is %q", got, want)
	}
	if v.m != nil && v.m.Release != v.target.Release() {
		v.errorf(finding.IDVermagic, "", "", "build the livepatch for this very kernel",
			"the livepatch was made for %s, the kernel is %s", v.m.Release, v.target.Release())
	}
	return nil
}

// undefined checks what the module loader itself must resolve.
func (v *verifier) undefined() error {
	vermagic, err := v.target.Vermagic()
	if err != nil {
		return fmt.Errorf("read vermagic of %s: %w", v.target.Release(), err)
	}
	modversions := slices.Contains(strings.Fields(vermagic), "modversions")
	versions, err := readVersions(v.f)
	if err != nil {
		v.errorf(finding.IDExportCRC, "", "", "", "%v", err)
		modversions = false
	}
	if modversions {
		v.version("module_layout", versions)
	}
	imported := v.info.all("import_ns")
	for _, sym := range v.f.Symbols[1:] {
		if sym.Sec != elfobj.SecUndef || sym.Name == "" || elfobj.IsKlpSymbol(sym.Name) {
			continue
		}
		if v.arch.MayMiss(sym.Name) {
			continue
		}
		export, ok := v.target.Export(sym.Name)
		if !ok {
			if sym.Bind != elf.STB_WEAK {
				v.errorf(finding.IDUndefined, "", sym.Name, "the patched code needs it as a livepatch symbol",
					"the kernel does not export it, so the module does not load")
			}
			continue
		}
		v.exporter(sym.Name, export)
		if export.Namespace != "" && !slices.Contains(imported, export.Namespace) {
			v.errorf(finding.IDNamespace, "", sym.Name, "import the namespace with MODULE_IMPORT_NS",
				"it is exported in namespace %s, which the module does not import", export.Namespace)
		}
		if modversions {
			v.version(sym.Name, versions)
		}
	}
	return nil
}

// exporter checks that the symbol does not tie the livepatch to a module.
func (v *verifier) exporter(name string, export Export) {
	switch {
	case isVmlinux(export.Module):
	case v.m != nil && v.m.Object(export.Module) != nil:
		v.errorf(finding.IDDependency, export.Module, name, "refer to it by a livepatch symbol, exported or not",
			"it is exported by a module that is patched, so the livepatch could not load before it")
	default:
		v.add(finding.Finding{ID: finding.IDDependency, Severity: finding.Warning, Object: export.Module, Symbol: name,
			Message: "it is exported by a module, which must be loaded before the livepatch",
			Remedy:  "refer to it by a livepatch symbol"})
	}
}

// version checks the CRC that the module carries for an exported symbol.
func (v *verifier) version(name string, versions map[string]uint32) {
	export, ok := v.target.Export(name)
	if !ok {
		v.errorf(finding.IDExportCRC, "", name, "",
			"the kernel does not export it, but every module's version is checked against it")
		return
	}
	const remedy = "link against the target's own Module.symvers"
	crc, ok := versions[name]
	switch {
	case !ok:
		v.errorf(finding.IDExportCRC, "", name, remedy, "the module carries no version for it")
	case crc != export.CRC:
		v.errorf(finding.IDExportCRC, "", name, remedy, "its version is %#08x in the module, %#08x in the kernel", crc,
			export.CRC)
	}
}

// readVersions reads the CRCs that a module carries: __versions (struct
// modversion_info, 64 bytes an entry) and the extended tables of 6.14.
func readVersions(elfFile *elfobj.File) (map[string]uint32, error) {
	const entry, nameOff = 64, 8
	var bo binary.ByteOrder = binary.LittleEndian
	if elfFile.BigEndian {
		bo = binary.BigEndian
	}

	// The old form: a CRC and a name of at most 55 bytes (struct modversion_info).
	out := map[string]uint32{}
	if section := findSection(elfFile, "__versions"); section != nil {
		if len(section.Data)%entry != 0 {
			return nil, fmt.Errorf("section __versions has %d bytes, which is no multiple of %d", len(section.Data),
				entry)
		}
		for e := range slices.Chunk(section.Data, entry) {
			name, _, _ := bytes.Cut(e[nameOff:], []byte{0})
			out[string(name)] = uint32(bo.Uint64(e))
		}
	}

	// With CONFIG_EXTENDED_MODVERSIONS (6.14) names have any length and stand in a section of
	// their own.
	crcs, names := findSection(elfFile, "__version_ext_crcs"), findSection(elfFile, "__version_ext_names")
	if crcs == nil || names == nil {
		return out, nil
	}
	rest := names.Data
	for i := 0; i+4 <= len(crcs.Data); i += 4 {
		name, tail, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return nil, fmt.Errorf("section __version_ext_names has fewer names than there are versions")
		}
		out[string(name)] = bo.Uint32(crcs.Data[i:])
		rest = tail
	}
	return out, nil
}

// depends checks the modules that modprobe would load first.
func (v *verifier) depends() error {
	for _, d := range strings.FieldsFunc(v.info.one("depends"), func(r rune) bool { return r == ',' }) {
		if name := strings.ReplaceAll(d, "-", "_"); v.m != nil && v.m.Object(name) != nil {
			v.errorf(finding.IDDependency, name, "", "refer to its symbols by livepatch symbols",
				"modinfo depends names a module that is patched")
		}
	}
	return nil
}
