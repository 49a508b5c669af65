/* A GPU that is lent to a virtual machine: `nvlxc gpu lend` notes it in NVL_LOANS_DIR/PCI before it changes
 * anything, and `nvlxc gpu back` removes the note when all is as it was. So whoever reads the host knows that
 * containers do not get it now, and what was killed in the middle can be undone. The folder is on a tmpfs: a
 * reboot gives every GPU back. Lines: "uuid GPU-…", "model …", "index 0", "vm 101", "function PCI DRIVER",
 * "persistenced stopped", "drained". */
#pragma once

#include "host/gpu.h"

/* One PCI function of the card, and what drove it before ("" for nothing). */
struct nvl_lent_function {
    char pci[NVL_PCI_MAX], driver[32];
};

struct nvl_loan {
    char pci[NVL_PCI_MAX], uuid[NVL_UUID_MAX], model[96];
    int index;   /* as it was before; -1 if it had none */
    char vm[16]; /* "101"; "" if nobody said which */
    struct nvl_lent_function *functions;
    size_t n_functions;
    bool stopped_persistenced; /* nvidia-persistenced ran, and was stopped for it */
    bool drained;              /* the driver was told to accept no more programs on it */
};

/* -ENOENT if it is not lent; what does not parse is left out. */
int nvl_loan_read(const struct nvl_root *root, const char *pci, struct nvl_loan *loan);
void nvl_loan_parse(const char *text, size_t len, struct nvl_loan *loan);
/* The file's text; the caller frees. */
char *nvl_loan_format(const struct nvl_loan *loan);
void nvl_loan_clear(struct nvl_loan *loan);
