/* A workload template: what it composes is a config, and no word of it reaches a shell or a second line. */
#include "fuzz.h"

#include "container/config.h"
#include "template/compose.h"

static void check_config(enum nvl_dialect dialect, char *text)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};

    fuzz_printable(text);
    CHECK(nvl_config_parse(&config, dialect, text, strlen(text), NULL) == 0);
    for (size_t i = 0; i < config.n_lines; i++)
        CHECK(config.lines[i].kind != NVL_LINE_UNKNOWN && config.lines[i].kind != NVL_LINE_SECTION);
}

void fuzz_one(const char *data, size_t len)
{
    nvl_auto(nvl_template_clear) struct nvl_template t = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};
    struct nvl_error err = {0};

    if (nvl_template_parse(&t, data, len, &err) < 0) {
        CHECK(err.message[0] != '\0');
        return;
    }
    CHECK(t.capabilities != 0 && (t.capabilities & ~NVL_CAP_ALL) == 0);
    fuzz_line(t.summary);
    CHECK(nvl_grant_parse(&grant, "all", NULL, NULL, NULL) == 0);
    for (int is_oci = 0; is_oci <= (t.image != NULL); is_oci++) {
        struct nvl_composition c = {
            .grant = &grant, .ctid = 220, .hostname = "web", .storage = "local", .bridge = "vmbr0"};
        nvl_composition_begin(&c, &t, is_oci);
        check_config(NVL_DIALECT_PVE, nvl_compose_pve(&c, "local:220/vm-220-disk-0.raw"));
        check_config(NVL_DIALECT_LXC, nvl_compose_lxc(&c));
    }
}
