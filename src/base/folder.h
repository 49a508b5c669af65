/* Folders and all that lies in them, walked by descriptor. nvl_root_make_folder makes one. */
#pragma once

/* Syncs the folder `name` and every folder in it. Files are synced by who writes them. */
int nvl_folder_sync(int at, const char *name);
/* Removes `name` and all in it, following no link; 0 also where it is not there. */
int nvl_folder_remove(int at, const char *name);
