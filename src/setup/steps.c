/* Steps: added, found, named. */
#include "setup/steps.h"

struct nvl_setup_step *nvl_setup_step_add(struct nvl_setup_plan *plan, const char *id, const char *title,
                                          enum nvl_setup_state state, char *reason)
{
    struct nvl_setup_step *step = NVL_APPEND(plan->steps, plan->count);

    *step = (struct nvl_setup_step){.id = id, .title = title, .state = state, .reason = reason};
    return step;
}

struct nvl_strv *nvl_setup_step_command(struct nvl_setup_step *step, const char *word, ...)
{
    struct nvl_strv *argv = NVL_APPEND(step->commands, step->n_commands);
    va_list ap;

    va_start(ap, word);
    for (; word != NULL; word = va_arg(ap, const char *))
        nvl_strv_push(argv, word);
    va_end(ap);
    return argv;
}

bool nvl_setup_step_write(struct nvl_setup_step *step, const char *path, const char *old_text,
                          const char *new_text)
{
    if (old_text != NULL && strcmp(old_text, new_text) == 0)
        return false;
    struct nvl_edit *edit = NVL_APPEND(step->edits, step->n_edits);
    *edit = (struct nvl_edit){.path = nvl_xstrdup(path),
                              .old_text = old_text != NULL ? nvl_xstrdup(old_text) : NULL,
                              .old_len = old_text != NULL ? strlen(old_text) : 0,
                              .new_text = nvl_xstrdup(new_text),
                              .new_len = strlen(new_text)};
    return true;
}

const struct nvl_setup_step *nvl_setup_find(const struct nvl_setup_plan *plan, const char *id)
{
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->steps[i].id, id) == 0)
            return &plan->steps[i];
    return NULL;
}

const struct nvl_setup_step *nvl_setup_first(const struct nvl_setup_plan *plan, enum nvl_setup_state state)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->steps[i].state == state)
            return &plan->steps[i];
    return NULL;
}

const char *nvl_setup_state_name(enum nvl_setup_state state)
{
    static const char *const names[] = {[NVL_SETUP_DONE] = "done",
                                        [NVL_SETUP_PENDING] = "to do",
                                        [NVL_SETUP_NOT_NEEDED] = "not needed",
                                        [NVL_SETUP_YOURS] = "for you to do",
                                        [NVL_SETUP_IMPOSSIBLE] = "impossible"};
    return names[state];
}

char *nvl_setup_command_text(const struct nvl_strv *argv)
{
    nvl_auto(nvl_strv_clear) struct nvl_strv words = {0};

    for (size_t i = 0; i < argv->count; i++)
        *NVL_APPEND(words.items, words.count) = nvl_shell_word(argv->items[i]);
    return nvl_strv_join(&words, " ");
}
