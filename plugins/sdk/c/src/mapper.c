/* Records, outputs and texts. */
#include "mapper.h"

#include <stdarg.h>
#include <string.h>

#include "mapper_arena.h"

mapper_bytes mapper_text(const char *text)
{
    return text == NULL ? MAPPER_NULL : (mapper_bytes){text, strlen(text)};
}

mapper_bytes mapper_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    mapper_bytes text = mapper_arena_print(format, arguments);
    va_end(arguments);
    return text;
}

mapper_error mapper_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    mapper_bytes text = mapper_arena_print(format, arguments);
    va_end(arguments);
    return text.at;
}

bool mapper_equals(mapper_bytes bytes, const char *text)
{
    size_t length = strlen(text);
    return !mapper_is_null(bytes) && bytes.length == length && memcmp(bytes.at, text, length) == 0;
}

const mapper_header *mapper_find_header(const mapper_record *record, const char *name)
{
    for (size_t i = record->header_count; i > 0; i--) {
        if (mapper_equals(record->headers[i - 1].name, name))
            return &record->headers[i - 1];
    }
    return NULL;
}

mapper_output *mapper_add(mapper_outputs *outputs)
{
    const mapper_record *record = outputs->record;
    mapper_output *added = mapper_arena_take(sizeof(*added));
    *added = (mapper_output){
        .key = record->key,
        .value = record->value,
        .headers = record->headers,
        .header_count = record->header_count,
        .timestamp_ms = record->timestamp_ms,
    };
    if (outputs->last == NULL)
        outputs->first = added;
    else
        outputs->last->next = added;
    outputs->last = added;
    outputs->count++;
    return added;
}

void mapper_clear_headers(mapper_output *output)
{
    output->headers = NULL;
    output->header_count = 0;
}

void mapper_add_header(mapper_output *output, mapper_bytes name, mapper_bytes value)
{
    /* Copy the list: the current one may belong to the input record or to another output. */
    size_t count = output->header_count;
    mapper_header *headers = mapper_arena_take((count + 1) * sizeof(*headers));
    if (count > 0)
        memcpy(headers, output->headers, count * sizeof(*headers));
    headers[count] = (mapper_header){name, value};
    output->headers = headers;
    output->header_count = count + 1;
}
