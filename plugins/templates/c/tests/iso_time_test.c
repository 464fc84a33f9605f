/* Unit tests: what goes in, and what must come of it. */
#include <stdio.h>
#include <stdlib.h>

#include "iso_time.h"

static int failed;

static void check(bool holds, const char *what)
{
    if (!holds) {
        printf("FAILED  %s\n", what);
        failed++;
    }
}

static void times_become_epoch_seconds(void)
{
    const char *texts[] = {"2023-11-01", "2023-11-01T00:00:00+00:00", "2023-11-01T02:00:00+02:00",
                           "2023-11-01 00:00:00Z", "2023-10-31T23:30:00.25-00:30"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t seconds = 0;
        mapper_error error = epoch_seconds(mapper_text(texts[i]), &seconds);
        check(error == NULL && seconds == 1698796800, texts[i]);
    }
    const char *others[] = {"", "2023-02-29", "2023-11-01T24:00:00", "2023-11-01T00:00:00+1",
                            "2023-11-01x"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        int64_t seconds;
        check(epoch_seconds(mapper_text(others[i]), &seconds) != NULL, others[i]);
    }
}

int main(void)
{
    times_become_epoch_seconds();
    mapper_reset();
    printf(failed == 0 ? "all tests passed\n" : "%d failed\n", failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
