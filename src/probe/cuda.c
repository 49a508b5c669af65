/* CUDA, by the driver's own interface: initializes it, lists the devices, and on each of them copies memory
 * there and back and runs a kernel whose result is compared. */
#include "probe/cuda.h"
#include "probe/probe.h"

#define DEVICES_MAX 16
#define WORDS       (1u << 18) /* 1 MiB */
#define BLOCK       256u
#define FACTOR      2654435761u

/* Each word becomes (word * FACTOR) xor its index. Every driver from 384 on supports PTX ISA 6.0, and every
 * card that a current driver supports is Maxwell (sm_50) or newer. */
static const char ptx[] = ".version 6.0\n"
                          ".target sm_50\n"
                          ".address_size 64\n"
                          ".visible .entry mix(.param .u64 words, .param .u32 count)\n"
                          "{\n"
                          "    .reg .pred %outside;\n"
                          "    .reg .b32 %block, %size, %thread, %index, %count, %word;\n"
                          "    .reg .b64 %base, %offset, %address;\n"
                          "    ld.param.u64 %base, [words];\n"
                          "    ld.param.u32 %count, [count];\n"
                          "    cvta.to.global.u64 %base, %base;\n"
                          "    mov.u32 %block, %ctaid.x;\n"
                          "    mov.u32 %size, %ntid.x;\n"
                          "    mov.u32 %thread, %tid.x;\n"
                          "    mad.lo.u32 %index, %block, %size, %thread;\n"
                          "    setp.ge.u32 %outside, %index, %count;\n"
                          "    @%outside bra done;\n"
                          "    mul.wide.u32 %offset, %index, 4;\n"
                          "    add.u64 %address, %base, %offset;\n"
                          "    ld.global.u32 %word, [%address];\n"
                          "    mul.lo.u32 %word, %word, 2654435761;\n"
                          "    xor.b32 %word, %word, %index;\n"
                          "    st.global.u32 [%address], %word;\n"
                          "done:\n"
                          "    ret;\n"
                          "}\n";

static uint32_t words[WORDS];

static uint32_t pattern(uint32_t i)
{
    return i * 747796405u + 2891336453u;
}

/* There and back, through the same words: they are cleared in between. */
static int copy_both_ways(uint64_t address)
{
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = pattern(i);
    if (!CALL("cuda.memory", "cuMemcpyHtoD", cu.to_device(address, words, sizeof words)))
        return 0;
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = 0;
    if (!CALL("cuda.memory", "cuMemcpyDtoH", cu.from_device(words, address, sizeof words)))
        return 0;
    for (uint32_t i = 0; i < WORDS; i++)
        if (words[i] != pattern(i)) {
            say("cuda.memory.compared", 1, "word %u is %08x instead of %08x", i, words[i], pattern(i));
            return 0;
        }
    say("cuda.memory.compared", 0, "%u bytes", (unsigned)sizeof words);
    return 1;
}

static int run_kernel(uint64_t address)
{
    void *module = NULL, *function = NULL;
    uint32_t count = WORDS;
    void *parameters[] = {&address, &count};

    if (!CALL("cuda.kernel", "cuModuleLoadData", cu.module_load(&module, ptx)) ||
        !CALL("cuda.kernel", "cuModuleGetFunction", cu.function(&function, module, "mix")) ||
        !CALL("cuda.kernel", "cuLaunchKernel",
              cu.launch(function, WORDS / BLOCK, 1, 1, BLOCK, 1, 1, 0, NULL, parameters, NULL)) ||
        !CALL("cuda.kernel", "cuCtxSynchronize", cu.synchronize()) ||
        !CALL("cuda.kernel", "cuMemcpyDtoH", cu.from_device(words, address, sizeof words)))
        return 0;
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t wanted = (pattern(i) * FACTOR) ^ i;
        if (words[i] != wanted) {
            say("cuda.kernel.compared", 1, "word %u is %08x instead of %08x", i, words[i], wanted);
            return 0;
        }
    }
    say("cuda.kernel.compared", 0, "%u results", WORDS);
    return 1;
}

static void use_memory(void)
{
    uint64_t address = 0;

    if (!CALL("cuda.memory", "cuMemAlloc", cu.alloc(&address, sizeof words)))
        return;
    if (copy_both_ways(address))
        run_kernel(address);
    CALL("cuda.free", "cuMemFree", cu.release(address));
}

/* "device" with its ordinal as code precedes what is reported about it. */
static void use_device(int ordinal)
{
    char name[128] = "";
    size_t bytes = 0;
    int device = 0;
    void *context = NULL;

    if (!CALL("cuda.device", "cuDeviceGet", cu.device(&device, ordinal)) ||
        !CALL("cuda.device", "cuDeviceGetName", cu.device_name(name, sizeof name, device)) ||
        !CALL("cuda.device", "cuDeviceTotalMem", cu.device_memory(&bytes, device)))
        return;
    name[sizeof name - 1] = '\0';
    say("cuda.name", ordinal, "%s, %lu MiB", name, (unsigned long)(bytes >> 20));
    if (!CALL("cuda.memory", "cuCtxCreate", cu.context_create(&context, 0, device)))
        return;
    use_memory();
    CALL("cuda.free", "cuCtxDestroy", cu.context_destroy(context));
}

void probe_cuda(void)
{
    int version = 0, count = 0;

    if (!cuda_load())
        return;
    if (CALL("cuda.version.call", "cuDriverGetVersion", cu.driver_version(&version)))
        say("cuda.version", 0, "%d.%d", version / 1000, version % 1000 / 10);
    long begin = now_ms();
    if (!CALL("cuda.init", "cuInit", cu.init(0)))
        return;
    say("cuda.ms", (int)(now_ms() - begin), " ");
    if (!CALL("cuda.device", "cuDeviceGetCount", cu.device_count(&count)))
        return;
    say("cuda.count", count, " ");
    for (int i = 0; i < count && i < DEVICES_MAX; i++)
        use_device(i);
}
