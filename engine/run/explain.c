/* SPDX-License-Identifier: Apache-2.0 */
/* explain.c - what a model is and how it would be solved, in words: class, sizes, sparsity, the programs' kernels, the
 * plan and why. */
#include "base/num.h"
#include "base/text.h"
#include "diff/template.h"
#include "oracle/dense.h"
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

/* One line a level: the class in its own variables, the others held. */
static peri_status put_levels(text_buffer *t, nlp *p)
{
    const nlp_levels *all;
    if ((p->class_.traits & PERI_BIT(PERI_TRAIT_LEVELS)) == 0)
        return PERI_OK;
    TRY(nlp_get_levels(p, &all));
    text_add(t, "levels        %d; of several minima below, the best above is meant (optimistic form)\n", (int)all->of.n);
    for (int32_t k = 0; k < all->of.n; k++) {
        const peri_level *l = &all->info[k];
        text_add(t, "  %d %s%s%s%s: %s, %lld variables, %lld constraints, %s\n", (int)k, l->name, k > 0 ? " (inside " : "",
                 k > 0 ? all->info[l->parent].name : "", k > 0 ? ")" : "", all->at[k].class_.class_name, (long long)l->n, (long long)l->m,
                 l->convex ? "convex in its own variables" : "not proven convex in its own variables");
    }
    return PERI_OK;
}

static void put_reasons(text_buffer *t, const nlp *p)
{
    if (p->class_.why_nonsmooth[0] != '\0')
        text_add(t, "non-smooth    %s\n", p->class_.why_nonsmooth);
    if (p->class_.why_blackbox[0] != '\0')
        text_add(t, "black box     %s\n", p->class_.why_blackbox);
    if (p->dense != NULL)
        text_add(t, "second derivatives: dense, by %lld products with vectors (%s)\n", (long long)p->dense->products, p->dense->why);
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
    text_add(t, "  %-12s%lld kernels of %lld instructions on %lld instances, %lld array operations, %lld bytes", name, (long long)s.kernels,
             (long long)s.instructions, (long long)s.instances, (long long)s.array_calls, (long long)s.bytes);
    if (s.code_bytes > 0)
        text_add(t, "; %lld instructions as machine code, %lld bytes", (long long)s.in_machine_code, (long long)s.code_bytes);
    text_add(t, "\n");
}

static peri_status put_programs(text_buffer *t, nlp *p)
{
    char *kernels = NULL;
    TRY(nlp_compile(p, NLP_F));
    TRY(nlp_compile(p, NLP_C));
    text_add(t, "programs (%s)\n", eval_simd_name(p->model->g->ctx));
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

enum { SHOWN_TEMPLATES = 12, SHOWN_FORM = 60 };

static peri_status put_template(text_buffer *t, nlp *p, const diff_template *q)
{
    char *form = NULL;
    TRY(expr_entry_text(p->g, p->model->g, q->root, 0, SHOWN_FORM, &form));
    text_add(t, "  %9lld %10lld %8lld %8lld %8lld %11lld %11lld  %s\n", (long long)q->instances, (long long)q->operations,
             (long long)q->strided, (long long)q->gathered, (long long)q->columns, (long long)q->index_bytes,
             (long long)q->data_bytes, form);
    mem_array_free(&p->ctx->mem, form);
    return PERI_OK;
}

/* The repeated expressions of objective and constraints, largest first, and what they read. */
static peri_status put_templates(text_buffer *t, nlp *p)
{
    const expr_id roots[2] = {p->f, p->m > 0 ? p->c : p->f};
    diff_templates found;
    TRY(diff_find_templates(p->g, 2, roots, &found));
    peri_status status = PERI_OK;
    int64_t index = 0, data = 0;
    text_add(t, "templates     %lld, and %lld operations that are done once\n", (long long)found.all.n, (long long)found.singles);
    if (found.all.n > 0)
        text_add(t, "  instances operations  strided gathered  columns index bytes  data bytes  first instance\n");
    for (int64_t k = 0; k < found.all.n; k++) {
        if (k < SHOWN_TEMPLATES && status == PERI_OK)
            status = put_template(t, p, &found.all.at[k]);
        index += found.all.at[k].index_bytes;
        data += found.all.at[k].data_bytes;
    }
    if (found.all.n > SHOWN_TEMPLATES)
        text_add(t, "  and %lld more; in all %lld bytes of indices, %lld of data\n", (long long)(found.all.n - SHOWN_TEMPLATES),
                 (long long)index, (long long)data);
    diff_templates_release(&found);
    return status;
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
    TRY(put_levels(t, p));
    put_reasons(t, p);
    TRY(put_templates(t, p));
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
