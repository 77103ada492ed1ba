/* A checksum that tells damage: 64 bits, eight bytes a step.  Each step is a bijection of the state, so a change of one
 * word always shows; it is no protection against somebody who wants a collision. */
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
    uint64_t state = lb_checksum_step(seed, size), word;
    const unsigned char *at = data;
    for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        state = lb_checksum_step(state, word);
    }
    word = 0;
    memcpy(&word, at, size);
    return lb_checksum_step(state, word);
}

#endif
