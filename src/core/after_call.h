/* Whether a code address is one that a call returns to, from the instruction before it; one function per machine. */
#ifndef LATEBIND_AFTER_CALL_H
#define LATEBIND_AFTER_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

/* Bytes of "call r/m64" (FF /2; Intel SDM volume 2, tables 2-2 and 2-3), from its opcode on. */
static inline int lb_indirect_call_size(const unsigned char *code)
{
    int mode = code[1] >> 6, rm = code[1] & 7, sib = mode != 3 && rm == 4;
    int displacement = mode == 1 ? 1 : mode == 2 || (mode == 0 && (rm == 5 || (sib && (code[2] & 7) == 5))) ? 4 : 0;
    return 2 + sib + displacement;
}

/* The eight bytes before `address` are readable. */
static inline bool lb_is_after_call(const void *address)
{
    const unsigned char *at = address;
    if (at[-5] == 0xe8) /* call rel32 */
        return true;
    for (int size = 2; size <= 7; size++)
        if (at[-size] == 0xff && (at[1 - size] >> 3 & 7) == 2 && lb_indirect_call_size(at - size) == size)
            return true;
    return false;
}

#elif defined(__aarch64__)

/* BL, BLR and BLRAA to BLRABZ (Arm ARM C4.1, "Branches, Exception Generating and System instructions"). */
static inline bool lb_is_after_call(const void *address)
{
    uint32_t code;
    if ((uintptr_t)address % 4 != 0)
        return false;
    memcpy(&code, (const unsigned char *)address - 4, sizeof code);
    return (code & 0xfc000000) == 0x94000000 || (code & 0xfffffc1f) == 0xd63f0000 || (code & 0xfefff800) == 0xd63f0800;
}

#endif

#endif
