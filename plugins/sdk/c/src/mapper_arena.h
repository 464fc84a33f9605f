/** Memory that lasts for a call, within the SDK. */
#ifndef MAPPER_ARENA_H
#define MAPPER_ARENA_H

#include <stdarg.h>

#include "mapper.h"

/** As mapper_alloc, but for the zeros. */
void *mapper_arena_take(size_t size);

/** As much memory with what the old had in it; the old is of no use any more. */
void *mapper_arena_grow(void *old, size_t old_size, size_t size);

/** Text made as vprintf makes it, with a NUL behind it. */
mapper_bytes mapper_arena_print(const char *format, va_list arguments);

#endif
