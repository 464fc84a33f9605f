/**
 * The SDK for mappers of mapper-host: a mapper is a function from a record to the records to
 * produce.
 *
 *     static mapper_error map(const mapper_record *record, mapper_outputs *outputs)
 *     {
 *         mapper_output *output = mapper_add(outputs);
 *         output->value = mapper_format("%zu bytes", record->value.length);
 *         return NULL;
 *     }
 *
 *     const mapper_plugin mapper = {.name = "measure", .version = "0.1.0", .map = map};
 *
 * Memory that the functions here return, and the record, are valid until the call ends. The mapper
 * frees nothing. If there is no memory left, the functions do not return: the call is a trap.
 */
#ifndef MAPPER_H
#define MAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MAPPER_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define MAPPER_SENTINEL __attribute__((sentinel))
#else
#define MAPPER_PRINTF(text, first)
#define MAPPER_SENTINEL
#endif

/** An error message, in UTF-8. NULL is success. */
typedef const char *mapper_error;

/** Bytes, without a NUL at their end. */
typedef struct mapper_bytes {
    /** NULL is Kafka's null. It differs from no bytes. */
    const char *at;
    /** In bytes. */
    size_t length;
} mapper_bytes;

/** Kafka's null. As a value it is a tombstone (https://kafka.apache.org/documentation/#compaction).
 */
#define MAPPER_NULL ((mapper_bytes){NULL, 0})

/** The two arguments of "%.*s". Kafka's null is printed as an empty text. */
#define MAPPER_ARGS(bytes) ((int)(bytes).length), ((bytes).at != NULL ? (bytes).at : "")

/** Returns whether the bytes are Kafka's null. */
static inline bool mapper_is_null(mapper_bytes bytes)
{
    return bytes.at == NULL;
}

/** Returns the bytes of a text, without a copy and without the NUL. For NULL it returns
 * MAPPER_NULL. */
mapper_bytes mapper_text(const char *text);

/** Returns a text that is formatted as by printf. A NUL follows its last byte. */
mapper_bytes mapper_format(const char *format, ...) MAPPER_PRINTF(1, 2);

/** Returns whether the bytes are those of the text. Kafka's null equals no text. */
bool mapper_equals(mapper_bytes bytes, const char *text);

/** A header of a record. A name may occur more than once, and the order of the headers counts. */
typedef struct mapper_header {
    /** In UTF-8. The host puts U+FFFD in the place of other bytes. */
    mapper_bytes name;
    /** May be MAPPER_NULL. */
    mapper_bytes value;
} mapper_header;

/** The timestamp of a record without one. */
#define MAPPER_NO_TIMESTAMP ((int64_t)-1)

/** A record of the input topic. */
typedef struct mapper_record {
    /** May be MAPPER_NULL. */
    mapper_bytes key;
    /** MAPPER_NULL is a tombstone. */
    mapper_bytes value;
    /** In the order in which the producer wrote them. */
    const mapper_header *headers;
    size_t header_count;
    /** Milliseconds since 1970-01-01T00:00:00Z, or MAPPER_NO_TIMESTAMP. */
    int64_t timestamp_ms;
    /** Topic, partition and offset are the position that the host read the record from. */
    mapper_bytes topic;
    int32_t partition;
    int64_t offset;
} mapper_record;

/** Returns the last header with this name, as Headers.lastHeader of Kafka's Java client does. NULL
 * if there is none. */
const mapper_header *mapper_find_header(const mapper_record *record, const char *name);

/** A record to produce. mapper_add makes it equal to the input record; the mapper sets the parts
 * that differ. */
typedef struct mapper_output {
    /** One that the host was started with (--output-topic, --extra-topic). Any other fails the
     * record with invalid-output. MAPPER_NULL, the initial value, is the default output topic. */
    mapper_bytes topic;
    mapper_bytes key;
    mapper_bytes value;
    const mapper_header *headers;
    size_t header_count;
    /** Milliseconds since 1970-01-01T00:00:00Z. Kafka has no negative timestamps: one fails the
     * record, unless it is the MAPPER_NO_TIMESTAMP of the input record. */
    int64_t timestamp_ms;
    struct mapper_output *next;
} mapper_output;

/** The records to produce, in their order. In a unit test: mapper_outputs outputs = {.record =
 * &record}; */
typedef struct mapper_outputs {
    const mapper_record *record;
    mapper_output *first;
    mapper_output *last;
    size_t count;
} mapper_outputs;

/** Adds a record to produce. Its address does not change when others are added. */
mapper_output *mapper_add(mapper_outputs *outputs);

/** Removes all headers of an output, those of the input record, too. */
void mapper_clear_headers(mapper_output *output);

/** Adds a header to an output, after the headers that it has. */
void mapper_add_header(mapper_output *output, mapper_bytes name, mapper_bytes value);

/** Returns an error message that is formatted as by printf. */
mapper_error mapper_failed(const char *format, ...) MAPPER_PRINTF(1, 2);

/** Returns memory that is filled with zeros, aligned for every type and valid until the call ends.
 * size: in bytes, 0 is allowed. Never NULL: without memory the call is a trap. */
void *mapper_alloc(size_t size);

/** Frees the memory of the last call. For unit tests: in a plugin the SDK calls it. */
void mapper_reset(void);

/** The severity of a line of the log. */
typedef enum mapper_level {
    MAPPER_TRACE,
    MAPPER_DEBUG,
    MAPPER_INFO,
    MAPPER_WARN,
    MAPPER_ERROR
} mapper_level;

/**
 * Writes a line to the log of the host, with the topic, partition and offset of the current record.
 * The host cuts a line after 8 KiB (wit/mapper.wit). Lines on stdout (level info) and stderr (level
 * warn) are logged, too. In a unit test the line goes to stderr.
 */
void mapper_log(mapper_level level, const char *format, ...) MAPPER_PRINTF(2, 3);

/** A setting that the host was started with (--set KEY=VALUE). */
typedef struct mapper_setting {
    const char *key;
    const char *value;
} mapper_setting;

/** The settings that the host was started with, in ascending order of their keys. They are valid as
 * long as the mapper. */
typedef struct mapper_settings {
    const mapper_setting *items;
    size_t count;
} mapper_settings;

/** Returns the value of a setting. NULL if it was not given. */
const char *mapper_get(const mapper_settings *settings, const char *key);

/** Writes the value of a required setting to *value. If it was not given, *value is NULL and the
 * error names the setting. */
mapper_error mapper_require(const mapper_settings *settings, const char *key, const char **value);

/** Checks that there are no settings except these, so that a misspelled one is reported:
 * mapper_only(settings, "a", "b", NULL). The error names the unknown setting and the known ones. */
mapper_error mapper_only(const mapper_settings *settings, ...) MAPPER_SENTINEL;

/** A mapper. */
typedef struct mapper_plugin {
    /** Name and version are for logs, metrics and dead letters, in UTF-8, at most 200 bytes each
     * (wit/mapper.wit). */
    const char *name;
    const char *version;
    /**
     * Called once per instance, before the first record. If it returns an error, the host does not
     * start and prints the message. If it is NULL, the mapper refuses every setting.
     */
    mapper_error (*configure)(const mapper_settings *settings);
    /** Called for each record. The host produces the outputs in their order. Without outputs it
     * skips the record. An error sends the record to the dead letters with this message. */
    mapper_error (*map)(const mapper_record *record, mapper_outputs *outputs);
} mapper_plugin;

/** The mapper of the program. The program must define it. */
extern const mapper_plugin mapper;

#endif
