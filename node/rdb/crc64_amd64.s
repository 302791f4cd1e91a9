#include "textflag.h"

// FOLD moves the remainder in x on, by as many bytes as the powers in X8 are for. It
// uses X9.
#define FOLD(x) \
	MOVO      x, X9         \
	PCLMULQDQ $0x00, X8, x  \
	PCLMULQDQ $0x11, X8, X9 \
	PXOR      X9, x

// func foldBlocks(crc uint64, p *byte, n int, by *[2][2]uint64) (first, second uint64)
TEXT ·foldBlocks(SB), NOSPLIT, $0-48
	MOVQ  crc+0(FP), X0
	MOVQ  p+8(FP), SI
	MOVQ  n+16(FP), CX
	MOVQ  by+24(FP), DI
	MOVOU (SI), X1
	MOVOU 16(SI), X2
	MOVOU 32(SI), X3
	MOVOU 48(SI), X4
	PXOR  X0, X1
	MOVOU (DI), X8

four:
	ADDQ  $64, SI
	SUBQ  $64, CX
	CMPQ  CX, $64
	JLT   join
	FOLD(X1)
	FOLD(X2)
	FOLD(X3)
	FOLD(X4)
	MOVOU (SI), X10
	MOVOU 16(SI), X11
	MOVOU 32(SI), X12
	MOVOU 48(SI), X13
	PXOR  X10, X1
	PXOR  X11, X2
	PXOR  X12, X3
	PXOR  X13, X4
	JMP   four

join:
	MOVOU 16(DI), X8
	FOLD(X1)
	PXOR  X1, X2
	FOLD(X2)
	PXOR  X2, X3
	FOLD(X3)
	PXOR  X3, X4

one:
	CMPQ  CX, $16
	JLT   done
	FOLD(X4)
	MOVOU (SI), X10
	PXOR  X10, X4
	ADDQ  $16, SI
	SUBQ  $16, CX
	JMP   one

done:
	MOVQ   X4, first+32(FP)
	PSRLDQ $8, X4
	MOVQ   X4, second+40(FP)
	RET
