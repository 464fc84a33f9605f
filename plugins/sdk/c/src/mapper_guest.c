/*
 * The exports and imports of the world `mapper` (wit/mapper.wit), as the component model's
 * canonical ABI lays them out. In a unit test there is no host, and only the log remains.
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

/* Of a tag only one byte is written; what follows it is aligned. */
typedef struct optional {
    uint8_t tag;
    list bytes;
} optional;

typedef struct header {
    list name;
    optional value;
} header;

/* In the order of the contract. */
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

/* What the last call was given and returned is of no use any more. */
static bool is_over;

static void begin(void)
{
    if (is_over) {
        mapper_reset();
        is_over = false;
    }
}

EXPORT("cabi_realloc")
void *mapper_cabi_realloc(void *old, size_t old_size, size_t alignment, size_t size)
{
    (void)alignment;
    begin();
    return mapper_arena_grow(old, old_size, size);
}

/* What the adapter of WASI asks for is its own, for good. */
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

static mapper_bytes take(list bytes)
{
    return (mapper_bytes){bytes.length > 0 ? bytes.at : "", bytes.length};
}

static mapper_bytes take_optional(uint8_t tag, list bytes)
{
    return tag == 0 ? MAPPER_NULL : take(bytes);
}

static list give(mapper_bytes bytes)
{
    return (list){bytes.at, bytes.length};
}

static list give_text(mapper_bytes text)
{
    return give(mapper_utf8(text));
}

static result *give_result(mapper_error error, list ok)
{
    static result given;
    given = error == NULL ? (result){0, ok} : (result){1, give_text(mapper_text(error))};
    is_over = true;
    return &given;
}

EXPORT("mapper-host:mapper/plugin@1.0.0#describe")
list *mapper_export_describe(void)
{
    static list info[2];
    begin();
    info[0] = give_text(mapper_text(mapper.name));
    info[1] = give_text(mapper_text(mapper.version));
    is_over = true;
    return info;
}

static const char *last(list text)
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
        items[i] = (mapper_setting){last(pairs[i][0]), last(pairs[i][1])};
        if (strlen(items[i].value) != pairs[i][1].length)
            return mapper_failed("the setting '%s' has a NUL in it, which a text in C can't have",
                                 items[i].key);
    }
    mapper_settings settings = {items, count};
    return mapper.configure != NULL ? mapper.configure(&settings) : mapper_only(&settings, NULL);
}

EXPORT("mapper-host:mapper/plugin@1.0.0#configure")
result *mapper_export_configure(const list (*pairs)[2], size_t count)
{
    begin();
    return give_result(configure(pairs, count), (list){NULL, 0});
}

static bool is_same(mapper_bytes one, mapper_bytes other)
{
    return one.at == other.at && one.length == other.length;
}

static optional give_content(mapper_bytes bytes, mapper_bytes of_input)
{
    if (is_same(bytes, of_input))
        return (optional){KEEP, {NULL, 0}};
    return mapper_is_null(bytes) ? (optional){NIL, {NULL, 0}} : (optional){BYTES, give(bytes)};
}

static optional give_headers(const mapper_output *from)
{
    header *headers = mapper_arena_take(from->header_count * sizeof(*headers));
    for (size_t i = 0; i < from->header_count; i++) {
        mapper_bytes value = from->headers[i].value;
        headers[i] =
            (header){give_text(from->headers[i].name), {!mapper_is_null(value), give(value)}};
    }
    return (optional){1, {headers, from->header_count}};
}

static output give_output(const mapper_output *from, const mapper_record *record)
{
    output to = {.key = give_content(from->key, record->key),
                 .value = give_content(from->value, record->value)};
    if (!mapper_is_null(from->topic))
        to.topic = (optional){1, give_text(from->topic)};
    if (from->headers != record->headers || from->header_count != record->header_count)
        to.headers = give_headers(from);
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
        return give_result(error, (list){NULL, 0});
    output *given = mapper_arena_take(outputs.count * sizeof(*given));
    size_t count = 0;
    for (const mapper_output *from = outputs.first; from != NULL; from = from->next) {
        if (from->timestamp_ms < 0 && from->timestamp_ms != record->timestamp_ms) {
            const char *words = "the timestamp of an output is %lld, but it may not be negative";
            return give_result(mapper_failed(words, (long long)from->timestamp_ms),
                               (list){NULL, 0});
        }
        given[count++] = give_output(from, record);
    }
    return give_result(NULL, (list){given, count});
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
        taken[i] = (mapper_header){take(headers[i].name),
                                   take_optional(headers[i].value.tag, headers[i].value.bytes)};
    mapper_record record = {
        .key = take_optional(has_key != 0, (list){key, key_length}),
        .value = take_optional(has_value != 0, (list){value, value_length}),
        .headers = taken,
        .header_count = header_count,
        .timestamp_ms = timed != 0 ? timestamp_ms : MAPPER_NO_TIMESTAMP,
        .topic = take((list){topic, topic_length}),
        .partition = partition,
        .offset = offset,
    };
    return process(&record);
}

#endif
