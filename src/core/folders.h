/* The folders that were compiled into a dynamic linker, found in the bytes of its file. */
#ifndef LATEBIND_FOLDERS_H
#define LATEBIND_FOLDERS_H

#include <stdint.h>

/* Where in `size` bytes of `data` the longest row of strings begins that all look like folders of libraries ("/…lib…/"),
 * and how long it is: with the NULs between them, without the last one.  0 where no two stand side by side. */
uint64_t lb_folder_row(const uint8_t *data, uint64_t size, uint64_t *start);

#endif
