/* Reads and writes the note's text; lend/notes.c writes the file. */
#include "host/loan.h"

#include "base/paths.h"
#include "base/root.h"

#define LOAN_MAX      (16u << 10)
#define FUNCTIONS_MAX 8 /* of one PCI slot */

/* The rest of a line that begins with `word` and a blank. */
static bool take_rest(const char *line, size_t len, const char *word, const char **rest, size_t *rest_len)
{
    size_t n = strlen(word);

    if (len < n || strncmp(line, word, n) != 0 || (len > n && line[n] != ' '))
        return false;
    *rest = line + n + (len > n);
    *rest_len = len - n - (len > n);
    return true;
}

static void take_function(struct nvl_loan *loan, const char *text, size_t len)
{
    nvl_autofree char *copy = nvl_xstrndup(text, len);
    char *driver = strchr(copy, ' '), pci[NVL_PCI_MAX];

    if (driver != NULL)
        *driver++ = '\0';
    if (loan->n_functions == FUNCTIONS_MAX || !nvl_pci_normalise(copy, pci))
        return;
    struct nvl_lent_function *function = NVL_APPEND(loan->functions, loan->n_functions);
    *function = (struct nvl_lent_function){0};
    nvl_copy(function->pci, sizeof function->pci, pci, strlen(pci));
    if (driver != NULL && nvl_is_plain(driver) && strchr(driver, '/') == NULL)
        nvl_copy(function->driver, sizeof function->driver, driver, strlen(driver));
}

static void take_index(struct nvl_loan *loan, const char *text, size_t len)
{
    char digits[16];
    uint64_t number;

    if (nvl_copy(digits, sizeof digits, text, len) && nvl_parse_uint(digits, 10, 0xffff, &number) == 0)
        loan->index = (int)number;
}

/* A VM's number goes into commands. */
static void take_vm(struct nvl_loan *loan, const char *text, size_t len)
{
    char digits[16];
    uint64_t number;

    if (nvl_copy(digits, sizeof digits, text, len) && nvl_parse_uint(digits, 10, 999999999, &number) == 0)
        nvl_copy(loan->vm, sizeof loan->vm, digits, len);
}

static void take_uuid(struct nvl_loan *loan, const char *text, size_t len)
{
    char uuid[NVL_UUID_MAX];

    if (nvl_copy(uuid, sizeof uuid, text, len) && nvl_is_gpu_uuid(uuid))
        nvl_copy(loan->uuid, sizeof loan->uuid, uuid, len);
}

void nvl_loan_parse(const char *text, size_t len, struct nvl_loan *loan)
{
    const char *line, *rest;
    size_t pos = 0, line_len, rest_len;

    while (nvl_next_line(text, len, &pos, &line, &line_len)) {
        if (take_rest(line, line_len, "uuid", &rest, &rest_len))
            take_uuid(loan, rest, rest_len);
        else if (take_rest(line, line_len, "model", &rest, &rest_len))
            nvl_copy(loan->model, sizeof loan->model, rest, rest_len);
        else if (take_rest(line, line_len, "index", &rest, &rest_len))
            take_index(loan, rest, rest_len);
        else if (take_rest(line, line_len, "vm", &rest, &rest_len))
            take_vm(loan, rest, rest_len);
        else if (take_rest(line, line_len, "function", &rest, &rest_len))
            take_function(loan, rest, rest_len);
        else if (take_rest(line, line_len, "persistenced", &rest, &rest_len))
            loan->stopped_persistenced = true;
        else if (take_rest(line, line_len, "drained", &rest, &rest_len))
            loan->drained = true;
    }
}

int nvl_loan_read(const struct nvl_root *root, const char *pci, struct nvl_loan *loan)
{
    nvl_autofree char *path = nvl_xasprintf(NVL_LOANS_DIR "/%s", pci), *text = NULL;
    size_t len;

    *loan = (struct nvl_loan){.index = -1};
    int r = nvl_root_read(root, path, LOAN_MAX, &text, &len);
    if (r < 0)
        return r;
    nvl_copy(loan->pci, sizeof loan->pci, pci, strlen(pci));
    nvl_loan_parse(text, len, loan);
    return 0;
}

char *nvl_loan_format(const struct nvl_loan *loan)
{
    struct nvl_buf b = {0};

    if (loan->uuid[0] != '\0')
        nvl_buf_addf(&b, "uuid %s\n", loan->uuid);
    if (loan->model[0] != '\0')
        nvl_buf_addf(&b, "model %s\n", loan->model);
    if (loan->index >= 0)
        nvl_buf_addf(&b, "index %d\n", loan->index);
    if (loan->vm[0] != '\0')
        nvl_buf_addf(&b, "vm %s\n", loan->vm);
    for (size_t i = 0; i < loan->n_functions; i++)
        nvl_buf_addf(&b, "function %s %s\n", loan->functions[i].pci, loan->functions[i].driver);
    if (loan->stopped_persistenced)
        nvl_buf_addf(&b, "persistenced stopped\n");
    if (loan->drained)
        nvl_buf_addf(&b, "drained\n");
    return nvl_buf_take(&b);
}

void nvl_loan_clear(struct nvl_loan *loan)
{
    free(loan->functions);
    loan->functions = NULL;
    loan->n_functions = 0;
}
