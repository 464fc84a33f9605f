/* Unit tests of the parts of the SDK that need no host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mapper_arena.h"
#include "mapper_json.h"
#include "mapper_utf8.h"

static int failed;

#define CHECK(holds)                                                                               \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #holds);                                     \
            failed++;                                                                              \
        }                                                                                          \
    } while (0)

static void allocations_are_disjoint_aligned_and_zeroed(void)
{
    enum { COUNT = 300 };
    unsigned char *all[COUNT];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            size_t size = i % 100 == 99 ? 200000 : i * 3;
            all[i] = mapper_alloc(size);
            CHECK((uintptr_t)all[i] % 16 == 0);
            for (size_t k = 0; k < size; k++)
                CHECK(all[i][k] == 0);
            memset(all[i], (int)(i % 256), size);
        }
        for (size_t i = 1; i < COUNT; i++)
            CHECK(all[i][0] == i % 256 && all[i][i * 3 - 1] == i % 256);
        mapper_reset();
    }
    CHECK(mapper_alloc(0) != mapper_alloc(0));
    char *text = memcpy(mapper_alloc(4), "abc", 4);
    CHECK(strcmp(mapper_arena_grow(text, 4, 100), "abc") == 0);
    CHECK(memcmp(mapper_arena_grow(text, 4, 2), "ab", 2) == 0);
    mapper_reset();
}

static void texts_are_formatted_and_compared(void)
{
    CHECK(mapper_is_null(mapper_text(NULL)) && mapper_is_null(MAPPER_NULL));
    CHECK(!mapper_is_null(mapper_text("")));
    CHECK(mapper_equals(mapper_format("%s %d", "a", 7), "a 7"));
    CHECK(strcmp(mapper_failed("no %.*s", MAPPER_ARGS(mapper_text("page"))), "no page") == 0);
    CHECK(mapper_equals(mapper_format("<%.*s>", MAPPER_ARGS(MAPPER_NULL)), "<>"));
    CHECK(!mapper_equals(MAPPER_NULL, "") && !mapper_equals(mapper_text("ab"), "a"));
    CHECK(!mapper_equals(mapper_text("ab"), "ac"));
}

static void output_equals_the_input_record_at_first(void)
{
    mapper_header headers[] = {
        {mapper_text("a"), mapper_text("1")},
        {mapper_text("b"), MAPPER_NULL},
        {mapper_text("a"), mapper_text("2")},
    };
    mapper_record record = {
        .key = mapper_text("k"), .headers = headers, .header_count = 3, .timestamp_ms = 5};
    CHECK(mapper_find_header(&record, "a") == &headers[2] &&
          mapper_find_header(&record, "c") == NULL);
    mapper_outputs outputs = {.record = &record};
    mapper_output *one = mapper_add(&outputs), *two = mapper_add(&outputs);
    CHECK(outputs.count == 2 && outputs.first == one && one->next == two && outputs.last == two);
    CHECK(mapper_equals(one->key, "k") && mapper_is_null(one->value) && mapper_is_null(one->topic));
    CHECK(one->headers == headers && one->header_count == 3 && one->timestamp_ms == 5);
    mapper_add_header(one, mapper_text("c"), mapper_text("3"));
    CHECK(one->header_count == 4 && mapper_equals(one->headers[3].value, "3"));
    CHECK(mapper_equals(one->headers[0].value, "1") && two->headers == headers);
    mapper_clear_headers(two);
    mapper_add_header(two, mapper_text("d"), MAPPER_NULL);
    CHECK(two->header_count == 1 && mapper_is_null(two->headers[0].value));
    mapper_reset();
}

static void settings_are_found_and_unknown_settings_rejected(void)
{
    const mapper_setting items[] = {{"field", "page"}, {"greeting", ""}};
    const mapper_settings settings = {items, 2}, none = {NULL, 0};
    const char *value = "x";
    CHECK(strcmp(mapper_get(&settings, "field"), "page") == 0 &&
          mapper_get(&settings, "fiel") == NULL);
    CHECK(mapper_require(&settings, "greeting", &value) == NULL && strcmp(value, "") == 0);
    mapper_error error = mapper_require(&none, "field", &value);
    CHECK(strcmp(error, "the setting 'field' is missing; give it with --set field=VALUE") == 0);
    CHECK(mapper_only(&settings, "greeting", "field", NULL) == NULL &&
          mapper_only(&none, NULL) == NULL);
    error = mapper_only(&settings, "field", "page", NULL);
    CHECK(strcmp(error, "unknown setting 'greeting'; known are: field, page") == 0);
    error = mapper_only(&settings, NULL);
    CHECK(strcmp(error, "unknown setting 'field': this mapper has no settings") == 0);
    mapper_reset();
}

static void invalid_utf8_is_replaced(void)
{
    static const char *const texts[][2] = {
        {"", ""},
        {"f\xc3\xbcr \xe2\x82\xac \xf0\x9f\x98\x80 \xed\x9f\xbf \xf4\x8f\xbf\xbf", NULL},
        {"\xff", "\xef\xbf\xbd"},
        {"a\xc3", "a\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe0\x9f\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x8f\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82z", "\xef\xbf\xbd\xef\xbf\xbdz"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *expected = texts[i][1] == NULL ? texts[i][0] : texts[i][1];
        CHECK(mapper_equals(mapper_utf8(mapper_text(texts[i][0])), expected));
    }
    mapper_bytes text = mapper_text("text");
    CHECK(mapper_utf8(text).at == text.at);
    CHECK(mapper_utf8((mapper_bytes){"a\0b", 3}).length == 3);
    mapper_reset();
}

static void json_numbers_and_strings_round_trip(void)
{
    mapper_error error;
    const char *json = "{\"n\":[18446744073709551615,-9223372036854775808,1.50,1e400],\"t\":"
                       "\"\\u00fc\",\"t\":\"\\n\"}";
    yyjson_val *read = mapper_json_read(mapper_text(json), YYJSON_READ_NUMBER_AS_RAW, &error);
    CHECK(error == NULL && mapper_equals(mapper_json_text(mapper_json_get(read, "t")), "\n"));
    CHECK(mapper_json_get(read, "u") == NULL &&
          mapper_is_null(mapper_json_text(mapper_json_get(read, "n"))));
    yyjson_mut_doc *document = mapper_json_new();
    yyjson_mut_doc_set_root(document, yyjson_val_mut_copy(document, mapper_json_get(read, "n")));
    CHECK(mapper_equals(mapper_json_write(document),
                        "[18446744073709551615,-9223372036854775808,1.50,1e400]"));
    read = mapper_json_read(mapper_text("18446744073709551615"), YYJSON_READ_INSITU, &error);
    CHECK(error == NULL && yyjson_get_uint(read) == UINT64_MAX);
    CHECK(mapper_json_read(mapper_text("[1,]"), YYJSON_READ_NOFLAG, &error) == NULL);
    CHECK(strcmp(error, "trailing comma is not allowed at byte 2") == 0);
    CHECK(mapper_json_get(NULL, "x") == NULL && mapper_is_null(mapper_json_text(NULL)));
    mapper_reset();
}

int main(void)
{
    allocations_are_disjoint_aligned_and_zeroed();
    texts_are_formatted_and_compared();
    output_equals_the_input_record_at_first();
    settings_are_found_and_unknown_settings_rejected();
    invalid_utf8_is_replaced();
    json_numbers_and_strings_round_trip();
    printf(failed == 0 ? "all tests passed\n" : "%d failed\n", failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
