/* The driver's device nodes on the host, made as the driver's parameters want them. */
#pragma once

#include "hook/report.h"
#include "host/host.h"

/* Makes those that are missing, of another number, or an empty file: of every GPU, control, modeset, uvm, and
 * each MIG device's capabilities. Nothing where ModifyDeviceFiles is 0: the administrator's word against
 * nodes that appear by themselves. */
void nvl_nodes_ensure(const struct nvl_host *host, struct nvl_report *report);
/* The two capabilities that belong to no MIG device, `config` and `monitor`: for the host's own tools. */
void nvl_nodes_ensure_mig_tools(const struct nvl_host *host, struct nvl_report *report);
