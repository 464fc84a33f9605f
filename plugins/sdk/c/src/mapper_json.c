/* yyjson with the memory of the call. */
#include "mapper_json.h"

#include <stdio.h>
#include <stdlib.h>

#include "mapper_arena.h"

static void *take(void *context, size_t size)
{
    (void)context;
    return mapper_arena_take(size);
}

static void *grow(void *context, void *old, size_t old_size, size_t size)
{
    (void)context;
    return mapper_arena_grow(old, old_size, size);
}

static void keep(void *context, void *at)
{
    (void)context;
    (void)at;
}

static const yyjson_alc MEMORY = {take, grow, keep, NULL};

yyjson_val *mapper_json_read(mapper_bytes json, yyjson_read_flag flags, mapper_error *error)
{
    yyjson_read_err failed;
    /* With YYJSON_READ_INSITU yyjson would write to the bytes of the caller. */
    flags &= ~YYJSON_READ_INSITU;
    yyjson_doc *document =
        yyjson_read_opts((char *)(uintptr_t)json.at, json.length, flags, &MEMORY, &failed);
    *error = document != NULL ? NULL : mapper_failed("%s at byte %zu", failed.msg, failed.pos);
    return yyjson_doc_get_root(document);
}

yyjson_val *mapper_json_get(yyjson_val *object, const char *name)
{
    yyjson_val *found = NULL;
    yyjson_obj_iter members = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&members)) != NULL;) {
        if (yyjson_equals_str(key, name))
            found = yyjson_obj_iter_get_val(key);
    }
    return found;
}

mapper_bytes mapper_json_text(yyjson_val *value)
{
    return (mapper_bytes){yyjson_get_str(value), yyjson_is_str(value) ? yyjson_get_len(value) : 0};
}

yyjson_mut_doc *mapper_json_new(void)
{
    return yyjson_mut_doc_new(&MEMORY);
}

mapper_bytes mapper_json_write(const yyjson_mut_doc *document)
{
    yyjson_write_err failed;
    size_t length;
    const char *json =
        yyjson_mut_write_opts(document, YYJSON_WRITE_NOFLAG, &MEMORY, &length, &failed);
    if (json == NULL) {
        fprintf(stderr, "this can't be written as JSON: %s\n", failed.msg);
        abort();
    }
    return (mapper_bytes){json, length};
}
