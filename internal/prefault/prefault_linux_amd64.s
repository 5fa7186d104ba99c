#include "textflag.h"

// func madvise(start, length, advice uintptr) (result int)
TEXT ·madvise(SB), NOSPLIT, $0-32
	MOVQ start+0(FP), DI
	MOVQ length+8(FP), SI
	MOVQ advice+16(FP), DX
	MOVQ $28, AX // SYS_madvise
	SYSCALL
	MOVQ AX, result+24(FP)
	RET
