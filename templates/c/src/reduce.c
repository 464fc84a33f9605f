#include "reduce.h"

#include <string.h>

#include "mapper_json.h"

/* Passes a member on as it is; one that isn't there is null. */
static void add(yyjson_mut_doc *to, yyjson_val *visit, const char *name)
{
    yyjson_val *value = mapper_json_get(visit, name);
    yyjson_mut_val *copy = value != NULL ? yyjson_val_mut_copy(to, value) : yyjson_mut_null(to);
    yyjson_mut_obj_add_val(to, yyjson_mut_doc_get_root(to), name, copy);
}

mapper_error reduce(mapper_bytes json, mapper_bytes *reduced)
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
        return error;
    yyjson_mut_doc *small = mapper_json_new();
    yyjson_mut_doc_set_root(small, yyjson_mut_obj(small));
    add(small, visit, "visit_id");
    yyjson_mut_obj_add_int(small, yyjson_mut_doc_get_root(small), "event_time", seconds);
    add(small, visit, "page");
    *reduced = mapper_json_write(small);
    return NULL;
}

/* Reads a text from its front. */
typedef struct {
    const char *at;
    const char *end;
} reader;

static bool skip(reader *from, const char *any_of)
{
    bool found = from->at < from->end && *from->at != '\0' && strchr(any_of, *from->at) != NULL;
    from->at += found;
    return found;
}

static bool number(reader *from, int digits, int most, int *value)
{
    *value = 0;
    for (; digits > 0; digits--, from->at++) {
        if (from->at == from->end || *from->at < '0' || *from->at > '9')
            return false;
        *value = *value * 10 + (*from->at - '0');
    }
    return *value <= most;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

/* Years begin in March here, so that the leap day comes last. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

static bool read_date(reader *from, int64_t *seconds)
{
    int year, month, day;
    if (!number(from, 4, 9999, &year) || !skip(from, "-") || !number(from, 2, 12, &month) ||
        !skip(from, "-") || !number(from, 2, 31, &day))
        return false;
    if (year == 0 || month == 0 || day == 0 || day > month_days(year, month))
        return false;
    *seconds = days_since_1970(year, month, day) * 86400;
    return true;
}

/* HH:MM:SS, with a fraction that doesn't count, and Z or an offset. */
static bool read_time(reader *from, int64_t *seconds)
{
    int hour, minute, second, digit;
    if (!number(from, 2, 23, &hour) || !skip(from, ":") || !number(from, 2, 59, &minute) ||
        !skip(from, ":") || !number(from, 2, 59, &second))
        return false;
    *seconds += hour * 3600 + minute * 60 + second;
    if (skip(from, ".")) {
        if (!number(from, 1, 9, &digit))
            return false;
        while (skip(from, "0123456789"))
            continue;
    }
    bool is_east = from->at < from->end && *from->at == '+';
    if (skip(from, "Z") || !skip(from, "+-"))
        return true;
    if (!number(from, 2, 23, &hour) || !skip(from, ":") || !number(from, 2, 59, &minute))
        return false;
    *seconds += (is_east ? -60 : 60) * (hour * 60 + minute);
    return true;
}

mapper_error epoch_seconds(mapper_bytes text, int64_t *seconds)
{
    reader from = {text.at, text.at + text.length};
    bool is_time = read_date(&from, seconds);
    if (is_time && skip(&from, "T "))
        is_time = read_time(&from, seconds);
    if (is_time && from.at == from.end)
        return NULL;
    return mapper_failed("event_time is not a time in ISO 8601: %.*s", MAPPER_ARGS(text));
}
