/* Times in ISO 8601. */
#ifndef ISO_TIME_H
#define ISO_TIME_H

#include "mapper.h"

/* The seconds since 1970 of a time; one without an offset is UTC. */
mapper_error epoch_seconds(mapper_bytes text, int64_t *seconds);

#endif
