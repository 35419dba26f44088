#include "textflag.h"

// func noteSignal()
//
// The kernel calls it as void handler(int signal, ...) of C, and restores all registers.
TEXT ·noteSignal(SB),NOSPLIT|NOFRAME,$0
	MOVL	DI, CX
	MOVL	$1, AX
	SHLL	CX, AX
	LOCK
	ORL	AX, ·noted(SB)
	RET

DATA ·noteSignalAddr(SB)/8, $·noteSignal(SB)
GLOBL ·noteSignalAddr(SB), NOPTR, $8
