# Instructions that kernels use and decoders tend to get wrong. The lengths
# that objdump finds are in insns.len.
	.text
	.globl	insns
insns:
# 0f 01 family
	clac
	stac
	vmcall
	vmlaunch
	vmresume
	vmxoff
	vmrun
	vmmcall
	vmload
	vmsave
	stgi
	clgi
	skinit
	invlpga %rax, %ecx
	monitor
	mwait
	monitorx
	mwaitx
	encls
	enclu
	enclv
	xgetbv
	xsetbv
	xend
	xtest
	rdtscp
	swapgs
	clzero
	rdpkru
	wrpkru
	serialize
	tdcall
	seamcall
	seamret
	seamops
	lgdt (%rdi)
	sgdt 8(%rax)
	lidt 0x1000(%rip)
	sidt (%rsp)
	smsw %eax
	lmsw %ax
	invlpg (%rdi)
	invlpgb
	tlbsync
	psmash
	pvalidate
	rmpupdate
	rmpadjust
	vmgexit
# shadow stack and branch tracking
	endbr64
	endbr32
	rdsspq %rax
	rdsspd %eax
	incsspq %rax
	saveprevssp
	rstorssp (%rax)
	setssbsy
	clrssbsy (%rdi)
	wrssq %rax, (%rdi)
	wrussq %rax, 8(%rdi)
	notrack jmp *%rax
# virtualisation and contexts
	invept (%rdi), %rax
	invvpid (%rdi), %rax
	invpcid (%rdi), %rax
	vmptrld (%rdi)
	vmptrst (%rdi)
	vmclear 8(%rdi)
	vmxon (%rdi)
	vmread %rax, %rdx
	vmread %rax, 0x10(%rip)
	vmwrite %rax, %rdx
	xsave (%rdi)
	xsave64 (%rdi)
	xsaveopt64 (%rdi)
	xsavec64 (%rdi)
	xsaves (%rdi)
	xsaves64 (%rdi)
	xrstor (%rdi)
	xrstor64 (%rdi)
	xrstors64 (%rdi)
	fxsave64 (%rdi)
	fxrstor64 (%rdi)
	rdfsbase %rax
	rdgsbase %rax
	wrfsbase %rax
	wrgsbase %rax
# traps
	ud2
	ud1 %eax, %eax
	ud1 (%rax), %eax
	ud1 0x10(%eax), %eax
	ud0 %eax, %ecx
	int3
	int $0x80
	hlt
	lfence
	mfence
	sfence
	pause
	cpuid
	rdtsc
	rdpmc
	rdmsr
	wrmsr
	wbinvd
	wbnoinvd
	invd
	sysretq
	sysexitq
	iretq
	lretq
	ret $0x8
	bnd jmp 1f
1:
# locked and string instructions
	lock cmpxchg16b (%rdi)
	lock cmpxchg8b (%rdi)
	lock cmpxchg %rdx, (%rdi)
	lock incl (%rdi)
	lock addq $0x12345678, 8(%rdi)
	lock xaddl %eax, 4(%rsi)
	lock btsq $5, (%rdi)
	lock orb $1, 0x10(%rip)
	xchg %rax, (%rdi)
	rep stosq
	rep movsb
	repne scasb
	.byte 0x3e
	lock decl (%rdi)
# gs: and rip-relative with immediates (bias 4, 5, 6, 8)
	movl $1, %gs:var(%rip)
	cmpb $1, var(%rip)
	cmpw $0x1234, var(%rip)
	cmpl $0x12345678, var(%rip)
	cmpq $0x12345678, var(%rip)
	cmpl $1, var(%rip)
	testb $2, var(%rip)
	movq $0x12345678, %gs:var(%rip)
	movw $0x1234, %gs:var(%rip)
	addl $1, %gs:var(%rip)
	incl %gs:var(%rip)
	decl %gs:var(%rip)
	movq %gs:var(%rip), %rax
	leaq var(%rip), %rdi
	imull $0x12345678, var(%rip), %eax
	imull $3, var(%rip), %eax
	shlq $3, var(%rip)
	btq $3, var(%rip)
	shldq $3, %rax, var(%rip)
	pshufd $1, var(%rip), %xmm0
	palignr $4, var(%rip), %xmm1
	pclmulqdq $1, var(%rip), %xmm1
	call *var(%rip)
	jmp *var(%rip)
	movq %gs:0x28, %rax
	movq $var, %rdi
	movabsq $var, %rdi
	movl $var, var(%rip)
	cmpq $var, var(%rip)
	movl %eax, %gs:var
# odd lengths and prefixes
	nopw 0x200(%rax,%rax,1)
	nopl 8(%rax,%rax,1)
	.byte 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0
	movabs %al, 0x1122334455667788
	movabs 0x1122334455667788, %rax
	enter $0x10, $1
	jrcxz 2f
	loop 2f
2:
	movbe (%rdi), %rax
	crc32q (%rdi), %rax
	popcnt %rax, %rax
	lzcnt %rax, %rax
	tzcnt %rax, %rax
	adcx %rax, %rbx
	adox %rax, %rbx
	rdrand %rax
	rdseed %rax
	rdpid %rax
	clflushopt (%rdi)
	clwb (%rdi)
	cldemote (%rdi)
	movdiri %rax, (%rdi)
	movdir64b (%rdi), %rax
	enqcmd (%rdi), %rax
	enqcmds (%rdi), %rax
	umonitor %rax
	umwait %eax
	tpause %eax
	ptwrite %rax
	pconfig
	getsec
	sha256rnds2 %xmm0, %xmm1, %xmm2
	sha256msg1 %xmm1, %xmm2
	sha1rnds4 $1, %xmm1, %xmm2
	aesenc var(%rip), %xmm1
	aeskeygenassist $1, %xmm1, %xmm2
	gf2p8mulb %xmm1, %xmm2
	gf2p8affineqb $1, %xmm1, %xmm2
	xbegin 3f
	xabort $1
3:
	data16 lea foo(%rip), %rdi
	prefetchw (%rdi)
	prefetchnta (%rdi)
	prefetchwt1 (%rdi)
	sarx %rax, (%rdi), %rcx
	rorx $3, (%rdi), %rcx
	rorx $3, var(%rip), %rcx
	mulx %rax, %rbx, %rcx
	andn %rax, %rbx, %rcx
	blsr %rax, %rbx
	bextr %rax, var(%rip), %rcx
	pextrq $1, %xmm0, %rax
	pinsrq $1, var(%rip), %xmm0
	extrq $1, $2, %xmm0
	insertq $1, $2, %xmm1, %xmm0
	str %ax
	ltr %ax
	sldt %eax
	lldt %ax
	lar %ax, %eax
	verw var(%rip)
	verw (%rdi)
	mov %cr0, %rax
	mov %rax, %cr3
	mov %rax, %cr8
	mov %db7, %rax
	movq %rax, %gs
	fninit
	fnstcw (%rdi)
	fwait
	emms
	outb %al, $0x80
	inb %dx, %al
	insb
	outsl
	xlatb
# VEX and EVEX
	vzeroupper
	vzeroall
	vmovdqa (%rdi), %ymm0
	vmovdqu var(%rip), %ymm0
	vpxor %ymm1, %ymm2, %ymm3
	vpshufd $1, var(%rip), %ymm0
	vpshufb var(%rip), %ymm1, %ymm2
	vpalignr $8, var(%rip), %ymm1, %ymm2
	vperm2i128 $1, var(%rip), %ymm1, %ymm2
	vpclmulqdq $1, %ymm0, %ymm1, %ymm2
	vpslld $3, %ymm0, %ymm1
	vpsrldq $3, %xmm0, %xmm1
	vpextrw $1, %xmm0, %eax
	vpinsrw $1, (%rdi), %xmm0, %xmm1
	vcmpps $1, %ymm0, %ymm1, %ymm2
	vshufps $1, %ymm0, %ymm1, %ymm2
	vpsllq $1, %zmm0, %zmm1
	vaesenc %zmm0, %zmm1, %zmm2
	vmovdqu64 (%rdi), %zmm0
	vmovdqu8 64(%rdi), %zmm0
	vmovdqa64 var(%rip), %zmm0
	vpermt2w %zmm0, %zmm1, %zmm2
	vpermt2w var(%rip), %zmm1, %zmm2
	vpternlogd $0x96, %zmm0, %zmm1, %zmm2
	vpternlogd $0x96, var(%rip), %zmm1, %zmm2
	vprold $7, %zmm0, %zmm1
	vpsrld $7, var(%rip), %zmm1
	vpshufbitqmb %zmm0, %zmm1, %k1
	vpcmpeqb %zmm0, %zmm1, %k1
	vpcmpb $3, %zmm0, %zmm1, %k1
	vextracti32x4 $1, %zmm0, %xmm1
	vinserti64x4 $1, var(%rip), %zmm1, %zmm2
	vbroadcasti32x4 var(%rip), %zmm2
	valignq $1, %zmm0, %zmm1, %zmm2
	vpaddd (%rdi){1to16}, %zmm1, %zmm2
	vmovdqu64 %zmm0, 0x1234(%rdi,%rax,8)
	vcvtps2ph $0, %ymm0, (%rdi)
	vaddph %zmm0, %zmm1, %zmm2
	vfmadd213ph %zmm0, %zmm1, %zmm2
	vgetexpph %zmm0, %zmm1
	vcmpph $1, %zmm0, %zmm1, %k1
	vreduceph $1, %zmm0, %zmm1
	vp2intersectd %zmm0, %zmm1, %k0
	kmovq %k1, %rax
	kmovq var(%rip), %k1
	kshiftlq $3, %k1, %k2
	kandq %k1, %k2, %k3
	kortestq %k1, %k2
	vmovd %xmm0, %eax
	vpinsrq $1, %rax, %xmm0, %xmm1
	vpextrq $1, %xmm0, %rax
	vgatherdps %ymm0, (%rdi,%ymm1,4), %ymm2
# branches of every form
	jmp insns
	jmp far_away
	call insns
	call far_away
	je insns
	jne far_away
	jmp *%rax
	call *%rax
	jmp *(%rax,%rbx,8)
	call *8(%rdi)
	.byte 0x2e
	jmp *%rax
	ret
	bnd ret
	rep ret
foo:
	nop
	xchg %ax, %ax
