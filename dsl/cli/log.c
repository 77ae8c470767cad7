/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - --log FILE: what happened, one JSON object a line. Every object has "event": "start" (a solve begins), "iteration", "warning",
 * "end". Numbers have 17 digits; infinities and NaN, which JSON lacks, are the texts "inf", "-inf" and "nan"; what a method did not
 * give is left out. Invariant: each line is whole when it reaches the file.
 */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <string.h>

int log_open(cli *c)
{
    if (c->args.log == NULL)
        return EXIT_SOLVED;
    c->log = fopen(c->args.log, "we");
    if (c->log == NULL)
        return cli_say("%s: opening failed: %s", c->args.log, strerror(errno));
    return EXIT_SOLVED;
}

static void put_text(FILE *f, const char *text)
{
    fputc('"', f);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(f, "\\%c", *p);
        else if (*p < 0x20)
            fprintf(f, "\\u%04x", *p);
        else
            fputc(*p, f);
    }
    fputc('"', f);
}

static void put_number(FILE *f, double x)
{
    if (isfinite(x))
        fprintf(f, "%.17g", x);
    else
        fputs(isnan(x) ? "\"nan\"" : x > 0 ? "\"inf\"" : "\"-inf\"", f);
}

static void number_field(FILE *f, const char *key, double x)
{
    fprintf(f, ", \"%s\": ", key);
    put_number(f, x);
}

static void text_field(FILE *f, const char *key, const char *text)
{
    fprintf(f, ", \"%s\": ", key);
    put_text(f, text);
}

static void given_field(FILE *f, const char *key, double x)
{
    if (!isnan(x))
        number_field(f, key, x);
}

static void end_line(cli *c)
{
    fputs("}\n", c->log);
    if ((fflush(c->log) != 0 || ferror(c->log)) && c->log_error == 0)
        c->log_error = errno != 0 ? errno : EIO;
}

void log_start(cli *c, peri_model *m)
{
    peri_model_info info;
    if (c->log == NULL)
        return;
    fputs("{\"event\": \"start\"", c->log);
    text_field(c->log, "model", peri_model_name(m));
    text_field(c->log, "version", peri_version());
    if (peri_model_get_info(m, &info) == PERI_OK) {
        fprintf(c->log, ", \"variables\": %lld, \"constraints\": %lld", (long long)info.variables,
                (long long)info.constraints);
        text_field(c->log, "class", info.class_name);
    }
    end_line(c);
}

void log_iteration(cli *c, const peri_event *e)
{
    if (c->log == NULL)
        return;
    fprintf(c->log, "{\"event\": \"iteration\", \"iteration\": %lld", (long long)e->iteration);
    number_field(c->log, "seconds", e->seconds);
    number_field(c->log, "objective", e->objective);
    given_field(c->log, "primal", e->primal);
    given_field(c->log, "dual", e->dual);
    given_field(c->log, "complementarity", e->complementarity);
    given_field(c->log, "step", e->step);
    given_field(c->log, "trust_radius", e->trust_radius);
    given_field(c->log, "barrier", e->barrier);
    given_field(c->log, "regularization", e->regularization);
    if (e->inner_iterations > 0)
        fprintf(c->log, ", \"inner_iterations\": %lld", (long long)e->inner_iterations);
    if (e->tag != 0)
        text_field(c->log, "tag", (char[]){e->tag, '\0'});
    fprintf(c->log, ", \"best\": %s", e->best ? "true" : "false");
    end_line(c);
}

void log_warning(cli *c, int level, const char *text)
{
    if (c->log == NULL)
        return;
    fprintf(c->log, "{\"event\": \"warning\", \"level\": %d", level);
    text_field(c->log, "text", text);
    end_line(c);
}

void log_end(cli *c, peri_solution *s)
{
    if (c->log == NULL)
        return;
    fputs("{\"event\": \"end\"", c->log);
    if (s == NULL) {
        text_field(c->log, "status", "error");
        text_field(c->log, "message", peri_error(c->ctx));
    } else {
        const peri_certificate k = peri_solution_certificate(s);
        text_field(c->log, "status", peri_outcome_name(peri_solution_outcome(s)));
        text_field(c->log, "message", peri_solution_message(s));
        text_field(c->log, "solver", peri_solution_solver(s));
        text_field(c->log, "plan", peri_solution_plan(s));
        number_field(c->log, "objective", peri_solution_objective(s));
        number_field(c->log, "primal", k.primal);
        number_field(c->log, "dual", k.dual);
        number_field(c->log, "complementarity", k.complementarity);
        number_field(c->log, "kkt", k.kkt);
        fprintf(c->log, ", \"iterations\": %lld", (long long)peri_solution_iterations(s));
        number_field(c->log, "seconds", peri_solution_times(s).total);
    }
    end_line(c);
}

int log_close(cli *c)
{
    if (c->log == NULL)
        return EXIT_SOLVED;
    const bool closed = fclose(c->log) == 0;
    const int error = c->log_error != 0 ? c->log_error : closed ? 0 : errno;
    c->log = NULL;
    return error == 0 ? EXIT_SOLVED : cli_say("%s: writing failed: %s", c->args.log, strerror(error));
}
