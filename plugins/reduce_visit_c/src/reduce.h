/** From the JSON of a visit to the reduced visit. */
#ifndef REDUCE_H
#define REDUCE_H

#include "mapper.h"

/**
 * Puts what is left of a visit into *reduced: its id, its time in epoch seconds and its page. An id
 * or a page of any kind passes through, null too; a missing field, or a time that is none, is an
 * error.
 */
mapper_error reduce(mapper_bytes visit, mapper_bytes *reduced);

#endif
