/* A bump allocator: an allocation advances a position in the current block. A reset frees all
 * blocks except the first one, which is static. */
#include "mapper_arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The alignment of every type. */
#define ALIGNMENT ((size_t)16)
#define FIRST_BYTES ((size_t)64 << 10)

typedef struct block {
    struct block *before;
    _Alignas(16) char bytes[];
} block;

static _Alignas(16) char first[FIRST_BYTES];

static struct {
    char *at;
    size_t left;
    block *blocks;
} arena = {first, FIRST_BYTES, NULL};

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "out of memory: no %zu bytes can be had\n", size);
    abort();
}

static void add_block(size_t size)
{
    size_t bytes = size > FIRST_BYTES ? size : FIRST_BYTES;
    block *added = bytes > SIZE_MAX - sizeof(block) ? NULL : malloc(sizeof(block) + bytes);
    if (added == NULL)
        out_of_memory(size);
    added->before = arena.blocks;
    arena.blocks = added;
    arena.at = added->bytes;
    arena.left = bytes;
}

void *mapper_arena_take(size_t size)
{
    if (size > SIZE_MAX - ALIGNMENT)
        out_of_memory(size);
    /* An allocation of 0 bytes has an address of its own. */
    size_t taken = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (taken > arena.left)
        add_block(taken);
    void *at = arena.at;
    arena.at += taken;
    arena.left -= taken;
    return at;
}

void *mapper_arena_grow(void *old, size_t old_size, size_t size)
{
    void *grown = mapper_arena_take(size);
    if (old_size > 0)
        memcpy(grown, old, old_size < size ? old_size : size);
    return grown;
}

void *mapper_alloc(size_t size)
{
    return memset(mapper_arena_take(size), 0, size);
}

void mapper_reset(void)
{
    while (arena.blocks != NULL) {
        block *before = arena.blocks->before;
        free(arena.blocks);
        arena.blocks = before;
    }
    arena.at = first;
    arena.left = FIRST_BYTES;
}

mapper_bytes mapper_arena_print(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        return mapper_text(format);
    char *text = mapper_arena_take((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    return (mapper_bytes){text, (size_t)length};
}
