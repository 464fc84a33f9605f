/** JSON with yyjson (vendor/yyjson.h), in memory that need not be freed. */
#ifndef MAPPER_JSON_H
#define MAPPER_JSON_H

#include "mapper.h"
#include "vendor/yyjson.h"

/**
 * Reads JSON. Integers are exact as long as they have 64 bits; with YYJSON_READ_NUMBER_AS_RAW all
 * numbers keep their very text, and are written as they were read.
 *
 * When it is none, NULL is returned, and *error says what is wrong and where.
 */
yyjson_val *mapper_json_read(mapper_bytes json, yyjson_read_flag flags, mapper_error *error);

/** The member of an object; the last one, where there are several of that name. NULL when there is
 * none, or no object. */
yyjson_val *mapper_json_get(yyjson_val *object, const char *name);

/** The text of a value; MAPPER_NULL when it is none. */
mapper_bytes mapper_json_text(yyjson_val *value);

/** An empty document to write into: see yyjson_mut_obj and its kin, and yyjson_val_mut_copy for
 * what was read. */
yyjson_mut_doc *mapper_json_new(void);

/** Writes the root of a document. What can't be written, such as a number that is none, is a trap.
 */
mapper_bytes mapper_json_write(const yyjson_mut_doc *document);

#endif
