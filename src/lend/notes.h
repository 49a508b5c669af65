/* Keeps the notes about what is lent (host/loan.h), one hand-over at a time. */
#pragma once

#include "host/loan.h"

struct nvl_error;
struct nvl_strv;

/* The lock under which a hand-over runs, from its first look to its end; the descriptor is the caller's to
 * close. -EBUSY, naming the holder, if another one runs for a minute. */
int nvl_notes_lock(const struct nvl_root *root, struct nvl_error *err);
int nvl_note_write(const struct nvl_root *root, const struct nvl_loan *loan, struct nvl_error *err);
/* 0 also if there is none. */
int nvl_note_remove(const struct nvl_root *root, const char *pci, struct nvl_error *err);
/* The addresses of what is lent. */
int nvl_notes_list(const struct nvl_root *root, struct nvl_strv *pcis, struct nvl_error *err);
