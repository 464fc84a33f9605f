/**
 * What a mapper for mapper-host is written with: a function from a record to the records to
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
 * Nothing need be freed: what the functions here return lives until the call is over, and so does
 * the record.
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

/** What is wrong, in UTF-8; NULL when nothing is. */
typedef const char *mapper_error;

/** Bytes, which no NUL ends. Where they begin at NULL, they are Kafka's null, which is not the same
 * as no bytes. */
typedef struct mapper_bytes {
    const char *at;
    size_t length;
} mapper_bytes;

/** Kafka's null. As a value it is a tombstone. */
#define MAPPER_NULL ((mapper_bytes){NULL, 0})

/** The two arguments of "%.*s". */
#define MAPPER_ARGS(bytes) ((int)(bytes).length), ((bytes).at != NULL ? (bytes).at : "")

/** Whether these are Kafka's null. */
static inline bool mapper_is_null(mapper_bytes bytes)
{
    return bytes.at == NULL;
}

/** The bytes of a text, without the NUL at its end; of NULL, Kafka's null. */
mapper_bytes mapper_text(const char *text);

/** A text, made as printf makes it. */
mapper_bytes mapper_format(const char *format, ...) MAPPER_PRINTF(1, 2);

/** Whether these are the bytes of the text. */
bool mapper_equals(mapper_bytes bytes, const char *text);

/** A header of a record. Names may repeat, and their order counts. */
typedef struct mapper_header {
    /** In UTF-8. */
    mapper_bytes name;
    mapper_bytes value;
} mapper_header;

/** The timestamp of a record that carries none. */
#define MAPPER_NO_TIMESTAMP ((int64_t)-1)

/** One record of the input topic. It is gone when the call is over. */
typedef struct mapper_record {
    mapper_bytes key;
    mapper_bytes value;
    const mapper_header *headers;
    size_t header_count;
    /** Milliseconds since 1970-01-01T00:00:00Z, or MAPPER_NO_TIMESTAMP. */
    int64_t timestamp_ms;
    mapper_bytes topic;
    int32_t partition;
    int64_t offset;
} mapper_record;

/** The last header of that name, which is the one that counts where Kafka's clients ask for one;
 * NULL without any. */
const mapper_header *mapper_find_header(const mapper_record *record, const char *name);

/** One record to produce. It begins as the input record; what is set in it is what differs. */
typedef struct mapper_output {
    /** One that the host was started with; MAPPER_NULL, as it begins, is the default output topic.
     */
    mapper_bytes topic;
    mapper_bytes key;
    mapper_bytes value;
    const mapper_header *headers;
    size_t header_count;
    /** Milliseconds since 1970-01-01T00:00:00Z; not negative, but for MAPPER_NO_TIMESTAMP of the
     * input. */
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

/** Adds a record to produce, which stays where it is when others are added. */
mapper_output *mapper_add(mapper_outputs *outputs);

/** Takes the headers away, those of the input too. */
void mapper_clear_headers(mapper_output *output);

/** Adds a header behind those that are there. */
void mapper_add_header(mapper_output *output, mapper_bytes name, mapper_bytes value);

/** An error to return, made as printf makes it. */
mapper_error mapper_failed(const char *format, ...) MAPPER_PRINTF(1, 2);

/** Memory until the call is over, filled with zeros, as much as asked for: what can't be had is a
 * trap. */
void *mapper_alloc(size_t size);

/** Frees all that was allocated in the last call. The host does so; a unit test may. */
void mapper_reset(void);

/** How much a line of the log matters. */
typedef enum mapper_level {
    MAPPER_TRACE,
    MAPPER_DEBUG,
    MAPPER_INFO,
    MAPPER_WARN,
    MAPPER_ERROR
} mapper_level;

/**
 * Writes a line to the host's log, with the topic, partition and offset of the record being mapped.
 * What is printed to stdout (info) and stderr (warn) is logged in the same way. In a unit test it
 * goes to stderr.
 */
void mapper_log(mapper_level level, const char *format, ...) MAPPER_PRINTF(2, 3);

/** One that --set KEY=VALUE gave. */
typedef struct mapper_setting {
    const char *key;
    const char *value;
} mapper_setting;

/** Those that the host was started with, in ascending order of their keys. They live as long as the
 * mapper. */
typedef struct mapper_settings {
    const mapper_setting *items;
    size_t count;
} mapper_settings;

/** The value of a setting; NULL when it isn't there. */
const char *mapper_get(const mapper_settings *settings, const char *key);

/** Puts the value of a setting that must be there into *value. */
mapper_error mapper_require(const mapper_settings *settings, const char *key, const char **value);

/** Checks that there is no setting but these, so that a mistyped one is seen: mapper_only(settings,
 * "a", "b", NULL). */
mapper_error mapper_only(const mapper_settings *settings, ...) MAPPER_SENTINEL;

/** A mapper: who it is and what it does. */
typedef struct mapper_plugin {
    /** Its name and version, for logs, metrics and dead letters; at most 200 bytes each. */
    const char *name;
    const char *version;
    /**
     * Called once, before the first record. An error refuses the settings, and the host doesn't
     * start. Without it the mapper has no settings, and any that is given is refused.
     */
    mapper_error (*configure)(const mapper_settings *settings);
    /** Called for each record. No output at all skips it. An error sends it to the dead letters
     * with that message. */
    mapper_error (*map)(const mapper_record *record, mapper_outputs *outputs);
} mapper_plugin;

/** The mapper of this program, which it must define. */
extern const mapper_plugin mapper;

#endif
