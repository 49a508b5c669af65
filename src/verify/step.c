/* The texts of steps. Much of them comes from the container, so every text is made printable here: it can
 * neither move a terminal's cursor nor break the JSON. */
#include "verify/step.h"

#include "base/paths.h"
#include "base/printable.h"
#include "container/commands.h"
#include "container/instance.h"
#include "doctor/facts.h"
#include "driver/advice.h"
#include "verify/session.h"
#include "verify/verify.h"

/* A command to be pasted may have several lines; other texts are cells of a table. */
static char *one_line(char *text)
{
    for (char *p = nvl_make_printable(text); *p != '\0'; p++)
        *p = *p == '\n' || *p == '\t' ? ' ' : *p;
    return text;
}

struct nvl_step *nvl_step_add(struct nvl_verify *v, const char *id, enum nvl_step_result result,
                              const char *fmt, ...)
{
    struct nvl_step *step = NVL_APPEND(v->steps->items, v->steps->count);
    va_list ap;

    va_start(ap, fmt);
    *step = (struct nvl_step){.id = id, .result = result, .evidence = one_line(nvl_xvasprintf(fmt, ap))};
    va_end(ap);
    return step;
}

void nvl_step_cause(struct nvl_step *step, const char *fmt, ...)
{
    va_list ap;

    free(step->cause);
    va_start(ap, fmt);
    step->cause = one_line(nvl_xvasprintf(fmt, ap));
    va_end(ap);
}

void nvl_step_fix(struct nvl_step *step, const char *fmt, ...)
{
    va_list ap;

    free(step->fix);
    va_start(ap, fmt);
    step->fix = nvl_make_printable(nvl_xvasprintf(fmt, ap));
    va_end(ap);
}

static void advise_libraries(const struct nvl_verify *v, struct nvl_step *step, const char *packages)
{
    const struct nvl_host_facts *host = v->facts->host;
    struct nvl_driver_need need = nvl_driver_need_of(host);
    nvl_auto(nvl_strv_clear) struct nvl_strv names = {0}, lines = {0};

    nvl_strv_split(&names, packages, " ");
    nvl_advise_libraries(&need, host->host.driver.version, &names, &lines);
    nvl_strv_push(&lines, "nvlxc driver sync");
    nvl_strv_push(&lines, v->request->restart);
    nvl_autofree char *fix = nvl_strv_join(&lines, "\n");
    nvl_step_fix(step, "%s", fix);
}

/* A grant that keeps the specification makes it at a start; else somebody writes it. */
char *nvl_step_write_cdi(const struct nvl_verify *v)
{
    const struct nvl_container_facts *f = v->facts;

    return f->has_grant && f->grant.delivery.cdi ? nvl_xstrdup(v->request->restart)
                                                 : nvl_container_write_cdi(f->container, f->name);
}

/* nvlxc's own file is replaced; those of others have to go. */
static void advise_cdi(const struct nvl_verify *v, struct nvl_step *step)
{
    nvl_autofree char *write = nvl_step_write_cdi(v);
    nvl_auto(nvl_strv_clear) struct nvl_strv lines = {0};

    for (size_t i = 0; i < v->specifications.count; i++) {
        const char *path = v->specifications.items[i];
        if (strcmp(path, NVL_CDI_FILE) == 0)
            continue;
        if (nvl_is_plain(path))
            nvl_strv_pushf(&lines, "in the container: rm %s", path);
        else
            nvl_strv_push(&lines, "in the container: delete that file");
    }
    nvl_strv_push(&lines, write);
    nvl_autofree char *fix = nvl_strv_join(&lines, "\n");
    nvl_step_fix(step, "%s", fix);
}

static void advise_nesting(const struct nvl_verify *v, struct nvl_step *step)
{
    const struct nvl_container *c = v->facts->container;

    if (c->kind == NVL_CONTAINER_PVE)
        nvl_step_fix(step, "in the web interface: CT %s, Options, Features: nesting\n%s", c->name,
                     v->request->restart);
    else if (c->kind == NVL_CONTAINER_DAEMON) {
        nvl_autofree char *command = nvl_instance_command(c->instance, "config set", "security.nesting true");
        nvl_step_fix(step, "%s\n%s", command, v->request->restart);
    } else
        nvl_step_fix(step, "add to %s: lxc.include = /usr/share/lxc/config/nesting.conf\n%s", c->config_edit,
                     v->request->restart);
}

void nvl_step_fix_from_table(const struct nvl_verify *v, struct nvl_step *step, const struct nvl_fix *fix)
{
    if (fix->text == NULL)
        return;
    if (fix->more == NVL_FIX_THEN_RESTART)
        nvl_step_fix(step, "%s\n%s", fix->text, v->request->restart);
    else if (fix->more == NVL_FIX_LIBRARIES)
        advise_libraries(v, step, fix->text);
    else if (fix->more == NVL_FIX_CDI)
        advise_cdi(v, step);
    else if (fix->more == NVL_FIX_NESTING)
        advise_nesting(v, step);
    else if (fix->more == NVL_FIX_CONTAINER)
        nvl_step_fix(step, "%s %s", fix->text, v->request->name);
    else
        nvl_step_fix(step, "%s", fix->text);
}

const struct nvl_step *nvl_steps_first_failure(const struct nvl_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++)
        if (steps->items[i].result == NVL_STEP_FAIL)
            return &steps->items[i];
    return NULL;
}

const char *nvl_step_result_name(enum nvl_step_result result)
{
    static const char *const names[] = {"pass", "fail", "skip"};

    return names[result];
}

void nvl_steps_clear(struct nvl_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        free(steps->items[i].evidence);
        free(steps->items[i].cause);
        free(steps->items[i].fix);
    }
    free(steps->items);
    *steps = (struct nvl_steps){0};
}
