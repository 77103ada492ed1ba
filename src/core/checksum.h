/* A checksum that tells damage: 64 bits, in four lanes of eight bytes a step, so that a processor works at all of them at
 * once.  Each step is a bijection of its lane, and the lanes are folded in by steps, so a change of one word always shows;
 * it is no protection against somebody who wants a collision. */
#ifndef LATEBIND_CHECKSUM_H
#define LATEBIND_CHECKSUM_H

#include <stdint.h>
#include <string.h>

static inline uint64_t lb_checksum_step(uint64_t state, uint64_t word)
{
    state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15); /* odd, so that it has an inverse; 2**64 by the golden ratio */
    return state ^ state >> 29;
}

static inline uint64_t lb_checksum(const void *data, uint64_t size, uint64_t seed)
{
    uint64_t words[4], state = lb_checksum_step(seed, size);
    uint64_t a = lb_checksum_step(state, 0), b = lb_checksum_step(state, 1); /* in registers: no array */
    uint64_t c = lb_checksum_step(state, 2), d = lb_checksum_step(state, 3);
    const unsigned char *at = data;
    for (; size >= sizeof words; at += sizeof words, size -= sizeof words) {
        memcpy(words, at, sizeof words);
        a = lb_checksum_step(a, words[0]);
        b = lb_checksum_step(b, words[1]);
        c = lb_checksum_step(c, words[2]);
        d = lb_checksum_step(d, words[3]);
    }
    memset(words, 0, sizeof words);
    memcpy(words, at, size);
    state = lb_checksum_step(lb_checksum_step(state, lb_checksum_step(a, words[0])), lb_checksum_step(b, words[1]));
    return lb_checksum_step(lb_checksum_step(state, lb_checksum_step(c, words[2])), lb_checksum_step(d, words[3]));
}

#endif
