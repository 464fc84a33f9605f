/*
 * Traps if an allocation fails. In linear memory, NULL is a valid address: a write through an
 * unchecked NULL would corrupt the memory of the plugin.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);

static void *checked(void *at, size_t size)
{
    if (at == NULL && size > 0) {
        fprintf(stderr, "out of memory: no %zu bytes can be had\n", size);
        abort();
    }
    return at;
}

void *__wrap_malloc(size_t size)
{
    return checked(__real_malloc(size), size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX;
    return checked(__real_calloc(count, size), bytes);
}

void *__wrap_realloc(void *old, size_t size)
{
    return checked(__real_realloc(old, size), size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return checked(__real_aligned_alloc(alignment, size), size);
}
