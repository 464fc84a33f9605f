/* From a visit to what is left of it. */
#ifndef REDUCE_H
#define REDUCE_H

#include "mapper.h"

/* Reduces the JSON of a visit to its id, its time in epoch seconds and its page. */
mapper_error reduce(mapper_bytes visit, mapper_bytes *reduced);

/* The seconds since 1970 of a time in ISO 8601; one without an offset is UTC. */
mapper_error epoch_seconds(mapper_bytes text, int64_t *seconds);

#endif
