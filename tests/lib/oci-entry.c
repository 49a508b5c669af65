/* What an OCI image starts in the tests: with no shell and no init around it, as the image's user, it looks
 * at the GPU as a program would, writes what it saw into /out/report, and waits until it is told to stop.
 * Linked statically (-DSTATIC) it looks at the nodes alone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifndef STATIC
#include <dlfcn.h>
#include <link.h>
#endif

static FILE *report;

static void open_node(const char *path)
{
    int fd = open(path, O_RDWR);

    /* without a driver behind it a node that may be opened gives ENXIO */
    fprintf(report, "%s: %s\n", path, fd >= 0 || errno == ENXIO ? "opens" : strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void load_library(const char *name)
{
#ifdef STATIC
    fprintf(report, "%s: static\n", name);
#else
    void *library = dlopen(name, RTLD_NOW);
    struct link_map *map = NULL;

    if (library != NULL && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0)
        fprintf(report, "%s: %s\n", name, map->l_name);
    else
        fprintf(report, "%s: failed: %s\n", name, dlerror());
#endif
}

static void show_variable(const char *name)
{
    const char *value = getenv(name);

    fprintf(report, "%s=%s\n", name, value != NULL ? value : "(unset)");
}

int main(void)
{
    static const char *const nodes[] = {"/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm",
                                        "/dev/nvidia-uvm-tools"};
    sigset_t stop;
    int signal;

    sigfillset(&stop);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    report = fopen("/out/report.new", "w");
    if (report == NULL)
        return 1;
    fprintf(report, "uid %d gid %d pid %d\n", (int)getuid(), (int)getgid(), (int)getpid());
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        open_node(nodes[i]);
    load_library("libcuda.so.1");
    load_library("libnvidia-ml.so.1");
    show_variable("NVIDIA_VISIBLE_DEVICES");
    show_variable("LD_LIBRARY_PATH");
    fclose(report);
    rename("/out/report.new", "/out/report");
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGPWR);
    sigwait(&stop, &signal);
    return 0;
}
