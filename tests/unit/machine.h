/* Which machine the host is that a test looks at. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/machine.h"
#include "base/root.h"

/* As the kernel calls it: "x86_64", "aarch64". */
static inline void be_machine(const char *kernel)
{
    char dir[] = "/tmp/nvlxc-machine-XXXXXX", command[160];
    struct nvl_root root = NVL_ROOT_NONE;

    assert_non_null(mkdtemp(dir));
    snprintf(command, sizeof command, "mkdir -p %s/proc/sys/kernel && echo %s > %s/proc/sys/kernel/arch", dir,
             kernel, dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(nvl_root_open(&root, dir, NULL), 0);
    nvl_machine_take(&root);
    assert_string_equal(nvl_machine()->kernel, kernel);
    nvl_root_close(&root);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

/* A group's setup where the hosts of its tests are such, whatever runs the tests. */
static inline int be_x86_64(void **state)
{
    (void)state;
    be_machine("x86_64");
    return 0;
}
