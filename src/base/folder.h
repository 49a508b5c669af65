/* Folders with all their contents, walked by descriptor. nvl_root_make_folder makes a folder. */
#pragma once

/* Syncs the folder `name` and every folder in it. The writers of files sync those. */
int nvl_folder_sync(int at, const char *name);
/* Removes `name` with its contents, following no link; 0 also if it does not exist. */
int nvl_folder_remove(int at, const char *name);
