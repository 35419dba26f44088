#include "textflag.h"

// func noteSignal()
//
// The kernel calls it as void handler(int signal, ...) of C, and restores all registers.
TEXT ·noteSignal(SB),NOSPLIT|NOFRAME,$0
	MOVD	$1, R1
	LSL	R0, R1, R1
	MOVD	$·noted(SB), R2
again:
	LDAXRW	(R2), R3
	ORRW	R1, R3, R3
	STLXRW	R3, (R2), R4
	CBNZ	R4, again
	RET

DATA ·noteSignalAddr(SB)/8, $·noteSignal(SB)
GLOBL ·noteSignalAddr(SB), NOPTR, $8
