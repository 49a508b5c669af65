/* container/library_path: what a config's environment says of where the loader looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "container/library_path.h"
#include "effective.h"
#include "machine.h"
#include "temp_root.h"

static void read_path(const struct nvl_root *rootfs, enum nvl_dialect dialect, const char *text,
                      struct nvl_library_path *path)
{
    nvl_auto(nvl_config_clear) struct nvl_config config = {0};

    assert_int_equal(nvl_config_parse(&config, dialect, nvl_xstrdup(text), strlen(text), NULL), 0);
    nvl_auto(nvl_effective_clear) struct nvl_effective effective = effective_of(&config);
    nvl_library_path_read(&effective, rootfs, "/usr/local/nvidia", path);
}

static void the_environment_is_read_as_liblxc_sets_it(void **state)
{
    static const struct {
        enum nvl_dialect dialect;
        const char *text;
        enum nvl_library_path_state state;
    } cases[] = {
        {NVL_DIALECT_PVE, "arch: amd64\n", NVL_LIBRARY_PATH_UNSET},
        /* Ollama's image and NVIDIA's */
        {NVL_DIALECT_PVE,
         "lxc.environment.runtime: LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64\n",
         NVL_LIBRARY_PATH_FINDS},
        {NVL_DIALECT_LXC, "lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib64/:/x\n",
         NVL_LIBRARY_PATH_FINDS},
        {NVL_DIALECT_LXC, "lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib\n",
         NVL_LIBRARY_PATH_OTHERS},
        {NVL_DIALECT_LXC, "lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib64x:/usr/local/nvidia\n",
         NVL_LIBRARY_PATH_OTHERS},
        {NVL_DIALECT_LXC, "lxc.environment = XLD_LIBRARY_PATH=/usr/local/nvidia/lib64\n",
         NVL_LIBRARY_PATH_UNSET},
        {NVL_DIALECT_LXC, "lxc.environment = LD_LIBRARY_PATH\n", NVL_LIBRARY_PATH_UNSET},
        {NVL_DIALECT_LXC, "lxc.environment = LD_LIBRARY_PATH=\n", NVL_LIBRARY_PATH_UNSET},
        /* the last one, and runtime after the other wherever it stands */
        {NVL_DIALECT_LXC,
         "lxc.environment = LD_LIBRARY_PATH=/x\nlxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib64\n",
         NVL_LIBRARY_PATH_FINDS},
        {NVL_DIALECT_PVE,
         "lxc.environment.runtime: LD_LIBRARY_PATH=/x\nlxc.environment: "
         "LD_LIBRARY_PATH=/usr/local/nvidia/lib64\n",
         NVL_LIBRARY_PATH_OTHERS},
        {NVL_DIALECT_LXC,
         "lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib64\nlxc.environment =\nlxc.environment = "
         "A=b\n",
         NVL_LIBRARY_PATH_UNSET},
        /* a snapshot's are not in force */
        {NVL_DIALECT_PVE,
         "arch: amd64\n\n[before]\nlxc.environment.runtime: LD_LIBRARY_PATH=/usr/local/nvidia/lib64\n",
         NVL_LIBRARY_PATH_UNSET},
    };

    (void)state;
    for (size_t i = 0; i < NVL_LENGTH(cases); i++) {
        nvl_auto(nvl_library_path_clear) struct nvl_library_path path = {0};
        read_path(NULL, cases[i].dialect, cases[i].text, &path);
        if (path.state != cases[i].state)
            fail_msg("%sgave %d", cases[i].text, path.state);
        assert_int_equal(nvl_library_path_is_well(&path), cases[i].state == NVL_LIBRARY_PATH_FINDS);
    }
}

static void the_linker_finds_it_too(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_library_path_clear) struct nvl_library_path without = {0}, with = {0};

    put(t, "/etc/passwd", "");
    read_path(&t->root, NVL_DIALECT_LXC, "lxc.environment = LD_LIBRARY_PATH=/opt\n", &without);
    assert_false(without.has_linker);
    assert_false(nvl_library_path_is_well(&without));
    put(t, "/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n");
    put(t, "/etc/ld.so.conf.d/libc.conf", "");
    read_path(&t->root, NVL_DIALECT_LXC, "lxc.environment = LD_LIBRARY_PATH=/opt\n", &with);
    assert_true(with.has_linker);
    assert_true(nvl_library_path_is_well(&with));
}

/* NVIDIA's CUDA images bring a libcuda for older drivers, in a folder that some put first. */
static void a_library_before_the_bundle_is_seen(void **state)
{
    const struct temp_root *t = *state;
    nvl_auto(nvl_library_path_clear) struct nvl_library_path first = {0}, second = {0};

    put(t, "/etc/ld.so.conf", "");
    put(t, "/etc/ld.so.conf.d/x.conf", "");
    put(t, "/usr/local/cuda/compat/libcuda.so.1", "");
    read_path(&t->root, NVL_DIALECT_LXC,
              "lxc.environment = LD_LIBRARY_PATH=/usr/local/cuda/compat:/usr/local/nvidia/lib64\n", &first);
    assert_string_equal(first.shadowed, "/usr/local/cuda/compat/libcuda.so.1");
    assert_int_equal(first.state, NVL_LIBRARY_PATH_FINDS);
    assert_false(nvl_library_path_is_well(&first));
    read_path(&t->root, NVL_DIALECT_LXC,
              "lxc.environment = LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/cuda/compat\n", &second);
    assert_null(second.shadowed);
    assert_true(nvl_library_path_is_well(&second));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_is_read_as_liblxc_sets_it),
        cmocka_unit_test_setup_teardown(the_linker_finds_it_too, setup_root, teardown_root),
        cmocka_unit_test_setup_teardown(a_library_before_the_bundle_is_seen, setup_root, teardown_root),
    };

    return cmocka_run_group_tests_name("library_path", tests, be_x86_64, NULL);
}
