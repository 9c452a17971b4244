// Package modsign signs kernel modules as the kernel's own sign-file does: a
// detached PKCS#7 signature without attributes and certificates is put behind
// the module, then struct module_signature and a magic string
// (include/linux/module_signature.h and scripts/sign-file.c, v6.1).
package modsign
