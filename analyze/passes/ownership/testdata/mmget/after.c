// want: nothing
struct mm { long pgd; int users; int flags; };
extern void mmput(struct mm *); extern int scan(struct mm *);
static inline __attribute__((always_inline)) int mmget_not_zero(struct mm *mm) { int old = *(volatile int *)&mm->users; do { if (!old) return 0; } while (!__atomic_compare_exchange_n(&mm->users, &old, old + 1, 0, 5, 5)); return 1; }
int pagemap(struct mm *mm) { int r; if (!mmget_not_zero(mm)) return -3; r = scan(mm); if (!r) r = mm->flags; mmput(mm); return r; }
