/* The one option parser. */
#include "cli/options.h"

struct match {
    const struct nvl_option *option;
    void *to;
};

static struct match find_option(const struct nvl_option_set *sets, size_t n_sets, const char *name,
                                size_t len)
{
    for (size_t s = 0; s < n_sets; s++)
        for (const struct nvl_option *o = sets[s].options; o != NULL && o->name != NULL; o++)
            if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
                return (struct match){o, (char *)sets[s].values + o->offset};
    return (struct match){NULL, NULL};
}

static int store_value(const struct match *match, const char *value, struct nvl_error *err)
{
    const struct nvl_option *o = match->option;

    switch (o->kind) {
    case NVL_OPTION_FLAG:
        *(bool *)match->to = true;
        break;
    case NVL_OPTION_STRING:
        if (*(const char **)match->to != NULL)
            return nvl_error_usage(err, "%s is given more than once", o->name);
        *(const char **)match->to = value;
        break;
    case NVL_OPTION_LIST:
        nvl_strv_push(match->to, value);
        break;
    }
    return 0;
}

int nvl_options_parse(const struct nvl_option_set *sets, size_t n_sets, int argc, char **argv,
                      struct nvl_strv *arguments, struct nvl_error *err)
{
    bool ended = false;

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];

        if (ended || word[0] != '-' || word[1] == '\0') {
            nvl_strv_push(arguments, word);
            continue;
        }
        if (strcmp(word, "--") == 0) {
            ended = true;
            continue;
        }
        size_t len = strcspn(word, "=");
        struct match match = find_option(sets, n_sets, word, len);
        if (match.option == NULL)
            return nvl_error_usage(err, "unknown option %.*s", (int)len, word);
        const char *value = word[len] == '=' ? word + len + 1 : NULL;
        if (match.option->value == NULL && value != NULL)
            return nvl_error_usage(err, "option %s takes no value", match.option->name);
        if (match.option->value != NULL && value == NULL) {
            if (i + 1 == argc)
                return nvl_error_usage(err, "option %s needs a value: %s", match.option->name,
                                       match.option->value);
            value = argv[++i];
        }
        int r = store_value(&match, value, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void nvl_options_help(const struct nvl_option *options, struct nvl_buf *out)
{
    for (const struct nvl_option *o = options; o != NULL && o->name != NULL; o++) {
        nvl_autofree char *left =
            nvl_xasprintf("%s%s%s", o->name, o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
        nvl_buf_addf(out, "  %-22s %s\n", left, o->help);
    }
}
