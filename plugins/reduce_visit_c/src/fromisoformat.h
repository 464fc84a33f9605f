/** Times as CPython 3.11's datetime.fromisoformat reads them, quirks included. */
#ifndef FROMISOFORMAT_H
#define FROMISOFORMAT_H

#include "mapper.h"

/**
 * Puts the seconds since 1970-01-01T00:00:00Z into *seconds: fractions are cut towards zero, and a
 * time without an offset is UTC. A text that Python would raise a ValueError for is an error.
 */
mapper_error timestamp(mapper_bytes text, int64_t *seconds);

#endif
