/* The plugin: who it is, and what it does with a record. */
#include "iso_time.h"
#include "mapper.h"
#include "mapper_json.h"

/* Passes a member on as it is; one that isn't there is null. */
static void add(yyjson_mut_doc *to, yyjson_val *visit, const char *name)
{
    yyjson_val *value = mapper_json_get(visit, name);
    yyjson_mut_val *copy = value != NULL ? yyjson_val_mut_copy(to, value) : yyjson_mut_null(to);
    yyjson_mut_obj_add_val(to, yyjson_mut_doc_get_root(to), name, copy);
}

/* Reduces the JSON of a visit to its id, its time in epoch seconds and its page. */
static mapper_error reduce(mapper_bytes json, mapper_bytes *reduced)
{
    mapper_error error;
    yyjson_val *visit = mapper_json_read(json, YYJSON_READ_NUMBER_AS_RAW, &error);
    if (error != NULL)
        return mapper_failed("not a visit: %s", error);
    if (!yyjson_is_obj(visit))
        return "not a visit: not a JSON object";
    mapper_bytes time = mapper_json_text(mapper_json_get(visit, "event_time"));
    if (mapper_is_null(time))
        return "the visit has no event_time";
    int64_t seconds;
    if ((error = epoch_seconds(time, &seconds)) != NULL)
        return mapper_failed("event_time is %s", error);
    yyjson_mut_doc *small = mapper_json_new();
    yyjson_mut_doc_set_root(small, yyjson_mut_obj(small));
    add(small, visit, "visit_id");
    yyjson_mut_obj_add_int(small, yyjson_mut_doc_get_root(small), "event_time", seconds);
    add(small, visit, "page");
    *reduced = mapper_json_write(small);
    return NULL;
}

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
