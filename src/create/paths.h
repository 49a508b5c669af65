/* Where `create` keeps what it needs to go on, and what it says. */
#pragma once

#define NVL_CREATE_DIR "/var/lib/nvlxc/create" /* CONTAINER.json, until all is done */
#define NVL_CREATE_LOG "/var/log/nvlxc-create.log"
/* in the folder of an LXC container, until all is done */
#define NVL_CREATE_MARK_FILE ".nvlxc-create"
