/* Compares with what CPython 3.11 says, as recorded in ../reduce_visit/tests/fromisoformat.jsonl,
 * and reduces visits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fromisoformat.h"
#include "mapper_json.h"
#include "reduce.h"

static int failed;

static void agrees_with_python(const char *path)
{
    FILE *recorded = fopen(path, "r");
    char line[4096];
    int lines = 0;
    while (recorded != NULL && fgets(line, sizeof(line), recorded) != NULL) {
        mapper_error none;
        yyjson_val *said =
            mapper_json_read(mapper_text(strtok(line, "\n")), YYJSON_READ_NOFLAG, &none);
        mapper_bytes text = mapper_json_text(mapper_json_get(said, "text"));
        yyjson_val *wanted = mapper_json_get(said, "timestamp");
        int64_t seconds = 0;
        mapper_error error = timestamp(text, &seconds);
        if ((error == NULL) != (wanted != NULL) ||
            (wanted != NULL && yyjson_get_sint(wanted) != seconds)) {
            printf("%s\nwe say %" PRId64 ", %s\n", line, seconds, error);
            failed++;
        }
        lines++;
        mapper_reset();
    }
    if (recorded == NULL || fclose(recorded) != 0 || lines < 500) {
        printf("%s: %d lines, too few\n", path, lines);
        failed++;
    }
}

static void is_reduced(const char *visit, const char *expected)
{
    mapper_bytes reduced = MAPPER_NULL;
    mapper_error error = reduce(mapper_text(visit), &reduced);
    mapper_bytes came = error != NULL ? mapper_text(error) : reduced;
    if (!mapper_equals(came, expected)) {
        printf("%s\nbecame %.*s\nand not %s\n", visit, MAPPER_ARGS(came), expected);
        failed++;
    }
    mapper_reset();
}

static void visits_are_reduced(void)
{
    is_reduced("{\"visit_id\": \"1_2\", \"event_time\": \"2023-11-01T00:00:00+00:00\", "
               "\"user_id\": 7, \"page\": \"home\"}",
               "{\"visit_id\":\"1_2\",\"event_time\":1698796800,\"page\":\"home\"}");
    is_reduced("{\"page\":null,\"event_time\":\"2023-11-01 01:00:00\",\"visit_id\":null}",
               "{\"visit_id\":null,\"event_time\":1698800400,\"page\":null}");
    /* Numbers as they are written, and the last one of a name. */
    is_reduced("{\"visit_id\": {\"a\": [1.50, 18446744073709551616]}, \"event_time\": "
               "\"2023-11-01\", \"page\": 1, \"page\": \"\\n\"}",
               "{\"visit_id\":{\"a\":[1.50,18446744073709551616]},\"event_time\":1698796800,"
               "\"page\":\"\\n\"}");
    is_reduced("{\"visit_id\": 1, \"event_time\": \"2023-11-01T02\\u003a00:00\\u002b02:00\", "
               "\"page\": \"\"}",
               "{\"visit_id\":1,\"event_time\":1698796800,\"page\":\"\"}");
}

static void what_is_no_visit_is_refused(void)
{
    is_reduced("{........", "not a visit: unexpected character, expected a string key at byte 1");
    is_reduced("", "not a visit: input length is 0 at byte 0");
    is_reduced("[]", "not a visit: not a JSON object");
    is_reduced("{} {}", "not a visit: unexpected content after document at byte 3");
    is_reduced("{\"visit_id\": \"\xff\"}",
               "not a visit: invalid UTF-8 encoding in string at byte 14");
    is_reduced("{}", "not a visit: missing field visit_id");
    is_reduced("{\"visit_id\": 1, \"page\": 2}", "not a visit: missing field event_time");
    is_reduced("{\"visit_id\": 1, \"event_time\": \"2023-11-01\"}",
               "not a visit: missing field page");
    const char *others[] = {"null", "1698796800", "true", "[]", "{}", "1.5e3"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char visit[128];
        snprintf(visit, sizeof(visit), "{\"visit_id\": 1, \"event_time\": %s}", others[i]);
        is_reduced(visit, "fromisoformat: argument must be str");
    }
    is_reduced("{\"visit_id\": 1, \"event_time\": \"yesterday\", \"page\": 1}",
               "Invalid isoformat string: 'yesterday'");
}

int main(int count, char **arguments)
{
    agrees_with_python(count > 1 ? arguments[1] : "fromisoformat.jsonl");
    visits_are_reduced();
    what_is_no_visit_is_refused();
    printf(failed == 0 ? "all tests passed\n" : "%d failed\n", failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
