#include "host/xid.h"

#include <errno.h>
#include <stdio.h>
#include <sys/klog.h>

#include "base/printable.h"
#include "base/root.h"
#include "base/text.h"

#define LOG_MAX  (16u << 20)
#define XIDS_MAX 256 /* GPUs and numbers; the rest of a log is left out */
#define MARK     "NVRM: Xid ("

/* Of syslog(2). */
#define READ_ALL    3
#define SIZE_BUFFER 10

void nvl_xids_clear(struct nvl_xids *xids)
{
    for (size_t i = 0; i < xids->count; i++)
        free(xids->items[i].last);
    free(xids->items);
    *xids = (struct nvl_xids){0};
}

enum nvl_xid_kind nvl_xid_kind(unsigned number, const char **meaning)
{
    static const struct {
        unsigned number;
        enum nvl_xid_kind kind;
        const char *meaning;
    } known[] = {
        {8, NVL_XID_PROGRAM, "a program's work did not end in time"},
        {13, NVL_XID_PROGRAM, "a program made the GPU do what it cannot"},
        {31, NVL_XID_PROGRAM, "a program used GPU memory that it does not have"},
        {32, NVL_XID_BUS, "commands reached the GPU damaged"},
        {38, NVL_XID_FIRMWARE, "the driver's firmware failed"},
        {43, NVL_XID_PROGRAM, "a program's work was stopped after an error of its own"},
        {45, NVL_XID_PROGRAM, "a program's work was removed: it ended, or an error came before"},
        {48, NVL_XID_MEMORY, "an error in GPU memory that cannot be corrected"},
        {61, NVL_XID_FIRMWARE, "a processor in the GPU stopped"},
        {62, NVL_XID_FIRMWARE, "a processor in the GPU halted"},
        {63, NVL_XID_MEMORY, "a damaged part of GPU memory is to be replaced at the next reset"},
        {64, NVL_XID_MEMORY, "a damaged part of GPU memory could not be replaced"},
        {69, NVL_XID_PROGRAM, "a program gave the GPU a wrong command"},
        {74, NVL_XID_BUS, "an NVLink failed"},
        {79, NVL_XID_BUS, "the GPU has fallen off the bus"},
        {92, NVL_XID_MEMORY, "many corrected errors in GPU memory"},
        {94, NVL_XID_MEMORY, "an error in GPU memory that ended the programs which used that part"},
        {95, NVL_XID_MEMORY, "an error in GPU memory that all programs may have met"},
        {109, NVL_XID_FIRMWARE, "the GPU did not change from one program to the next in time"},
        {119, NVL_XID_FIRMWARE, "the GPU's firmware (GSP) does not answer"},
        {120, NVL_XID_FIRMWARE, "the GPU's firmware (GSP) failed"},
        {140, NVL_XID_MEMORY, "an error in GPU memory that was not corrected"},
        {143, NVL_XID_FIRMWARE, "the GPU did not come up"},
    };

    for (size_t i = 0; i < NVL_LENGTH(known); i++)
        if (known[i].number == number) {
            *meaning = known[i].meaning;
            return known[i].kind;
        }
    *meaning = NULL;
    return NVL_XID_OTHER;
}

/* "PCI:0000:01:00" or "PCI:0000:01:00 GPU-I:05" for a MIG device; older drivers lack "PCI:". */
static bool read_pci_address(const char *text, size_t len, char pci[NVL_PCI_MAX])
{
    size_t prefix = len > 4 && memcmp(text, "PCI:", 4) == 0 ? 4 : 0;
    const char *blank = memchr(text, ' ', len);
    size_t end = blank != NULL ? (size_t)(blank - text) : len;

    if (end <= prefix || end - prefix >= NVL_PCI_MAX - 2)
        return false;
    nvl_autofree char *address = nvl_xasprintf("%.*s.0", (int)(end - prefix), text + prefix);
    return nvl_pci_normalise(address, pci);
}

static bool read_xid_number(const char *text, const char *end, unsigned *number)
{
    *number = 0;
    const char *p = text;
    while (p < end && *p == ' ')
        p++;
    const char *first = p;
    for (; p < end && *p >= '0' && *p <= '9' && p - first < 5; p++)
        *number = *number * 10 + (unsigned)(*p - '0');
    return p > first && p < end && *p == ',';
}

static void count_xid(struct nvl_xids *xids, const char *pci, unsigned number, char *line)
{
    struct nvl_xid *xid = NULL;

    for (size_t i = 0; i < xids->count && xid == NULL; i++)
        if (xids->items[i].number == number && strcmp(xids->items[i].pci, pci) == 0)
            xid = &xids->items[i];
    if (xid == NULL && xids->count == XIDS_MAX) {
        free(line);
        return;
    }
    if (xid == NULL) {
        xid = NVL_APPEND(xids->items, xids->count);
        *xid = (struct nvl_xid){.number = number};
        snprintf(xid->pci, sizeof xid->pci, "%s", pci);
    }
    xid->count++;
    free(xid->last);
    xid->last = nvl_make_printable(line);
}

void nvl_xids_parse(const char *text, size_t len, struct nvl_xids *xids)
{
    size_t pos = 0, line_len;
    const char *line;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        const char *end = line + line_len, *mark = memmem(line, line_len, MARK, strlen(MARK));
        const char *address = mark != NULL ? mark + strlen(MARK) : NULL;
        const char *close = address != NULL ? memchr(address, ')', (size_t)(end - address)) : NULL;
        char pci[NVL_PCI_MAX];
        unsigned number;
        if (close == NULL || end - close < 2 || close[1] != ':' ||
            !read_pci_address(address, (size_t)(close - address), pci) ||
            !read_xid_number(close + 2, end, &number))
            continue;
        /* "<4>" is the line's priority */
        const char *shown = line_len > 3 && line[0] == '<' && line[2] == '>' ? line + 3 : line;
        count_xid(xids, pci, number, nvl_xstrndup(shown, (size_t)(end - shown)));
    }
}

static int read_machine_log(struct nvl_xids *xids)
{
    int size = klogctl(SIZE_BUFFER, NULL, 0);

    if (size < 0)
        return -errno;
    if ((unsigned)size > LOG_MAX)
        size = LOG_MAX;
    nvl_autofree char *text = nvl_xcalloc((size_t)size + 1, 1);
    int len = klogctl(READ_ALL, text, size);
    if (len < 0)
        return -errno;
    nvl_xids_parse(text, (size_t)len, xids);
    return 0;
}

int nvl_xids_read(const struct nvl_root *root, struct nvl_xids *xids)
{
    nvl_autofree char *text = NULL;
    size_t len;

    if (nvl_root_is_machine(root))
        return read_machine_log(xids);
    int r = nvl_root_read(root, NVL_KERNEL_LOG, LOG_MAX, &text, &len);
    if (r == 0)
        nvl_xids_parse(text, len, xids);
    return r;
}
