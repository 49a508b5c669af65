/* A container's config, in the dialect that the build gives this target: attach, attach again, detach; and
 * all that reads its settings. */
#include "fuzz.h"

#include "../unit/effective.h"
#include "../unit/round_trip.h"
#include "settings.h"

static void check_effective(const struct nvl_config *config)
{
    const struct nvl_container c = {.kind = config->dialect == NVL_DIALECT_PVE ? NVL_CONTAINER_PVE
                                                                               : NVL_CONTAINER_LXC,
                                    .name = "100",
                                    .lxc_name = "100"};
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = effective_of(config);

    check_settings(&c, &effective);
}

/* The lines are the text. */
static void check_lines(const struct nvl_config *config)
{
    size_t at = 0;

    for (size_t i = 0; i < config->n_lines; i++) {
        CHECK(config->lines[i].start == at && config->lines[i].len > 0);
        at += config->lines[i].len;
        if (config->lines[i].kind == NVL_LINE_KEY)
            CHECK(config->lines[i].key != NULL && config->lines[i].value != NULL);
    }
    CHECK(at == config->len);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    unsigned way = fuzz_choice(&in, (unsigned)n_ways(FUZZ_DIALECT)), replace = fuzz_choice(&in, 2);
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant had = {0};
    char *text = nvl_xcalloc(in.len + 1, 1);

    memcpy(text, in.data, in.len);
    if (nvl_config_parse(&config, FUZZ_DIALECT, text, in.len, NULL) < 0)
        return;
    check_lines(&config);
    check_effective(&config);
    /* what is left of an earlier grant counts as nvlxc's */
    bool had_grant = grant_of(&config, &had, NULL) != 0 || memmem(in.data, in.len, "nvlxc", 5) != NULL;
    nvl_autofree char *wrong = round_trip(FUZZ_DIALECT, in.data, in.len, &ways[way], replace != 0, had_grant);
    if (wrong != NULL) {
        fprintf(stderr, "%s\n", wrong);
        CHECK(wrong == NULL);
    }
}
