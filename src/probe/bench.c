/* The small work that nvlxc bench compares between host and container, on the first GPU that CUDA shows: the
 * time to cuInit, copies, kernel launches, and a kernel that only computes. Each line is "bench.WHAT" with
 * its number as text: microseconds, MB/s (10^6 bytes), launches a second, or MFLOP/s. */
#include "probe/cuda.h"
#include "probe/probe.h"

#include <sys/syscall.h>
#include <unistd.h>

#define BUFFER     (32u << 20)  /* in the host's memory, pinned */
#define DEVICE     (128u << 20) /* more than any GPU's cache */
#define THREADS    256u
#define PER_SM     8u /* blocks for each multiprocessor */
#define STEPS      1024u
#define FMAS       8u
#define LAUNCHES   256u
#define MEASURE_NS 200000000ul
#define WARM_UP_NS 300000000ul

enum { ATTRIBUTE_MULTIPROCESSORS = 16 };

/* `nothing` returns at once. `compute` has eight chains of x = x * 0.5 + 1 in each thread, which end at
 * exactly 2 whatever they began with; their sum is stored, so that the compiler cannot drop them. */
#define FMA(n)   "    fma.rn.f32 %x" #n ", %x" #n ", 0f3F000000, 0f3F800000;\n"
#define BEGIN(n) "    add.f32 %x" #n ", %start, 0f3F800000;\n"
#define ADD(n)   "    add.f32 %sum, %sum, %x" #n ";\n"
static const char ptx[] =
    ".version 6.0\n"
    ".target sm_50\n"
    ".address_size 64\n"
    ".visible .entry nothing()\n"
    "{\n"
    "    ret;\n"
    "}\n"
    ".visible .entry compute(.param .u64 sums, .param .u32 steps)\n"
    "{\n"
    "    .reg .pred %again;\n"
    "    .reg .b32 %block, %size, %thread, %place, %left;\n"
    "    .reg .b64 %base, %offset, %address;\n"
    "    .reg .f32 %start, %sum, %x<8>;\n"
    "    ld.param.u64 %base, [sums];\n"
    "    ld.param.u32 %left, [steps];\n"
    "    cvta.to.global.u64 %base, %base;\n"
    "    mov.u32 %block, %ctaid.x;\n"
    "    mov.u32 %size, %ntid.x;\n"
    "    mov.u32 %thread, %tid.x;\n"
    "    mad.lo.u32 %place, %block, %size, %thread;\n"
    "    mul.wide.u32 %offset, %place, 4;\n"
    "    add.u64 %address, %base, %offset;\n"
    "    cvt.rn.f32.u32 %start, %thread;\n" BEGIN(0) BEGIN(1) BEGIN(2) BEGIN(3) BEGIN(4) BEGIN(5) BEGIN(6)
        BEGIN(7) "again:\n" FMA(0) FMA(1) FMA(2) FMA(3) FMA(4) FMA(5) FMA(6)
            FMA(7) "    sub.u32 %left, %left, 1;\n"
                   "    setp.ne.u32 %again, %left, 0;\n"
                   "    @%again bra again;\n"
                   "    mov.f32 %sum, 0f00000000;\n" ADD(0) ADD(1) ADD(2) ADD(3) ADD(4) ADD(5) ADD(6)
                       ADD(7) "    st.global.f32 [%address], %sum;\n"
                              "    ret;\n"
                              "}\n";
#define SUM_OF_TWOS 0x41800000u /* 16.0 */

/* What the batches work on. */
static struct {
    void *pinned;
    uint64_t a, b; /* each DEVICE bytes */
    void *nothing, *compute;
    unsigned blocks;
} at;

static unsigned long now_ns(void)
{
    struct {
        long s, ns;
    } ts = {0, 0};

    syscall(SYS_clock_gettime, 1 /* CLOCK_MONOTONIC */, &ts);
    return (unsigned long)ts.s * 1000000000ul + (unsigned long)ts.ns;
}

/* One batch each, up to its end on the GPU; returns the driver's error. */
static int copy_to_device(void)
{
    int r = cu.to_device(at.a, at.pinned, BUFFER);

    return r != 0 ? r : cu.synchronize();
}

static int copy_from_device(void)
{
    int r = cu.from_device(at.pinned, at.a, BUFFER);

    return r != 0 ? r : cu.synchronize();
}

static int copy_on_device(void)
{
    int r = 0;

    for (int i = 0; i < 4 && r == 0; i++)
        r = cu.on_device(i % 2 == 0 ? at.b : at.a, i % 2 == 0 ? at.a : at.b, DEVICE);
    return r != 0 ? r : cu.synchronize();
}

static int launch_many(void)
{
    int r = 0;

    for (unsigned i = 0; i < LAUNCHES && r == 0; i++)
        r = cu.launch(at.nothing, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL);
    return r != 0 ? r : cu.synchronize();
}

static int compute(void)
{
    uint32_t steps = STEPS;
    void *parameters[] = {&at.a, &steps};
    int r = 0;

    for (int i = 0; i < 4 && r == 0; i++)
        r = cu.launch(at.compute, at.blocks, 1, 1, THREADS, 1, 1, 0, NULL, parameters, NULL);
    return r != 0 ? r : cu.synchronize();
}

/* Repeats batches until the time is over, at least three. Returns the error; *count and *ns tell what was
 * done. */
static int repeat(int (*batch)(void), unsigned long limit, unsigned long *count, unsigned long *ns)
{
    unsigned long begin = now_ns();

    *count = 0;
    do {
        int r = batch();
        if (r != 0)
            return r;
        *count += 1;
        *ns = now_ns() - begin;
    } while (*ns < limit || *count < 3);
    return 0;
}

/* Measures after one batch that does not count. `work` is what one batch does; `scale` of its units in a
 * nanosecond are one reported unit. */
static int measure(const char *what, int (*batch)(void), unsigned long work, unsigned long scale)
{
    unsigned long count = 0, ns = 1;

    try(what);
    int r = batch();
    if (r == 0)
        r = repeat(batch, MEASURE_NS, &count, &ns);
    if (r != 0)
        return cuda_went("bench.call", what, r);
    say(what, 0, "%lu", count * work * scale / (ns > 0 ? ns : 1));
    return 1;
}

static int check_sums(void)
{
    uint32_t *sums = at.pinned, count = at.blocks * THREADS;

    if (!CALL("bench.call", "cuMemcpyDtoH", cu.from_device(sums, at.a, (size_t)count * sizeof *sums)))
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (sums[i] != SUM_OF_TWOS) {
            say("bench.compared", 1, "result %u is %08x instead of %08x", i, sums[i], SUM_OF_TWOS);
            return 0;
        }
    say("bench.compared", 0, "%u results", count);
    return 1;
}

/* Wakes the GPU's clocks and checks what it computes, before anything is measured. */
static int warm_up(void)
{
    unsigned long count, ns;

    return CALL("bench.call", "a kernel", repeat(compute, WARM_UP_NS, &count, &ns)) && check_sums();
}

static int make_ready(int device)
{
    void *module = NULL;
    int multiprocessors = 0;

    if (!CALL("bench.call", "cuDeviceGetAttribute",
              cu.device_attribute(&multiprocessors, ATTRIBUTE_MULTIPROCESSORS, device)) ||
        !CALL("bench.call", "cuMemAllocHost", cu.alloc_pinned(&at.pinned, BUFFER)) ||
        !CALL("bench.call", "cuMemAlloc", cu.alloc(&at.a, DEVICE)) ||
        !CALL("bench.call", "cuMemAlloc", cu.alloc(&at.b, DEVICE)) ||
        !CALL("bench.call", "cuModuleLoadData", cu.module_load(&module, ptx)) ||
        !CALL("bench.call", "cuModuleGetFunction", cu.function(&at.nothing, module, "nothing")) ||
        !CALL("bench.call", "cuModuleGetFunction", cu.function(&at.compute, module, "compute")))
        return 0;
    if (multiprocessors < 1 || multiprocessors > 1024)
        multiprocessors = 1;
    at.blocks = (unsigned)multiprocessors * PER_SM;
    return 1;
}

static void measure_all(void)
{
    unsigned long flops = 4ul * at.blocks * THREADS * STEPS * FMAS * 2;

    if (!warm_up() || !measure("bench.to-device", copy_to_device, BUFFER, 1000) ||
        !measure("bench.from-device", copy_from_device, BUFFER, 1000) ||
        !measure("bench.on-device", copy_on_device, 4ul * DEVICE, 1000) ||
        !measure("bench.launches", launch_many, LAUNCHES, 1000000000ul))
        return;
    measure("bench.compute", compute, flops, 1000);
}

static void name_device(int device)
{
    unsigned char uuid[16] = {0};
    char name[128] = "";

    if (cu.device_name(name, sizeof name, device) == 0) {
        name[sizeof name - 1] = '\0';
        say("bench.name", 0, "%s", name);
    }
    if (cu.device_uuid == NULL || cu.device_uuid(uuid, device) != 0)
        return;
    say("bench.uuid", 0, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", uuid[0],
        uuid[1], uuid[2], uuid[3], uuid[4], uuid[5], uuid[6], uuid[7], uuid[8], uuid[9], uuid[10], uuid[11],
        uuid[12], uuid[13], uuid[14], uuid[15]);
}

/* Everything up to a context on the first device; reports how long cuInit took. */
static int begin(int *device, void **context)
{
    if (!cuda_load())
        return 0;
    unsigned long before = now_ns();
    int r = (try("cuInit"), cu.init(0));
    unsigned long after = now_ns();
    if (!cuda_went("bench.call", "cuInit", r))
        return 0;
    say("bench.init", 0, "%lu", (after - before) / 1000);
    if (!CALL("bench.call", "cuDeviceGet", cu.device(device, 0)))
        return 0;
    name_device(*device);
    return CALL("bench.call", "cuCtxCreate", cu.context_create(context, 0, *device)) && make_ready(*device);
}

static void finish_bench(void *context)
{
    cu.release(at.a);
    cu.release(at.b);
    cu.release_pinned(at.pinned);
    cu.context_destroy(context);
}

void probe_bench(void)
{
    void *context = NULL;
    int device = 0;

    if (!begin(&device, &context))
        return;
    measure_all();
    finish_bench(context);
}

void probe_spin(unsigned seconds)
{
    void *context = NULL;
    int device = 0;
    unsigned long count = 0, ns = 0;

    if (!begin(&device, &context))
        return;
    say("bench.spinning", 0, "%u s", seconds);
    if (CALL("bench.call", "a kernel", repeat(compute, seconds * 1000000000ul, &count, &ns)))
        check_sums();
    finish_bench(context);
}
