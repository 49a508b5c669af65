/* The parts of running something inside that verify_inside.c and verify_run.c share. */
#pragma once

/* Ends every process in the cgroup. */
void nvl_cgroup_kill(int cgroup);
