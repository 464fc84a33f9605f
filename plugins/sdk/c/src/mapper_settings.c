/* Finds and checks settings. */
#include <stdarg.h>
#include <string.h>

#include "mapper_arena.h"

const char *mapper_get(const mapper_settings *settings, const char *key)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].key, key) == 0)
            return settings->items[i].value;
    }
    return NULL;
}

mapper_error mapper_require(const mapper_settings *settings, const char *key, const char **value)
{
    *value = mapper_get(settings, key);
    if (*value != NULL)
        return NULL;
    return mapper_failed("the setting '%s' is missing; give it with --set %s=VALUE", key, key);
}

static bool is_among(const char *key, va_list known)
{
    for (const char *one = va_arg(known, const char *); one != NULL;
         one = va_arg(known, const char *)) {
        if (strcmp(one, key) == 0)
            return true;
    }
    return false;
}

static mapper_error unknown(const char *key, va_list known)
{
    const char *one = va_arg(known, const char *);
    if (one == NULL)
        return mapper_failed("unknown setting '%s': this mapper has no settings", key);
    mapper_error names = one;
    while ((one = va_arg(known, const char *)) != NULL)
        names = mapper_failed("%s, %s", names, one);
    return mapper_failed("unknown setting '%s'; known are: %s", key, names);
}

mapper_error mapper_only(const mapper_settings *settings, ...)
{
    mapper_error error = NULL;
    for (size_t i = 0; i < settings->count && error == NULL; i++) {
        const char *key = settings->items[i].key;
        va_list known;
        va_start(known, settings);
        bool found = is_among(key, known);
        va_end(known);
        if (found)
            continue;
        va_start(known, settings);
        error = unknown(key, known);
        va_end(known);
    }
    return error;
}
