/* The parts of running something inside that enter.c and run.c share. */
#pragma once

#include <stdbool.h>

/* Ends every process in the cgroup; each is gone as soon as it is scheduled, not before. */
void nvl_cgroup_kill(int cgroup);
/* Whether its cgroup.events has that line: "populated 1" (a process that has not ended), "frozen 1". */
bool nvl_cgroup_is(int cgroup, const char *event);
