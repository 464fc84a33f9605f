#include "iso_time.h"

#include <string.h>

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
    return mapper_failed("not a time in ISO 8601: %.*s", MAPPER_ARGS(text));
}
