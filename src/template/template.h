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
 *   install       list of shell commands that install it: required; may be empty if there is an image
 *   service       "/opt/x/bin/x --port 80": what a systemd unit shall run, if the installation makes none
 *   user          whom the program runs as: the installation's user, or the unit's; "root" by default
 *   url           where people open it, "http://ADDRESS:8080"; ADDRESS is the container's
 *   then          list of lines for people: what to do by hand afterwards
 *   verify        the name that `verify --workload` takes
 *   image         its OCI image, "docker.io/ollama/ollama:latest"; then
 *   entrypoint    what the image starts
 *   environment   list of the image's "PATH=…"
 *
 * Each command of `install` is run by `sh -c` as root in a fresh container, in their order, without a
 * terminal and with DEBIAN_FRONTEND=noninteractive. One that was killed in the middle is run again, so each
 * must also work a second time: apt-get does nothing after that until `dpkg --configure -a` ran. */
#pragma once

#include "base/root.h"

#define NVL_TEMPLATES_LOCAL "/etc/nvlxc/templates"
#define NVL_TEMPLATES       "/usr/share/nvlxc/templates"

#define NVL_TEMPLATE_ADDRESS "ADDRESS" /* stands in a url for the container's address */

struct nvl_template {
    char *name; /* the file's, without ".json": lower-case letters, digits, '-' */
    char *path; /* the file that it was read from */
    char *summary;
    unsigned capabilities; /* of grant/grant.h */
    unsigned memory, swap; /* MiB */
    unsigned cores, disk;  /* GiB */
    char *ostype, *os_template;
    struct nvl_strv features, install, environment, then;
    char *user;                                        /* "root" if the file says nothing */
    char *service, *url, *verify, *image, *entrypoint; /* NULL for none */
};

struct nvl_templates {
    struct nvl_template *items; /* by name */
    size_t count;
};

/* Templates are the machine's, also where another host is looked at: with `root` NULL. A program that runs
 * from its build has those of its checkout instead of NVL_TEMPLATES.
 *
 * Reads all templates. Leaves out one whose file is wrong; `problems` gets a line that says what and where.
 */
int nvl_templates_read(const struct nvl_root *root, struct nvl_templates *templates,
                       struct nvl_strv *problems, struct nvl_error *err);
void nvl_templates_clear(struct nvl_templates *templates);

/* Finds a template by name; -ENOENT lists the existing ones. */
int nvl_template_find(const struct nvl_root *root, const char *name, struct nvl_template *t,
                      struct nvl_error *err);
void nvl_template_clear(struct nvl_template *t);
/* Whether it is a word of Proxmox for a container's system (PVE::LXC::Config). */
bool nvl_is_ostype(const char *word);
/* Parses the text of a file. For tests and fuzzing. */
int nvl_template_parse(struct nvl_template *t, const char *text, size_t len, struct nvl_error *err);
