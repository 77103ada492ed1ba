/* See kept.h. */
#include "kept.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "checksum.h"

const char *lb_kept_read(const uint8_t *data, size_t size, uint32_t version, struct lb_entry *kept)
{
    struct lb_kept_header header;
    if (size < sizeof header)
        return "is cut off: it is shorter than a header";
    memcpy(&header, data, sizeof header);
    if (memcmp(header.magic, LB_KEPT_MAGIC, sizeof header.magic) != 0)
        return "does not begin with the mark of a kept plan";
    if (header.version != version)
        return "has the format of another version of latebind";
    uint64_t at = kept->bounds[0] = sizeof header;
    for (int part = 0; part < LB_KEPT_PARTS; part++) {
        if (header.sizes[part] > size - at)
            return "is cut off: its header speaks of more bytes";
        at = kept->bounds[part + 1] = at + header.sizes[part];
    }
    if (at != size)
        return "has more bytes than its header speaks of";
    const uint64_t sum = header.checksum;
    header.checksum = 0;
    if (lb_checksum(data + sizeof header, size - sizeof header, lb_checksum(&header, sizeof header, 0)) != sum)
        return "does not agree with its checksum";
    return NULL;
}

int lb_kept_path(char *path, size_t room, const char *folder, const char *question, size_t size)
{
    return snprintf(path, room, "%s/%016llx.plan", folder, (unsigned long long)lb_checksum(question, size, 0));
}

void lb_identify(const char *path, int64_t identity[4])
{
    struct stat status;
    identity[0] = identity[1] = identity[2] = identity[3] = -1;
    if (stat(path, &status) < 0)
        return;
    const bool is_folder = S_ISDIR(status.st_mode);
    identity[0] = (int64_t)status.st_dev;
    identity[1] = (int64_t)status.st_ino;
    identity[2] = is_folder ? 0 : (int64_t)status.st_size;
    identity[3] = is_folder ? 0 : (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
}

int64_t lb_first_change(const uint8_t *evidence, size_t size)
{
    const uint8_t *at = evidence, *end = evidence + size;
    for (int64_t number = 0; at != end; number++) {
        int64_t then[4], now[4];
        const uint8_t *path = at + sizeof then;
        const uint8_t *stop = (size_t)(end - at) > sizeof then ? memchr(path, 0, (size_t)(end - path)) : NULL;
        if (stop == NULL)
            return LB_NO_EVIDENCE;
        memcpy(then, at, sizeof then);
        lb_identify((const char *)path, now);
        if (memcmp(then, now, sizeof then) != 0)
            return number;
        at = stop + 1;
    }
    return LB_NO_CHANGE;
}
