/* The plan as people read it: numbered steps, why, and what exactly would be run and written. */
#include "plan/diff.h"
#include "setup/plan.h"

#define WIDTH 96 /* of the text behind a step's number */

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

static void add_wrapped(struct nvl_buf *out, const char *text)
{
    const char *line;
    size_t len;

    while (nvl_next_wrapped(&text, WIDTH, &line, &len))
        nvl_buf_addf(out, "     %.*s\n", (int)len, line);
}

static void add_edit(struct nvl_buf *out, const struct nvl_edit *edit)
{
    nvl_auto(nvl_buf_clear) struct nvl_buf diff = {0};
    const char *line;
    size_t pos = 0, len;

    nvl_diff(&diff, edit->old_text != NULL ? edit->path : "/dev/null",
             edit->old_text != NULL ? edit->old_text : "", edit->old_len, edit->path, edit->new_text,
             edit->new_len);
    while (nvl_next_line(diff.data, diff.len, &pos, &line, &len))
        nvl_buf_addf(out, "     | %.*s\n", (int)len, line);
}

void nvl_setup_plan_show(const struct nvl_setup_plan *plan, struct nvl_buf *out)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct nvl_setup_step *step = &plan->steps[i];

        nvl_buf_addf(out, "%2zu.  %s: %s\n", i + 1, step->title, nvl_setup_state_name(step->state));
        add_wrapped(out, step->reason);
        for (size_t e = 0; e < step->n_edits; e++)
            add_edit(out, &step->edits[e]);
        for (size_t c = 0; c < step->n_commands; c++) {
            nvl_autofree char *text = nvl_setup_command_text(&step->commands[c]);
            nvl_buf_addf(out, "     # %s\n", text);
        }
        if (step->installs)
            nvl_buf_addf(
                out, "     (tried with --simulate first; nothing is run where it would remove a package)\n");
    }
}
