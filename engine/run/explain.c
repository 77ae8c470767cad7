/* SPDX-License-Identifier: Apache-2.0 */
/* explain.c - what a model is and how it would be solved, in words: class, sizes, sparsity, the programs' kernels, the
 * plan and why. */
#include "base/num.h"
#include "base/text.h"
#include "run/run.h"

static void put_sizes(text_buffer *t, const peri_model_info *i)
{
    text_add(t, "variables     %lld", (long long)i->variables);
    if (i->integers > 0)
        text_add(t, ", %lld integer", (long long)i->integers);
    if (i->fixed > 0)
        text_add(t, ", %lld fixed", (long long)i->fixed);
    text_add(t, "\nconstraints   %lld", (long long)i->constraints);
    if (i->constraints > 0)
        text_add(t, ", %lld equalities, %lld linear", (long long)i->equalities, (long long)i->linear_rows);
    if (i->parameters > 0)
        text_add(t, "\nparameters    %lld", (long long)i->parameters);
    if (i->nonzeros_jacobian >= 0)
        text_add(t, "\njacobian      %lld non-zeros", (long long)i->nonzeros_jacobian);
    if (i->nonzeros_hessian >= 0)
        text_add(t, "\nhessian       %lld non-zeros in the lower triangle", (long long)i->nonzeros_hessian);
    text_add(t, "\n");
}

static void put_reasons(text_buffer *t, const nlp *p)
{
    if (p->class_.why_nonsmooth[0] != '\0')
        text_add(t, "non-smooth    %s\n", p->class_.why_nonsmooth);
    if (p->class_.why_blackbox[0] != '\0')
        text_add(t, "black box     %s\n", p->class_.why_blackbox);
    if (p->hess_status != PERI_OK)
        text_add(t, "no hessian    %s\n", p->why_no_hess);
}

static void put_program(text_buffer *t, nlp *p, const char *name, int which)
{
    const eval_program *program = p->program[which];
    eval_stats s;
    if (program == NULL)
        return;
    eval_get_stats(program, &s);
    text_add(t, "  %-12s%lld kernels of %lld instructions on %lld instances, %lld array operations, %lld bytes\n", name,
             (long long)s.kernels, (long long)s.instructions, (long long)s.instances, (long long)s.array_calls,
             (long long)s.bytes);
}

static peri_status put_programs(text_buffer *t, nlp *p)
{
    char *kernels = NULL;
    TRY(nlp_compile(p, NLP_F));
    TRY(nlp_compile(p, NLP_C));
    text_add(t, "programs (%s)\n", eval_simd_name());
    put_program(t, p, "objective", NLP_F);
    put_program(t, p, "constraints", NLP_C);
    put_program(t, p, "jacobian", NLP_JAC);
    put_program(t, p, "hessian", NLP_HESS);
    for (int which = NLP_F; which <= NLP_C; which += NLP_C - NLP_F) {
        if (p->program[which] == NULL)
            continue;
        TRY(eval_describe(p->program[which], &kernels));
        text_add(t, "kernels of the %s\n%s", which == NLP_F ? "objective" : "constraints", kernels);
        mem_array_free(&p->ctx->mem, kernels);
    }
    return PERI_OK;
}

static peri_status put_plan(text_buffer *t, peri_model *m, const char *plan)
{
    char *text = NULL;
    TRY(plan_explain(m, plan, &text));
    text_add(t, "%s", text);
    mem_array_free(&m->ctx->mem, text);
    return PERI_OK;
}

static peri_status explain(text_buffer *t, peri_model *m, const char *plan)
{
    peri_model_info info;
    nlp *p;
    TRY(peri_model_get_info(m, &info));
    TRY(nlp_of(m, &p));
    text_add(t, "model         %s: %s\n", m->name, info.class_name);
    put_sizes(t, &info);
    put_reasons(t, p);
    TRY(put_programs(t, p));
    return put_plan(t, m, plan);
}

peri_status peri_model_explain(peri_model *m, const char *plan, char **out)
{
    text_buffer t;
    *out = NULL;
    text_init(&t, &m->ctx->mem);
    const peri_status status = explain(&t, m, plan);
    if (status != PERI_OK) {
        text_release(&t);
        return status;
    }
    *out = text_take(&t);
    return *out != NULL ? PERI_OK : FAIL_NOMEM(m->ctx);
}
