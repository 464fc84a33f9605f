/* Copies whole characters, and replaces invalid text byte by byte. */
#include "mapper_utf8.h"

#include <string.h>

#include "mapper_arena.h"

static const char REPLACEMENT[] = "\xef\xbf\xbd";

/* Returns the length of the character at the front, or 0 if it is invalid (RFC 3629): overlong,
 * above U+10FFFF, a surrogate, or truncated. */
static size_t character(const unsigned char *at, size_t left)
{
    unsigned char lead = at[0];
    if (lead < 0x80)
        return 1;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < length)
        return 0;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    }
    return length;
}

static size_t broken_bytes(mapper_bytes text)
{
    size_t broken = 0;
    for (size_t i = 0; i < text.length;) {
        size_t length = character((const unsigned char *)text.at + i, text.length - i);
        broken += length == 0;
        i += length == 0 ? 1 : length;
    }
    return broken;
}

mapper_bytes mapper_utf8(mapper_bytes text)
{
    size_t broken = broken_bytes(text);
    if (broken == 0)
        return text;
    const size_t wide = sizeof(REPLACEMENT) - 1;
    char *valid = mapper_arena_take(text.length + broken * (wide - 1));
    char *to = valid;
    for (size_t i = 0; i < text.length;) {
        size_t length = character((const unsigned char *)text.at + i, text.length - i);
        const char *from = length == 0 ? REPLACEMENT : text.at + i;
        size_t copied = length == 0 ? wide : length;
        memcpy(to, from, copied);
        to += copied;
        i += length == 0 ? 1 : length;
    }
    return (mapper_bytes){valid, (size_t)(to - valid)};
}
