/* The state of a host in a few lines: what is there. What is wrong with it is for the checks to say. */
#pragma once

#include "doctor/facts.h"

/* Appends one line for each subject, "driver     550.163.01 (open), loaded"; none for what is not there. */
void nvl_host_status(const struct nvl_host_facts *facts, struct nvl_strv *lines);
