#include "textflag.h"

// func madvise(start, length, advice uintptr) (result int)
TEXT ·madvise(SB), NOSPLIT, $0-32
	MOVD start+0(FP), R0
	MOVD length+8(FP), R1
	MOVD advice+16(FP), R2
	MOVD $233, R8 // SYS_madvise
	SVC
	MOVD R0, result+24(FP)
	RET
