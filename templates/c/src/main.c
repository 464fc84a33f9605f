/* The plugin: who it is, and what it does with a record. */
#include "mapper.h"
#include "reduce.h"

/* Called for each record; what it adds is written to the output topic, under the key of the record.
 */
static mapper_error map(const mapper_record *record, mapper_outputs *outputs)
{
    /* A tombstone, a record without a value, is skipped. */
    if (mapper_is_null(record->value))
        return NULL;
    mapper_bytes reduced;
    mapper_error error = reduce(record->value, &reduced);
    if (error != NULL)
        return error;
    mapper_add(outputs)->value = reduced;
    return NULL;
}

const mapper_plugin mapper = {.name = "{{name}}", .version = "0.1.0", .map = map};
