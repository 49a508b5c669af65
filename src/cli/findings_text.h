/* Findings for people and for programs. */
#pragma once

#include "cli/command.h"
#include "doctor/diagnose.h"

void nvl_diagnosis_print(const struct nvl_context *ctx, const struct nvl_diagnosis *d);
json_t *nvl_json_findings(const struct nvl_findings *findings);
