/* The delivery of a grant, in words. */
#include "grant/delivery.h"

#include <stdio.h>

#include "base/text.h"

static const char *const nodes_words[] = {
    [NVL_NODES_HOOK] = "hook", [NVL_NODES_DEV] = "dev", [NVL_NODES_STATIC] = "static"};
static const char *const libraries_words[] = {
    [NVL_LIBRARIES_BUNDLE] = "bundle", [NVL_LIBRARIES_HOST] = "host", [NVL_LIBRARIES_NONE] = "none"};

/* The index of the word in the list; the list's length if it is not there. */
static size_t find_word(const char *const *words, size_t n, const char *word)
{
    size_t i = 0;

    while (i < n && strcmp(words[i], word) != 0)
        i++;
    return i;
}

const char *nvl_nodes_mode_name(enum nvl_nodes_mode mode)
{
    return nodes_words[mode];
}

const char *nvl_libraries_mode_name(enum nvl_libraries_mode mode)
{
    return libraries_words[mode];
}

bool nvl_nodes_mode_parse(const char *word, enum nvl_nodes_mode *mode)
{
    size_t i = find_word(nodes_words, NVL_LENGTH(nodes_words), word);

    if (i == NVL_LENGTH(nodes_words))
        return false;
    *mode = (enum nvl_nodes_mode)i;
    return true;
}

bool nvl_libraries_mode_parse(const char *word, enum nvl_libraries_mode *mode)
{
    size_t i = find_word(libraries_words, NVL_LENGTH(libraries_words), word);

    if (i == NVL_LENGTH(libraries_words))
        return false;
    *mode = (enum nvl_libraries_mode)i;
    return true;
}

/* ---- what else ---- */

#define IMEX_FOLDER "/dev/nvidia-caps-imex-channels/channel"

static const struct with_row {
    enum nvl_with with;
    const char *name, *path;
    bool is_folder, is_node;
    const char *remedy;
} with_rows[] = {
    {NVL_WITH_MPS, "mps", "/tmp/nvidia-mps", true, false, "nvidia-cuda-mps-control -d"},
    {NVL_WITH_PERSISTENCED, "persistenced", "/run/nvidia-persistenced/socket", false, false,
     "systemctl start nvidia-persistenced"},
    {NVL_WITH_FABRICMANAGER, "fabricmanager", "/run/nvidia-fabricmanager/socket", false, false,
     "systemctl start nvidia-fabricmanager"},
    {NVL_WITH_GDRCOPY, "gdrcopy", "/dev/gdrdrv", false, true,
     "install GDRCopy's module, then: modprobe gdrdrv"},
    {NVL_WITH_IMEX, "imex", IMEX_FOLDER, false, true,
     "load nvidia with the option NVreg_CreateImexChannel0=1, or start nvidia-imex"},
};

/* "imex=0" */
static bool take_imex(const char *word, struct nvl_delivery *delivery)
{
    uint64_t channel;

    if (!nvl_has_prefix(word, "imex=") ||
        nvl_parse_uint(word + strlen("imex="), 10, NVL_IMEX_CHANNEL_MAX, &channel) < 0)
        return false;
    delivery->with |= NVL_WITH_IMEX;
    delivery->imex_channel = (unsigned)channel;
    return true;
}

static bool take_with(const char *word, struct nvl_delivery *delivery)
{
    for (size_t i = 0; i < NVL_LENGTH(with_rows); i++)
        if (with_rows[i].with != NVL_WITH_IMEX && strcmp(word, with_rows[i].name) == 0)
            return (delivery->with |= with_rows[i].with) != 0;
    return take_imex(word, delivery);
}

bool nvl_with_parse(const char *words, struct nvl_delivery *delivery)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv list = {0};

    nvl_strv_split(&list, words, ",");
    for (size_t i = 0; i < list.count; i++)
        if (!take_with(list.items[i], delivery))
            return false;
    return list.count > 0;
}

char *nvl_with_format(const struct nvl_delivery *delivery)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    for (size_t i = 0; i < NVL_LENGTH(with_rows); i++)
        if ((delivery->with & with_rows[i].with) != 0 && with_rows[i].with != NVL_WITH_IMEX)
            nvl_strv_push(&words, with_rows[i].name);
    if ((delivery->with & NVL_WITH_IMEX) != 0)
        nvl_strv_pushf(&words, "imex=%u", delivery->imex_channel);
    return nvl_strv_join(&words, ",");
}

static struct nvl_with_place place_of(const struct with_row *row)
{
    struct nvl_with_place place = {
        .is_folder = row->is_folder, .is_node = row->is_node, .name = row->name, .remedy = row->remedy};

    nvl_copy(place.path, sizeof place.path, row->path, strlen(row->path));
    return place;
}

bool nvl_with_place(const struct nvl_delivery *delivery, enum nvl_with with, struct nvl_with_place *place)
{
    for (size_t i = 0; i < NVL_LENGTH(with_rows); i++) {
        const struct with_row *row = &with_rows[i];
        if (row->with != with || (delivery->with & with) == 0)
            continue;
        *place = place_of(row);
        if (with == NVL_WITH_IMEX)
            snprintf(place->path, sizeof place->path, IMEX_FOLDER "%u", delivery->imex_channel);
        return true;
    }
    return false;
}

bool nvl_with_find(const char *path, struct nvl_with_place *place)
{
    uint64_t channel;

    for (size_t i = 0; i < NVL_LENGTH(with_rows); i++) {
        const struct with_row *row = &with_rows[i];
        bool is_it = row->with == NVL_WITH_IMEX ? nvl_has_prefix(path, IMEX_FOLDER) &&
                                                      nvl_parse_uint(path + strlen(IMEX_FOLDER), 10,
                                                                     NVL_IMEX_CHANNEL_MAX, &channel) == 0
                                                : strcmp(path, row->path) == 0;
        if (!is_it)
            continue;
        *place = place_of(row);
        nvl_copy(place->path, sizeof place->path, path, strlen(path));
        return true;
    }
    return false;
}

/* ---- the words ---- */

char *nvl_delivery_arguments(const struct nvl_delivery *delivery)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    if (delivery->required)
        nvl_strv_push(&words, "--required");
    if (delivery->exclusive)
        nvl_strv_push(&words, "--exclusive");
    if (delivery->tag)
        nvl_strv_push(&words, "--tag");
    if (delivery->cdi)
        nvl_strv_push(&words, "--cdi");
    if (delivery->nodes != NVL_NODES_HOOK)
        nvl_strv_pushf(&words, "--nodes=%s", nvl_nodes_mode_name(delivery->nodes));
    if (delivery->libraries != NVL_LIBRARIES_BUNDLE)
        nvl_strv_pushf(&words, "--libraries=%s", nvl_libraries_mode_name(delivery->libraries));
    if (delivery->with != 0) {
        nvl_autofree char *with = nvl_with_format(delivery);
        nvl_strv_pushf(&words, "--with=%s", with);
    }
    return nvl_strv_join(&words, " ");
}

bool nvl_delivery_take_argument(struct nvl_delivery *delivery, const char *argument)
{
    if (strcmp(argument, "--required") == 0)
        return delivery->required = true;
    if (strcmp(argument, "--exclusive") == 0)
        return delivery->exclusive = true;
    if (strcmp(argument, "--tag") == 0)
        return delivery->tag = true;
    if (strcmp(argument, "--cdi") == 0)
        return delivery->cdi = true;
    if (nvl_has_prefix(argument, "--nodes="))
        return nvl_nodes_mode_parse(argument + strlen("--nodes="), &delivery->nodes);
    if (nvl_has_prefix(argument, "--libraries="))
        return nvl_libraries_mode_parse(argument + strlen("--libraries="), &delivery->libraries);
    return nvl_has_prefix(argument, "--with=") && nvl_with_parse(argument + strlen("--with="), delivery);
}
