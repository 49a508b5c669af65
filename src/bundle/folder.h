/* Folders and what lies in them, by descriptor: made, synced, removed. Not public: for this room. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Makes one folder, 0755 whatever the umask; 0 also where it is there. */
int nvl_folder_make(int at, const char *name);
/* Makes the folders above the last component of `path`. */
int nvl_folder_make_parents(int at, const char *path);
/* Syncs the folder `name` and every folder in it. Files are synced by who writes them. */
int nvl_folder_sync(int at, const char *name);
/* Removes `name` and all in it, following no link; 0 also where it is not there. */
int nvl_folder_remove(int at, const char *name);
