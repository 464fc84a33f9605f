/** Memory that is valid until the call ends. Internal to the SDK. */
#ifndef MAPPER_ARENA_H
#define MAPPER_ARENA_H

#include <stdarg.h>

#include "mapper.h"

/** Returns memory as mapper_alloc does, without the zeros. */
void *mapper_arena_take(size_t size);

/** Returns memory with the content of `old`, which must not be used any more. Sizes are in bytes.
 */
void *mapper_arena_grow(void *old, size_t old_size, size_t size);

/** Returns a text that is formatted as by vprintf. A NUL follows its last byte. */
mapper_bytes mapper_arena_print(const char *format, va_list arguments);

#endif
