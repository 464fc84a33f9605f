/*
 * The exports and imports of the world `mapper` (wit/mapper.wit), in the memory layout of the
 * canonical ABI (https://github.com/WebAssembly/component-model, design/mvp/CanonicalABI.md). A
 * native build, as for unit tests, has only the log.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mapper_arena.h"
#include "mapper_utf8.h"

static void log_line(mapper_level level, mapper_bytes line);

void mapper_log(mapper_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line(level, mapper_arena_print(format, arguments));
    va_end(arguments);
}

#ifndef __wasm__

static void log_line(mapper_level level, mapper_bytes line)
{
    (void)level;
    fprintf(stderr, "%.*s\n", MAPPER_ARGS(line));
}

#else

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

typedef struct list {
    const void *at;
    size_t length;
} list;

/* The host writes one byte of the tag. */
typedef struct optional {
    uint8_t tag;
    list bytes;
} optional;

typedef struct header {
    list name;
    optional value;
} header;

/* The cases of `content`, in the order of the contract. */
enum content { KEEP, NIL, BYTES };

typedef struct output {
    optional topic;
    optional key;
    optional value;
    optional headers;
    uint8_t timed;
    int64_t timestamp_ms;
} output;

/* A result<_, string> or a result<list<output>, string>. */
typedef struct result {
    uint8_t failed;
    list list;
} result;

IMPORT("mapper-host:mapper/logging@1.0.0", "log")
void host_log(int32_t level, const void *at, size_t length);

static void log_line(mapper_level level, mapper_bytes line)
{
    mapper_bytes text = mapper_utf8(line);
    host_log((int32_t)level, text.at, text.length);
}

/* The host has read the results of the last call: its memory can be used again. */
static bool is_complete;

static void begin(void)
{
    if (is_complete) {
        mapper_reset();
        is_complete = false;
    }
}

EXPORT("cabi_realloc")
void *mapper_cabi_realloc(void *old, size_t old_size, size_t alignment, size_t size)
{
    (void)alignment;
    begin();
    return mapper_arena_grow(old, old_size, size);
}

/* The memory of the WASI adapter is never freed. */
EXPORT("cabi_realloc_adapter")
void *mapper_cabi_realloc_adapter(void *old, size_t old_size, size_t alignment, size_t size)
{
    (void)old_size;
    void *at = old == NULL
                   ? aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                   : NULL;
    if (at == NULL)
        abort();
    return at;
}

static mapper_bytes lift(list bytes)
{
    return (mapper_bytes){bytes.length > 0 ? bytes.at : "", bytes.length};
}

static mapper_bytes lift_optional(uint8_t tag, list bytes)
{
    return tag == 0 ? MAPPER_NULL : lift(bytes);
}

static list lower(mapper_bytes bytes)
{
    return (list){bytes.at, bytes.length};
}

static list lower_text(mapper_bytes text)
{
    return lower(mapper_utf8(text));
}

static result *lower_result(mapper_error error, list ok)
{
    static result given;
    given = error == NULL ? (result){0, ok} : (result){1, lower_text(mapper_text(error))};
    is_complete = true;
    return &given;
}

EXPORT("mapper-host:mapper/plugin@1.0.0#describe")
list *mapper_export_describe(void)
{
    static list info[2];
    begin();
    info[0] = lower_text(mapper_text(mapper.name));
    info[1] = lower_text(mapper_text(mapper.version));
    is_complete = true;
    return info;
}

static const char *copy_text(list text)
{
    char *copied = malloc(text.length + 1);
    if (copied == NULL)
        abort();
    memcpy(copied, text.at, text.length);
    copied[text.length] = '\0';
    return copied;
}

static mapper_error configure(const list (*pairs)[2], size_t count)
{
    mapper_setting *items = calloc(count + 1, sizeof(*items));
    if (items == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        items[i] = (mapper_setting){copy_text(pairs[i][0]), copy_text(pairs[i][1])};
        if (strlen(items[i].value) != pairs[i][1].length)
            return mapper_failed("the setting '%s' has a NUL, which ends a text in C",
                                 items[i].key);
    }
    mapper_settings settings = {items, count};
    return mapper.configure != NULL ? mapper.configure(&settings) : mapper_only(&settings, NULL);
}

EXPORT("mapper-host:mapper/plugin@1.0.0#configure")
result *mapper_export_configure(const list (*pairs)[2], size_t count)
{
    begin();
    return lower_result(configure(pairs, count), (list){NULL, 0});
}

static bool is_same(mapper_bytes one, mapper_bytes other)
{
    return one.at == other.at && one.length == other.length;
}

static optional lower_content(mapper_bytes bytes, mapper_bytes of_input)
{
    if (is_same(bytes, of_input))
        return (optional){KEEP, {NULL, 0}};
    return mapper_is_null(bytes) ? (optional){NIL, {NULL, 0}} : (optional){BYTES, lower(bytes)};
}

static optional lower_headers(const mapper_output *from)
{
    header *headers = mapper_arena_take(from->header_count * sizeof(*headers));
    for (size_t i = 0; i < from->header_count; i++) {
        mapper_bytes value = from->headers[i].value;
        headers[i] =
            (header){lower_text(from->headers[i].name), {!mapper_is_null(value), lower(value)}};
    }
    return (optional){1, {headers, from->header_count}};
}

static output lower_output(const mapper_output *from, const mapper_record *record)
{
    output to = {.key = lower_content(from->key, record->key),
                 .value = lower_content(from->value, record->value)};
    if (!mapper_is_null(from->topic))
        to.topic = (optional){1, lower_text(from->topic)};
    if (from->headers != record->headers || from->header_count != record->header_count)
        to.headers = lower_headers(from);
    if (from->timestamp_ms != record->timestamp_ms) {
        to.timed = 1;
        to.timestamp_ms = from->timestamp_ms;
    }
    return to;
}

static result *process(const mapper_record *record)
{
    mapper_outputs outputs = {.record = record};
    mapper_error error = mapper.map(record, &outputs);
    if (error != NULL)
        return lower_result(error, (list){NULL, 0});
    output *given = mapper_arena_take(outputs.count * sizeof(*given));
    size_t count = 0;
    for (const mapper_output *from = outputs.first; from != NULL; from = from->next) {
        if (from->timestamp_ms < 0 && from->timestamp_ms != record->timestamp_ms) {
            const char *words = "the timestamp of an output is %lld, but it may not be negative";
            return lower_result(mapper_failed(words, (long long)from->timestamp_ms),
                                (list){NULL, 0});
        }
        given[count++] = lower_output(from, record);
    }
    return lower_result(NULL, (list){given, count});
}

EXPORT("mapper-host:mapper/record-mapper@1.0.0#process")
result *mapper_export_process(const void *topic, size_t topic_length, int32_t partition,
                              int64_t offset, int32_t timed, int64_t timestamp_ms, int32_t has_key,
                              const void *key, size_t key_length, int32_t has_value,
                              const void *value, size_t value_length, const header *headers,
                              size_t header_count)
{
    begin();
    mapper_header *taken = mapper_arena_take(header_count * sizeof(*taken));
    for (size_t i = 0; i < header_count; i++)
        taken[i] = (mapper_header){lift(headers[i].name),
                                   lift_optional(headers[i].value.tag, headers[i].value.bytes)};
    mapper_record record = {
        .key = lift_optional(has_key != 0, (list){key, key_length}),
        .value = lift_optional(has_value != 0, (list){value, value_length}),
        .headers = taken,
        .header_count = header_count,
        .timestamp_ms = timed != 0 ? timestamp_ms : MAPPER_NO_TIMESTAMP,
        .topic = lift((list){topic, topic_length}),
        .partition = partition,
        .offset = offset,
    };
    return process(&record);
}

#endif
