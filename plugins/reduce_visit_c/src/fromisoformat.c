/* Follows CPython's _datetimemodule.c step by step, as plugins/reduce_visit/src/fromisoformat.rs
 * does in Rust. */
#include "fromisoformat.h"

#include <string.h>

#define MICROS INT64_C(1000000)
#define DAY_SECONDS INT64_C(86400)
/* Days from 1970-01-01 to 9999-12-31, the last day Python can hold. */
#define LAST_DAY INT64_C(2932896)

/* What a well-formed text says, which may be a time that no calendar or clock shows. */
typedef struct moment {
    int64_t days;
    /* What Python says of such a date; the offset is judged first. */
    mapper_error wrong_date;
    int hour, minute, second, micros;
    int64_t offset_micros;
} moment;

/* Reads on in a text; behind its end there are zeros, which is also what a NUL in it looks like. */
typedef struct cursor {
    mapper_bytes text;
    size_t position;
} cursor;

static char at(const cursor *cursor, size_t position)
{
    return position < cursor->text.length ? cursor->text.at[position] : '\0';
}

static char next(cursor *cursor)
{
    return at(cursor, cursor->position++);
}

static bool skip(cursor *cursor, char wanted)
{
    bool found = at(cursor, cursor->position) == wanted;
    cursor->position += found;
    return found;
}

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

static bool digits(cursor *cursor, size_t count, int *number)
{
    *number = 0;
    for (size_t i = 0; i < count; i++) {
        char digit = next(cursor);
        if (!is_digit(digit))
            return false;
        *number = *number * 10 + (digit - '0');
    }
    return true;
}

/* In years that begin in March, so that the leap day comes last and months need no table. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719468;
}

static int month_length(int year, int month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return lengths[month - 1] + (month == 2 && is_leap);
}

static void from_civil(moment *moment, int year, int month, int day)
{
    if (year == 0)
        moment->wrong_date = "year 0 is out of range";
    else if (month < 1 || month > 12)
        moment->wrong_date = "month must be in 1..12";
    else if (day < 1 || day > month_length(year, month))
        moment->wrong_date = "day is out of range for month";
    else
        moment->days = days_since_1970(year, month, day);
}

/* Week 1 is the one that holds 4 January. */
static int64_t first_monday(int year)
{
    int64_t fourth = days_since_1970(year, 1, 4);
    /* 1970-01-01 was a Thursday. */
    return fourth - ((fourth + 3) % 7 + 7) % 7;
}

/* False when the year has no such week, or no week has such a day. */
static bool from_week(moment *moment, int year, int week, int day)
{
    int64_t monday = first_monday(year) + (week - 1) * 7;
    if (week == 0 || monday >= first_monday(year + 1) || day < 1 || day > 7)
        return false;
    moment->days = monday + day - 1;
    if (year == 0)
        /* CPython carries on below its first day and ends up with a month before January. */
        moment->wrong_date = "month must be in 1..12";
    else if (moment->days > LAST_DAY)
        moment->wrong_date = "year 10000 is out of range";
    return true;
}

/* Where the date ends, guessed from its shape, because any character may follow it. */
static size_t separator(mapper_bytes text)
{
    cursor from = {text, 0};
    if (at(&from, 4) == '-') {
        /* YYYY-Www- goes on with a weekday, unless two digits follow: then the dash separates. */
        bool is_week = at(&from, 5) == 'W';
        return is_week && (at(&from, 8) != '-' || is_digit(at(&from, 10))) ? 8 : 10;
    }
    if (at(&from, 4) != 'W')
        return 8;
    /* The time is pairs of digits, so one too many after YYYYWww is a separator, two a weekday
     * before it. */
    size_t count = 0;
    while (is_digit(at(&from, 7 + count)))
        count++;
    return count < 2 ? 7 + count : 7 + (count % 2 == 0);
}

static bool date(mapper_bytes text, size_t end, moment *moment)
{
    cursor cursor = {text, 0};
    int year, month, day = 1;
    if (!digits(&cursor, 4, &year))
        return false;
    bool is_dashed = skip(&cursor, '-');
    if (skip(&cursor, 'W')) {
        int week;
        if (!digits(&cursor, 2, &week))
            return false;
        if (cursor.position < end &&
            ((is_dashed && !skip(&cursor, '-')) || !digits(&cursor, 1, &day)))
            return false;
        return from_week(moment, year, week, day);
    }
    if (!digits(&cursor, 2, &month) || (is_dashed && !skip(&cursor, '-')) ||
        !digits(&cursor, 2, &day))
        return false;
    from_civil(moment, year, month, day);
    return true;
}

/* Up to six digits count; whether nothing is left after them is in *is_complete. */
static bool fraction(cursor *cursor, size_t end, int *micros, bool *is_complete)
{
    size_t count = end - cursor->position < 6 ? end - cursor->position : 6;
    if (!digits(cursor, count, micros))
        return false;
    for (; count < 6; count++)
        *micros *= 10;
    while (is_digit(at(cursor, cursor->position)))
        cursor->position++;
    *is_complete = at(cursor, cursor->position) == '\0';
    return true;
}

/* HH[:?MM[:?SS[.ffffff]]] up to `end`, and whether nothing is left after it. */
static bool read_clock(cursor *cursor, size_t end, moment *moment, bool *is_complete)
{
    bool has_colons = at(cursor, cursor->position + 2) == ':';
    int parts[3] = {0, 0, 0};
    char last = '\0';
    for (int i = 0; i < 3; i++) {
        if (!digits(cursor, 2, &parts[i]))
            return false;
        last = next(cursor);
        if (cursor->position >= end || last == '.' || last == ',')
            break;
        if (has_colons && last == ':')
            continue;
        if (has_colons)
            return false;
        cursor->position--;
    }
    moment->hour = parts[0];
    moment->minute = parts[1];
    moment->second = parts[2];
    moment->micros = 0;
    if (cursor->position < end)
        return fraction(cursor, end, &moment->micros, is_complete);
    *is_complete = last == '\0';
    return true;
}

static int64_t clock_seconds(const moment *moment)
{
    return moment->hour * INT64_C(3600) + moment->minute * 60 + moment->second;
}

static bool read_offset(cursor cursor, char sign, int64_t *offset_micros)
{
    moment east = {0};
    bool is_complete;
    if (!read_clock(&cursor, cursor.text.length, &east, &is_complete) || !is_complete)
        return false;
    int64_t seconds = clock_seconds(&east);
    /* Python takes an offset below a second for UTC. */
    int64_t micros = seconds == 0 ? 0 : seconds * MICROS + east.micros;
    *offset_micros = sign == '-' ? -micros : micros;
    return true;
}

static bool read_time(mapper_bytes text, moment *moment)
{
    cursor cursor = {text, 0};
    size_t zone = 0;
    while (zone < text.length && text.at[zone] != 'Z' && text.at[zone] != '+' &&
           text.at[zone] != '-')
        zone++;
    bool is_complete;
    if (!read_clock(&cursor, zone, moment, &is_complete))
        return false;
    if (zone == text.length)
        return is_complete;
    /* Python does not ask for a complete clock here: what stands before the zone may be rubbish. */
    cursor.position = zone;
    char sign = next(&cursor);
    return sign == 'Z' ? next(&cursor) == '\0' : read_offset(cursor, sign, &moment->offset_micros);
}

static size_t character_length(char lead)
{
    unsigned char byte = (unsigned char)lead;
    return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

static bool read_moment(mapper_bytes text, moment *moment)
{
    size_t end = separator(text);
    if (!date(text, end, moment))
        return false;
    /* The date is ASCII, but its end was guessed: it may lie within a character. */
    if (end > text.length || (end < text.length && ((unsigned char)text.at[end] & 0xc0) == 0x80))
        return false;
    if (end == text.length)
        return true;
    size_t begin = end + character_length(text.at[end]);
    return read_time((mapper_bytes){text.at + begin, text.length - begin}, moment);
}

static mapper_error wrong_clock(const moment *moment)
{
    if (moment->hour > 23)
        return "hour must be in 0..23";
    if (moment->minute > 59)
        return "minute must be in 0..59";
    return moment->second > 59 ? "second must be in 0..59" : NULL;
}

/* As int(micros / 10**6) of Python: the quotient is a double. */
static int64_t truncated_seconds(int64_t micros)
{
    int64_t seconds = micros / MICROS, fraction = micros % MICROS;
    if (fraction < 0) {
        seconds--;
        fraction += MICROS;
    }
    /* The exact quotient is rounded once: (double)micros would round a first time beyond 2^53. */
    return fraction == 0 ? seconds : (int64_t)((double)seconds + (double)fraction / (double)MICROS);
}

mapper_error timestamp(mapper_bytes text, int64_t *seconds)
{
    moment moment = {0};
    if (!read_moment(text, &moment))
        return mapper_failed("Invalid isoformat string: '%.*s'", MAPPER_ARGS(text));
    int64_t offset = moment.offset_micros;
    if (offset <= -DAY_SECONDS * MICROS || offset >= DAY_SECONDS * MICROS)
        return "offset must be a timedelta strictly between -timedelta(hours=24) and "
               "timedelta(hours=24)";
    if (moment.wrong_date != NULL)
        return moment.wrong_date;
    mapper_error error = wrong_clock(&moment);
    if (error == NULL)
        *seconds = truncated_seconds((moment.days * DAY_SECONDS + clock_seconds(&moment)) * MICROS +
                                     moment.micros - offset);
    return error;
}
