/* The variables, selectors, and the options of attach: what is read is written back as something that
 * reads the same. */
#include "fuzz.h"

#include "attach/delivery_check.h"
#include "attach/request.h"

static void check_variables(const char *devices, const char *capabilities)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0}, again = {0};
    struct nvl_error err = {0};

    if (nvl_grant_parse(&grant, devices, NULL, capabilities, &err) < 0) {
        CHECK(err.message[0] != '\0');
        return;
    }
    nvl_autofree char *devices_again = nvl_grant_devices(&grant);
    nvl_autofree char *capabilities_again = nvl_capabilities_format(grant.capabilities);
    CHECK(nvl_grant_parse(&again, devices_again, NULL, capabilities_again, &err) == 0);
    CHECK(again.devices == grant.devices && again.n_selectors == grant.n_selectors);
    CHECK(again.capabilities == grant.capabilities || grant.capabilities == 0);
    nvl_autofree char *twice = nvl_grant_devices(&again);
    fuzz_same(devices_again, strlen(devices_again), twice, strlen(twice));
}

/* nvlxc's own variable beside "void". */
static void check_gpus(const char *gpus)
{
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0}, again = {0};
    struct nvl_error err = {0};

    if (nvl_grant_parse(&grant, "void", gpus, NULL, &err) < 0) {
        CHECK(err.message[0] != '\0');
        return;
    }
    nvl_autofree char *devices = nvl_grant_visible_devices(&grant), *written = nvl_grant_gpus(&grant);
    CHECK((written != NULL) == nvl_grant_is_open(&grant) &&
          (written == NULL || strcmp(devices, "void") == 0));
    CHECK(nvl_grant_parse(&again, devices, written, NULL, &err) == 0);
    CHECK(again.devices == grant.devices && again.n_selectors == grant.n_selectors);
    for (size_t i = 0; i < grant.n_selectors; i++) {
        CHECK(strcmp(again.selectors[i].text, grant.selectors[i].text) == 0);
        fuzz_line(nvl_selector_name(&grant.selectors[i]));
    }
}

static void check_selector(const char *text)
{
    struct nvl_selector selector;
    struct nvl_error err = {0};
    char pci[NVL_PCI_MAX];

    if (nvl_selector_parse(text, &selector, &err) == 0)
        fuzz_line(selector.text);
    else
        CHECK(err.message[0] != '\0');
    if (nvl_pci_normalise(text, pci))
        fuzz_line(pci);
}

static void check_with(const char *words)
{
    struct nvl_delivery delivery = {0}, again = {0};

    if (!nvl_with_parse(words, &delivery))
        return;
    nvl_autofree char *text = nvl_with_format(&delivery);
    CHECK(nvl_with_parse(text, &again) && again.with == delivery.with);
    CHECK(again.imex_channel == delivery.imex_channel && again.imex_channel <= NVL_IMEX_CHANNEL_MAX);
}

static void check_request(const char *selectors, const char *capabilities)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv gpus = {0};
    nvl_auto(nvl_grant_clear) struct nvl_grant grant = {0};

    nvl_strv_push(&gpus, selectors);
    nvl_request_parse(&gpus, capabilities, false, &grant, NULL);
}

void fuzz_one(const char *data, size_t len)
{
    struct fuzz_input in = {data, len};
    nvl_autofree char *devices = fuzz_text(&in), *capabilities = fuzz_text(&in);

    check_variables(devices, capabilities[0] != '\0' ? capabilities : NULL);
    check_gpus(devices);
    check_selector(devices);
    check_with(devices);
    check_request(devices, capabilities[0] != '\0' ? capabilities : NULL);
}
