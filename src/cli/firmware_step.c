/* The firmware that the loaded driver may ask for again, told in one line. */
#include "cli/firmware_step.h"

#include "bundle/firmware.h"

static void say(const struct nvl_context *ctx, const char *version, bool dry_run,
                const struct nvl_firmware_result *result)
{
    const char *would = dry_run ? "would be " : "";
    char size[16];

    nvl_format_size(result->bytes, size, sizeof size);
    if (result->n_placed > 0)
        nvl_say(ctx,
                "%s: its firmware %sput into " NVL_FIRMWARE_UPDATES
                "/%s until the reboot: the upgrade took it away",
                version, dry_run ? "would be " : "is ", version);
    else if (result->is_placed)
        nvl_say(ctx, "%s: its firmware lies in " NVL_FIRMWARE_UPDATES "/%s until the reboot", version,
                version);
    else if (result->n_kept > 0)
        nvl_say(ctx, "%s: its firmware %skept (%zu files, %s)%s", version, would, result->n_files, size,
                result->n_removed > 0 ? ", and what was lent to the kernel taken away" : "");
    else if (result->n_removed > 0)
        nvl_say(ctx, "firmware lent to the kernel until the reboot: %staken away from " NVL_FIRMWARE_UPDATES,
                would);
}

int nvl_firmware_step(const struct nvl_context *ctx, const struct nvl_driver_version *loaded, bool dry_run,
                      json_t **json, struct nvl_error *err)
{
    struct nvl_firmware_result result;
    const char *version = loaded->version;

    *json = json_null();
    if (version[0] == '\0')
        return 0;
    int r = nvl_firmware_sync(&ctx->root, version, dry_run, &result, err);
    if (r < 0)
        return nvl_error_prefix(err, "%s: its firmware", version);
    say(ctx, version, dry_run, &result);
    if (result.n_files + result.n_removed > 0)
        *json = json_pack("{s:s, s:I, s:I, s:b, s:b}", "version", version, "files",
                          (json_int_t)result.n_files, "bytes", (json_int_t)result.bytes, "changed",
                          (int)(result.n_kept + result.n_placed + result.n_removed > 0), "lent",
                          (int)result.is_placed);
    return 0;
}
