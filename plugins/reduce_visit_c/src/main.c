/* Reduces a visit to its id, its time in epoch seconds and its page. */
#include "mapper.h"
#include "reduce.h"

static mapper_error map(const mapper_record *record, mapper_outputs *outputs)
{
    if (mapper_is_null(record->value))
        return "the record has no value (a tombstone)";
    mapper_bytes reduced;
    mapper_error error = reduce(record->value, &reduced);
    if (error == NULL)
        mapper_add(outputs)->value = reduced;
    return error;
}

const mapper_plugin mapper = {.name = "reduce_visit_c", .version = "0.1.0", .map = map};
