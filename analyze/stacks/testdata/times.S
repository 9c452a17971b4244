# How long functions wait: what is known of the time that they give, along paths,
# round loops and through memory. A comment "want NAME: ..." says what must come
# out: bounded, for ever, or perhaps. 100 ticks are a second, so that 12000 are the
# most that counts as bounded. Assembled by the test.

	.macro func name
	.section .text.\name, "ax", @progbits
	.globl \name
	.type \name, @function
\name:
	.endm
	.macro endfunc name
	.size \name, . - \name
	.endm
	# Sleeps interruptibly for the time in \time.
	.macro sleep time
	mov \time, %r14
	mov $1, %edx
	call prepare_to_wait
	mov %r14, %rdi
	call schedule_timeout
	.endm

# want no_bound: for ever
	func no_bound
	movabs $0x7fffffffffffffff, %rbx
	sleep %rbx
	ret
	endfunc no_bound

# want bound: bounded
	func bound
	mov $12000, %ebx
	sleep %rbx
	ret
	endfunc bound

# want above_the_bound: for ever
	func above_the_bound
	mov $12001, %ebx
	sleep %rbx
	ret
	endfunc above_the_bound

# want not_known: perhaps
	func not_known
	mov %rdi, %rbx
	sleep %rbx
	ret
	endfunc not_known

# want interruptible: for ever
	func interruptible
	mov $1, %edx
	call prepare_to_wait
	call schedule
	ret
	endfunc interruptible

# want uninterruptible: bounded
	func uninterruptible
	mov $2, %edx
	call prepare_to_wait
	call schedule
	ret
	endfunc uninterruptible

# Either time is bounded: so is what both paths agree on.
# want two_bounds: bounded
	func two_bounds
	mov $100, %ebx
	test %esi, %esi
	je 1f
	mov $300, %ebx
1:	sleep %rbx
	ret
	endfunc two_bounds

# The smaller of the two is bounded, the larger is not.
# want one_bound: perhaps
	func one_bound
	mov $100, %ebx
	test %esi, %esi
	je 1f
	movabs $0x7fffffffffffffff, %rbx
1:	sleep %rbx
	ret
	endfunc one_bound

# The other way round.
# want other_bound: perhaps
	func other_bound
	movabs $0x7fffffffffffffff, %rbx
	test %esi, %esi
	je 1f
	mov $100, %ebx
1:	sleep %rbx
	ret
	endfunc other_bound

# Neither is bounded, whichever it is.
# want no_bounds: for ever
	func no_bounds
	movabs $0x7fffffffffffffff, %rbx
	test %esi, %esi
	je 1f
	mov $20000, %ebx
1:	sleep %rbx
	ret
	endfunc no_bounds

# Compared with the limit: on that side it is bounded.
# want compared_below: bounded
	func compared_below
	movzbl %dil, %ebx
	sleep %rbx
	ret
	endfunc compared_below

# A time that grows from round to round has no bound that is seen.
# want grows: perhaps
	func grows
	mov $1, %ebx
1:	add $1, %rbx
	call other
	test %eax, %eax
	jne 1b
	sleep %rbx
	ret
	endfunc grows

# A slot that a loop changes is not what it was before the loop.
# want slot_in_loop: perhaps
	func slot_in_loop
	sub $24, %rsp
	movq $10, 8(%rsp)
1:	call other
	test %eax, %eax
	je 2f
	mov %rax, 8(%rsp)
	jmp 1b
2:	mov 8(%rsp), %rbx
	sleep %rbx
	add $24, %rsp
	ret
	endfunc slot_in_loop

# A slot that nothing changes stays.
# want slot: bounded
	func slot
	sub $24, %rsp
	movq $10, 8(%rsp)
1:	call other
	test %eax, %eax
	jne 1b
	mov 8(%rsp), %rbx
	sleep %rbx
	add $24, %rsp
	ret
	endfunc slot

# A slot whose address is given away may be anything afterwards.
# want slot_given_away: perhaps
	func slot_given_away
	sub $24, %rsp
	movq $10, 8(%rsp)
	lea 8(%rsp), %rdi
	call other
	mov 8(%rsp), %rbx
	sleep %rbx
	add $24, %rsp
	ret
	endfunc slot_given_away

# The low half of a slot is written: the whole is not what it was.
# want half_a_slot: perhaps
	func half_a_slot
	sub $24, %rsp
	movq $10, 8(%rsp)
	mov %edi, 8(%rsp)
	mov 8(%rsp), %rbx
	sleep %rbx
	add $24, %rsp
	ret
	endfunc half_a_slot

# A call leaves what is saved by it and nothing else.
# want saved: bounded
	func saved
	mov $50, %ebx
	call other
	sleep %rbx
	ret
	endfunc saved

# want not_saved: perhaps
	func not_saved
	mov $50, %ecx
	call other
	mov %rcx, %rbx
	sleep %rbx
	ret
	endfunc not_saved

# The branch that is never taken does not count.
# want never_taken: bounded
	func never_taken
	mov $5, %ebx
	cmp $9, %ebx
	jbe 1f
	movabs $0x7fffffffffffffff, %rbx
1:	sleep %rbx
	ret
	endfunc never_taken

# want always_taken: for ever
	func always_taken
	mov $5, %ebx
	cmp $5, %ebx
	jne 1f
	movabs $0x7fffffffffffffff, %rbx
1:	sleep %rbx
	ret
	endfunc always_taken

# want signed_compare: bounded
	func signed_compare
	mov $-1, %ebx
	cmp $1, %ebx
	jge 1f
	mov $7, %ebx
	sleep %rbx
1:	ret
	endfunc signed_compare

# Signed, a negative time; unsigned, the largest there is: schedule_timeout refuses
# negative ones.
# want negative: bounded
	func negative
	mov $-5, %rbx
	sleep %rbx
	ret
	endfunc negative

# Arithmetic that keeps its bounds.
# want sums: bounded
	func sums
	movzbl %dil, %ebx
	add $200, %rbx
	shl $2, %rbx
	and $0xfff, %ebx
	sleep %rbx
	ret
	endfunc sums

# want shifted_away: perhaps
	func shifted_away
	movzwl %di, %ebx
	shl $4, %rbx
	sleep %rbx
	ret
	endfunc shifted_away

# What a callee returns is not looked at when it cannot wait itself.
# want returned: perhaps
	func returned
	call gives_bound
	mov %rax, %rbx
	sleep %rbx
	ret
	endfunc returned

	func gives_bound
	mov $40, %eax
	test %edi, %edi
	je 1f
	mov $80, %eax
1:	ret
	endfunc gives_bound

# The time is the caller's; one of two callers gives one without bound.
# want callee: perhaps
	func callee
	push %rdi
	mov $1, %edx
	call prepare_to_wait
	pop %rdi
	call schedule_timeout
	ret
	endfunc callee

# want gives_bound_on: bounded
	func gives_bound_on
	mov $100, %edi
	call callee
	ret
	endfunc gives_bound_on

# want gives_no_bound_on: for ever
	func gives_no_bound_on
	movabs $0x7fffffffffffffff, %rdi
	call callee
	ret
	endfunc gives_no_bound_on

# A jump at the end leaves no frame of its own.
# want jumps_on: bounded
	func jumps_on
	movabs $0x7fffffffffffffff, %rdi
	jmp callee
	endfunc jumps_on

# A wait of no bound by way of two others.
# want two_calls_away: for ever
	func two_calls_away
	push %rbx
	call gives_no_bound_on
	pop %rbx
	ret
	endfunc two_calls_away

# want waits_for_nothing: bounded
	func waits_for_nothing
	call other
	call gives_bound
	ret
	endfunc waits_for_nothing

# A counter grows from round to round; what does not change stays known.
# want counts_and_waits: bounded
	func counts_and_waits
	mov $30, %ebx
	xor %ebp, %ebp
1:	add $1, %rbp
	call other
	test %eax, %eax
	jne 1b
	sleep %rbx
	ret
	endfunc counts_and_waits
