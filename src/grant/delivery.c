/* The delivery of a grant, in words. */
#include "grant/delivery.h"

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

char *nvl_delivery_arguments(const struct nvl_delivery *delivery)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    if (delivery->required)
        nvl_strv_push(&words, "--required");
    if (delivery->exclusive)
        nvl_strv_push(&words, "--exclusive");
    if (delivery->cdi)
        nvl_strv_push(&words, "--cdi");
    if (delivery->nodes != NVL_NODES_HOOK)
        nvl_strv_pushf(&words, "--nodes=%s", nvl_nodes_mode_name(delivery->nodes));
    if (delivery->libraries != NVL_LIBRARIES_BUNDLE)
        nvl_strv_pushf(&words, "--libraries=%s", nvl_libraries_mode_name(delivery->libraries));
    return nvl_strv_join(&words, " ");
}

bool nvl_delivery_take_argument(struct nvl_delivery *delivery, const char *argument)
{
    if (strcmp(argument, "--required") == 0)
        return delivery->required = true;
    if (strcmp(argument, "--exclusive") == 0)
        return delivery->exclusive = true;
    if (strcmp(argument, "--cdi") == 0)
        return delivery->cdi = true;
    if (nvl_has_prefix(argument, "--nodes="))
        return nvl_nodes_mode_parse(argument + strlen("--nodes="), &delivery->nodes);
    if (nvl_has_prefix(argument, "--libraries="))
        return nvl_libraries_mode_parse(argument + strlen("--libraries="), &delivery->libraries);
    return false;
}
