/* A guest that does what its records say, as ../commands.rs does. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mapper.h"
#include "mapper_utf8.h"

/* As large as four stacks: who runs over the end of the stack must not end up in here unseen. */
static volatile char data[4 << 20];

static mapper_error configure(const mapper_settings *settings)
{
    const char *greeting = mapper_get(settings, "greeting");
    if (greeting != NULL && greeting[0] == '\0')
        return "an empty greeting";
    return mapper_only(settings, "greeting", NULL);
}

static const char *hex(mapper_bytes bytes)
{
    if (mapper_is_null(bytes))
        return "null";
    char *text = mapper_alloc(2 * bytes.length + 1);
    for (size_t i = 0; i < bytes.length; i++)
        sprintf(text + 2 * i, "%02x", (unsigned char)bytes.at[i]);
    return text;
}

static mapper_bytes see(const mapper_record *record)
{
    char timestamp[24] = "none";
    if (record->timestamp_ms != MAPPER_NO_TIMESTAMP)
        snprintf(timestamp, sizeof(timestamp), "%" PRId64, record->timestamp_ms);
    mapper_bytes seen = mapper_format("%.*s/%" PRId32 "@%" PRId64 " %s %s %s",
                                      MAPPER_ARGS(record->topic), record->partition, record->offset,
                                      timestamp, hex(record->key), hex(record->value));
    for (size_t i = 0; i < record->header_count; i++) {
        const mapper_header *header = &record->headers[i];
        seen = mapper_format("%.*s %.*s=%s", MAPPER_ARGS(seen), MAPPER_ARGS(header->name),
                             hex(header->value));
    }
    return seen;
}

/* A KiB a step, and no further than three stacks. */
__attribute__((noinline)) static int recurse(int depth, volatile char *before)
{
    volatile char step[1024];
    step[depth % 1024] = before[0];
    return depth == 3 << 10 ? data[depth] : recurse(depth + 1, step) + step[0];
}

__attribute__((noinline)) static void hoard(void)
{
    for (;;) {
        volatile char *more = malloc(1 << 20);
        more[0] = 1;
    }
}

static int few[4];
static int *volatile nothing = NULL;
static volatile size_t behind = 4;

static void three(mapper_outputs *outputs)
{
    mapper_output *one = mapper_add(outputs);
    mapper_output *two = mapper_add(outputs);
    mapper_output *other = mapper_add(outputs);
    one->value = mapper_text("one");
    two->key = mapper_text("k");
    two->timestamp_ms = 7;
    mapper_clear_headers(two);
    other->topic = mapper_text("other");
}

static void headers(mapper_output *out)
{
    mapper_clear_headers(out);
    mapper_add_header(out, mapper_text("a"), mapper_text("1"));
    mapper_add_header(out, mapper_text("a"), MAPPER_NULL);
    mapper_add_header(out, mapper_text(""), mapper_text("\xff"));
}

static mapper_error map(const mapper_record *record, mapper_outputs *outputs)
{
    mapper_bytes value = record->value;
    if (mapper_is_null(value))
        return "no value";
    if (mapper_utf8(value).at != value.at)
        return "not UTF-8";
    const char *space = memchr(value.at, ' ', value.length);
    mapper_bytes word = value, rest = mapper_text("");
    if (space != NULL) {
        word.length = (size_t)(space - value.at);
        rest = (mapper_bytes){space + 1, value.length - word.length - 1};
    }
    if (mapper_equals(word, "skip"))
        return NULL;
    if (mapper_equals(word, "reject"))
        return mapper_failed("%.*s", MAPPER_ARGS(rest));
    if (mapper_equals(word, "three")) {
        three(outputs);
        return NULL;
    }
    mapper_output *out = mapper_add(outputs);
    if (mapper_equals(word, "value"))
        out->value = rest;
    else if (mapper_equals(word, "tombstone"))
        out->value = MAPPER_NULL;
    else if (mapper_equals(word, "key"))
        out->key = rest;
    else if (mapper_equals(word, "null-key"))
        out->key = MAPPER_NULL;
    else if (mapper_equals(word, "topic"))
        out->topic = rest;
    else if (mapper_equals(word, "time"))
        out->timestamp_ms = strtoll(mapper_format("%.*s", MAPPER_ARGS(rest)).at, NULL, 10);
    else if (mapper_equals(word, "headers"))
        headers(out);
    else if (mapper_equals(word, "no-headers"))
        mapper_clear_headers(out);
    else if (mapper_equals(word, "see"))
        out->value = see(record);
    else if (mapper_equals(word, "panic")) {
        fprintf(stderr, "%.*s\n", MAPPER_ARGS(rest));
        abort();
    } else if (mapper_equals(word, "recurse"))
        out->value = mapper_format("%d", recurse(0, data));
    else if (mapper_equals(word, "spin"))
        for (volatile bool forever = true; forever;)
            continue;
    else if (mapper_equals(word, "allocate"))
        hoard();
    else if (mapper_equals(word, "memory"))
        out->value = mapper_format("%zu pages", __builtin_wasm_memory_size(0));
    else if (mapper_equals(word, "hoard"))
        for (;;)
            mapper_alloc(1 << 20);
    else if (mapper_equals(word, "null"))
        *nothing = 1;
    else if (mapper_equals(word, "say")) {
        printf("%.*s\n", MAPPER_ARGS(rest));
        abort();
    } else if (mapper_equals(word, "beyond"))
        few[behind] = 1;
    else if (mapper_equals(word, "assert"))
        assert(1 + 1 == 3);
    else if (mapper_equals(word, "exit"))
        exit(3);
    else if (mapper_equals(word, "print"))
        printf("%.*s\n", MAPPER_ARGS(rest));
    else if (mapper_equals(word, "log"))
        mapper_log(MAPPER_INFO, "%.*s", MAPPER_ARGS(rest));
    else if (!mapper_equals(word, "keep"))
        return mapper_failed("unknown command %.*s", MAPPER_ARGS(word));
    return NULL;
}

const mapper_plugin mapper = {
    .name = "commands_c", .version = "0.1.0", .configure = configure, .map = map};
