#include "reduce.h"

#include "fromisoformat.h"
#include "mapper_json.h"

static mapper_error field(yyjson_val *visit, const char *name, yyjson_val **value)
{
    *value = mapper_json_get(visit, name);
    return *value != NULL ? NULL : mapper_failed("not a visit: missing field %s", name);
}

mapper_error reduce(mapper_bytes json, mapper_bytes *reduced)
{
    mapper_error error;
    yyjson_val *visit_id, *event_time, *page;
    int64_t seconds = 0;
    yyjson_val *visit = mapper_json_read(json, YYJSON_READ_NUMBER_AS_RAW, &error);
    if (error != NULL)
        return mapper_failed("not a visit: %s", error);
    if (!yyjson_is_obj(visit))
        return "not a visit: not a JSON object";
    if ((error = field(visit, "visit_id", &visit_id)) != NULL ||
        (error = field(visit, "event_time", &event_time)) != NULL)
        return error;
    if (!yyjson_is_str(event_time))
        return "fromisoformat: argument must be str";
    if ((error = timestamp(mapper_json_text(event_time), &seconds)) != NULL)
        return error;
    if ((error = field(visit, "page", &page)) != NULL)
        return error;
    yyjson_mut_doc *document = mapper_json_new();
    yyjson_mut_val *root = yyjson_mut_obj(document);
    yyjson_mut_doc_set_root(document, root);
    yyjson_mut_obj_add_val(document, root, "visit_id", yyjson_val_mut_copy(document, visit_id));
    yyjson_mut_obj_add_int(document, root, "event_time", seconds);
    yyjson_mut_obj_add_val(document, root, "page", yyjson_val_mut_copy(document, page));
    *reduced = mapper_json_write(document);
    return NULL;
}
