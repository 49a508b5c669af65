/* The probe's command line, its output, and how it loads a library. */
#include "probe/probe.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 400

static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

void say(const char *what, int code, const char *fmt, ...)
{
    char text[TEXT_MAX + 1], line[TEXT_MAX + 64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    int n = snprintf(line, sizeof line, "nvlxc\t%s\t%d\t%s\n", what, code, text);
    /* one write for each line: no line is lost when a library ends the process */
    put(line, (size_t)n);
}

void try(const char *what)
{
    say("try", 0, "%s", what);
}

long now_ms(void)
{
    struct timespec ts = {0, 0};

    /* clock_gettime moved from one library to another in glibc's history */
    syscall(SYS_clock_gettime, 1 /* CLOCK_MONOTONIC */, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static uintptr_t parse_hex(const char **p)
{
    uintptr_t value = 0;

    for (;; (*p)++) {
        if (**p >= '0' && **p <= '9')
            value = value * 16 + (uintptr_t)(**p - '0');
        else if (**p >= 'a' && **p <= 'f')
            value = value * 16 + (uintptr_t)(**p - 'a' + 10);
        else
            return value;
    }
}

/* One line of the memory map, "BEGIN-END rwxp OFFSET MAJ:MIN INODE   /PATH": whether it contains the address
 * and names a file; then *path points to it. */
static int line_has(const char *line, uintptr_t address, const char **path)
{
    uintptr_t begin = parse_hex(&line);

    if (*line != '-')
        return 0;
    line++;
    uintptr_t end = parse_hex(&line);
    while (*line != '\0' && *line != '/')
        line++;
    *path = line;
    return address >= begin && address < end && *line == '/';
}

/* The file that is mapped at an address. */
static int mapped_file(const void *address, char *path, size_t size)
{
    char buffer[4096], line[1024];
    size_t n_line = 0;
    ssize_t n;
    const char *found;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != '\n') {
                if (n_line < sizeof line - 1)
                    line[n_line++] = buffer[i];
                continue;
            }
            line[n_line] = '\0';
            n_line = 0;
            if (line_has(line, (uintptr_t)address, &found)) {
                close(fd);
                snprintf(path, size, "%s", found);
                return 1;
            }
        }
    }
    close(fd);
    return 0;
}

void *load(const char *soname, const char *known)
{
    char path[TEXT_MAX] = "";
    Dl_info info = {0};

    try(soname);
    void *library = dlopen(soname, RTLD_NOW);
    if (library == NULL) {
        const char *why = dlerror();
        say("load", 1, "%s %s", soname, why != NULL ? why : "");
        return NULL;
    }
    const void *address = dlsym(library, known);
    if (address != NULL && !mapped_file(address, path, sizeof path) && dladdr(address, &info) != 0 &&
        info.dli_fname != NULL)
        snprintf(path, sizeof path, "%s", info.dli_fname);
    say("load", 0, "%s %s", soname, path);
    return library;
}

int main(int argc, char **argv);

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } probes[] = {
        {"nvml", probe_nvml},
        {"cuda", probe_cuda},
        {"video", probe_video},
        {"bench", probe_bench},
    };
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "nodes") == 0) {
        probe_nodes(argc - 2, argv + 2);
        say("end", 0, " ");
        return 0;
    }
    if (strcmp(name, "library") == 0 && argc == 4) {
        probe_library(argv[2], argv[3]);
        say("end", 0, " ");
        return 0;
    }
    if (strcmp(name, "spin") == 0 && argc == 3) {
        const char *digits = argv[2];
        unsigned seconds = 0;
        while (*digits >= '0' && *digits <= '9' && seconds < 1000)
            seconds = seconds * 10 + (unsigned)(*digits++ - '0');
        probe_spin(seconds);
        say("end", 0, " ");
        return 0;
    }
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++)
        if (strcmp(name, probes[i].name) == 0) {
            probes[i].run();
            say("end", 0, " ");
            return 0;
        }
    say("usage", 2,
        "probe nodes PATH... | nvml | cuda | video | bench | spin SECONDS | library SONAME FUNCTION");
    return 2;
}
