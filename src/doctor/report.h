/* The report of doctor, for a forum. */
#pragma once

#include "doctor/diagnose.h"

/* Markdown, without names of hosts and users, addresses, serial numbers and tokens; the caller frees. */
char *nvl_diagnosis_report(const struct nvl_diagnosis *d);
