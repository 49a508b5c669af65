/* Questions on a terminal: a yes, one of a list, and what attach lacks. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

struct nvl_context;
struct nvl_grant;
struct nvl_host;

/* Whether someone can be asked: standard input and standard error are a terminal. */
bool nvl_can_ask(void);

enum nvl_answer { NVL_ANSWER_NO, NVL_ANSWER_YES, NVL_ANSWER_QUIT };

/* "QUESTION [y/N/q] "; only y and yes are yes, the end of the input is quit. */
enum nvl_answer nvl_ask(const char *question);
/* Lists the names, each with its text, and asks for one; a beginning that only one has stands for it. The
 * index of the answer. Other answers are asked again, three times; then, at the end of the input, and for an
 * empty answer it is -ECANCELED with err set. */
int nvl_ask_which(const char *question, const struct nvl_strv *names, const struct nvl_strv *texts,
                  struct nvl_error *err);

/* Lists this node's containers and asks for one. Its unambiguous name, which the caller frees; NULL with err
 * set if nobody can be asked, there is none, or none was chosen. */
char *nvl_choose_container(const struct nvl_context *ctx, struct nvl_error *err);
/* If the grant names no device, the host has several GPUs to give, and someone can be asked: lists them and
 * sets the choice, one of them or all. 0 also if there was nothing to ask. */
int nvl_choose_gpu(const struct nvl_context *ctx, const struct nvl_host *host, struct nvl_grant *grant,
                   struct nvl_error *err);
