/* Workload templates: what programs like Ollama or Jellyfin need of a container. Each is a JSON file, so that
 * anyone can add one; /etc/nvlxc/templates takes precedence over /usr/share/nvlxc/templates. The keys:
 *
 *   summary       one line                              required
 *   capabilities  "compute,utility"                     required
 *   memory, swap  MiB; swap 512 by default              memory required
 *   cores                                               required
 *   disk          GiB                                   required
 *   ostype        Proxmox's word; "debian" by default
 *   os_template   beginning of a system template's name; "debian-13-standard" by default
 *   features      list of Proxmox's "nesting=1"; that by default
 *   install       list of lines: how to install it      required
 *   verify        the name that `verify --workload` takes
 *   image         its OCI image, "docker.io/ollama/ollama:latest"; then
 *   entrypoint    what the image starts
 *   environment   list of the image's "PATH=…" */
#pragma once

#include "base/root.h"

#define NVL_TEMPLATES_LOCAL "/etc/nvlxc/templates"
#define NVL_TEMPLATES       "/usr/share/nvlxc/templates"

struct nvl_template {
    char *name; /* the file's, without ".json": lower-case letters, digits, '-' */
    char *path; /* the file that it was read from */
    char *summary;
    unsigned capabilities; /* of grant/grant.h */
    unsigned memory, swap; /* MiB */
    unsigned cores, disk;  /* GiB */
    char *ostype, *os_template;
    struct nvl_strv features, install, environment;
    char *verify, *image, *entrypoint; /* NULL for none */
};

struct nvl_templates {
    struct nvl_template *items; /* by name */
    size_t count;
};

/* Reads all templates. Leaves out one whose file is wrong; `problems` gets a line that says what and where.
 */
int nvl_templates_read(const struct nvl_root *root, struct nvl_templates *templates,
                       struct nvl_strv *problems, struct nvl_error *err);
void nvl_templates_clear(struct nvl_templates *templates);

/* Finds a template by name; -ENOENT lists the existing ones. */
int nvl_template_find(const struct nvl_root *root, const char *name, struct nvl_template *t,
                      struct nvl_error *err);
void nvl_template_clear(struct nvl_template *t);
/* Parses the text of a file. For tests and fuzzing. */
int nvl_template_parse(struct nvl_template *t, const char *text, size_t len, struct nvl_error *err);
