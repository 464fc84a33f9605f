/** JSON with yyjson (vendor/yyjson.h, https://github.com/ibireme/yyjson), in memory that is valid
 * until the call ends. */
#ifndef MAPPER_JSON_H
#define MAPPER_JSON_H

#include "mapper.h"
#include "vendor/yyjson.h"

/**
 * Reads JSON (RFC 8259). Integers of 64 bits are exact. With YYJSON_READ_NUMBER_AS_RAW all numbers
 * keep their text and are written as they were read. YYJSON_READ_INSITU is ignored: the bytes may
 * be those of the record.
 *
 * Returns the root. If the bytes are not JSON, returns NULL, and *error has the reason and the
 * byte.
 */
yyjson_val *mapper_json_read(mapper_bytes json, yyjson_read_flag flags, mapper_error *error);

/** Returns the value of a member, of the last one if a name occurs more than once. NULL if there is
 * none or the value is not an object. */
yyjson_val *mapper_json_get(yyjson_val *object, const char *name);

/** Returns the text of a string, in UTF-8. MAPPER_NULL if the value is not a string. */
mapper_bytes mapper_json_text(yyjson_val *value);

/** Returns an empty document. yyjson_mut_obj and similar functions make its values, and
 * yyjson_val_mut_copy copies values that were read. */
yyjson_mut_doc *mapper_json_new(void);

/** Returns the root of a document as JSON. A value without a JSON form, such as NaN, is a trap. */
mapper_bytes mapper_json_write(const yyjson_mut_doc *document);

#endif
