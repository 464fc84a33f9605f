/* Passes each record on as it is. */
#include "mapper.h"

/* Called for each record; what it adds is written to the output topic. An error makes a dead letter.
 */
static mapper_error map(const mapper_record *record, mapper_outputs *outputs)
{
    (void)record;
    mapper_add(outputs);
    return NULL;
}

const mapper_plugin mapper = {.name = "{{name}}", .version = "0.1.0", .map = map};
