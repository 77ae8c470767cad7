/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_option - one option table and all its uses: defaults, values of every type, every error's text, the page. */
#include "plugin/internal.h"
#include "run/internal.h"
#include "tap/tap.h"
#include "unit/text_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    double tol, wait, size;
    int64_t memory, bytes;
    int32_t verbose, search;
    const char *file;
} options;

static const char *const searches[] = {"armijo", "strong-wolfe", "hager-zhang", NULL};
static const peri_option list[] = {
    PERI_REAL("decrease", options, tol, 1e-4, 0, 0.5, "1", "share of the predicted decrease to reach"),
    PERI_REAL("patience", options, wait, INFINITY, 0, INFINITY, "s", "seconds to wait"),
    PERI_REAL("scale", options, size, -2.5, -3, 1e300, "1", "factor"),
    PERI_INT("memory", options, memory, 10, 1, 1000, "pairs", "correction pairs kept"),
    PERI_INT("workspace", options, bytes, 4096, 0, 1e15, "bytes", "room for the factors"),
    PERI_BOOL("verbose", options, verbose, 1, "tell more"),
    PERI_ENUM("search", options, search, 1, searches, "line search"),
    PERI_STRING("trace", options, file, NULL, "file for the trace"),
};
static const peri_plugin table = {.stamp = PERI_STAMP,
                                  .kind = PERI_KIND_SOLVER,
                                  .name = "lbfgs",
                                  .family = "local",
                                  .version = "1.0",
                                  .summary = "limited-memory quasi-Newton method",
                                  .page = "First paragraph, two\nlines.\n\nSecond paragraph.",
                                  .reference = "Nocedal 1980",
                                  .needs = {PERI_BIT(PERI_TRAIT_GRADIENT)},
                                  .refuses = {PERI_BIT(PERI_TRAIT_CONSTRAINTS) | PERI_BIT(PERI_TRAIT_INTEGER)},
                                  .gives = PERI_GIVES_DUALS,
                                  .flags = PERI_FLAG_AUTOMATIC,
                                  .rank = 40,
                                  .size_options = sizeof(options),
                                  .n_options = PERI_COUNT(list),
                                  .options = list};

typedef struct {
    peri_context *ctx;
    arena strings;
    options opt;
} fixture;

static peri_status set(fixture *f, const peri_setting s)
{
    return option_set(f->ctx, &table, &s, &f->opt, &f->strings);
}

static peri_status set_text(fixture *f, const char *key, const char *text)
{
    return set(f, (peri_setting){.key = key, .type = PERI_VALUE_TEXT, .text = text});
}

static peri_status set_number(fixture *f, const char *key, double x)
{
    return set(f, (peri_setting){.key = key, .type = PERI_VALUE_NUMBER, .number = x});
}

static peri_status set_bool(fixture *f, const char *key, bool x)
{
    return set(f, (peri_setting){.key = key, .type = PERI_VALUE_BOOL, .number = x});
}

static void test_defaults(fixture *f)
{
    memset(&f->opt, 0x5a, sizeof f->opt);
    is_int(option_defaults(f->ctx, &table, &f->opt), PERI_OK, "defaults");
    is_close(f->opt.tol, 1e-4, 0, 0, "a real number");
    is_close(f->opt.wait, INFINITY, 0, 0, "infinity");
    is_close(f->opt.size, -2.5, 0, 0, "a negative one");
    is_int(f->opt.memory, 10, "a whole number");
    is_int(f->opt.verbose, 1, "a truth value");
    is_int(f->opt.search, 1, "a choice");
    is_text(f->opt.file, "", "no text is the empty text");
}

static void test_numbers(fixture *f)
{
    is_int(set_number(f, "decrease", 0.125), PERI_OK, "a number");
    is_close(f->opt.tol, 0.125, 0, 0, "is set");
    is_int(set_text(f, "decrease", " 1e-6 "), PERI_OK, "a number as text");
    is_close(f->opt.tol, 1e-6, 0, 0, "is read");
    ok(set_number(f, "decrease", 0) == PERI_OK && set_number(f, "decrease", 0.5) == PERI_OK, "the range is closed");
    ok(set_number(f, "decrease", nextafter(0, -1)) != PERI_OK &&
           set_number(f, "decrease", nextafter(0.5, 1)) != PERI_OK,
       "and not a bit wider");
    is_close(f->opt.tol, 0.5, 0, 0, "a refused value changes nothing");
    is_int(set_text(f, "patience", "inf"), PERI_OK, "infinity where the range has it");

    static const struct {
        const char *text;
        double value;
    } times[] = {{"10", 10}, {"10s", 10}, {"250ms", 0.25}, {"5min", 300}, {"2 h", 7200}, {"1.5d", 129600}, {"0", 0}};

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        is_int(set_text(f, "patience", times[i].text), PERI_OK, "patience=%s", times[i].text);
        is_close(f->opt.wait, times[i].value, 1e-15, 0, "in seconds");
    }
    is_int(set_text(f, "workspace", "2GiB"), PERI_OK, "bytes");
    is_int(f->opt.bytes, INT64_C(2147483648), "by the power of two");
    is_int(set_text(f, "workspace", "1.5kB"), PERI_OK, "a fraction of a unit");
    is_int(f->opt.bytes, 1500, "that is whole in bytes");
    is_int(set_text(f, "memory", "1e2"), PERI_OK, "a whole number however it is written");
    is_int(f->opt.memory, 100, "is whole");
}

static void test_words(fixture *f)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "TRUE"}, *const no[] = {"false", "no", "off", "0",
                                                                                        "Off"};
    for (int i = 0; i < 5; i++) {
        ok(set_text(f, "verbose", yes[i]) == PERI_OK && f->opt.verbose == 1, "verbose=%s", yes[i]);
        ok(set_text(f, "verbose", no[i]) == PERI_OK && f->opt.verbose == 0, "verbose=%s", no[i]);
    }
    ok(set_bool(f, "verbose", true) == PERI_OK && f->opt.verbose == 1, "verbose = true");
    ok(set_number(f, "verbose", 0) == PERI_OK && f->opt.verbose == 0, "verbose = 0");
    ok(set_text(f, "search", "hager-zhang") == PERI_OK && f->opt.search == 2, "a choice by name");
    char text[] = "trace.csv";
    is_int(set_text(f, "trace", text), PERI_OK, "a text");
    text[0] = 'X';
    is_text(f->opt.file, "trace.csv", "is copied");
}

static void refused(fixture *f, peri_status status, const char *message)
{
    is_int(status, PERI_E_OPTION, "refused:");
    is_text(peri_error(f->ctx), message, "%s", message);
}

static void test_errors(fixture *f)
{
    refused(f, set_number(f, "memory", 0), "lbfgs: option \"memory\" is 0, must be in [1, 1000]");
    refused(f, set_number(f, "memory", 2.5), "lbfgs: option \"memory\" is 2.5, must be a whole number in [1, 1000]");
    refused(f, set_text(f, "memory", "many"), "lbfgs: option \"memory\" is \"many\", must be a number");
    refused(f, set_text(f, "memory", "10s"), "lbfgs: option \"memory\" is \"10s\", must be a number");
    refused(f, set_text(f, "memory", ""), "lbfgs: option \"memory\" is \"\", must be a number");
    refused(f, set_text(f, "memory", "2000"),
            "lbfgs: option \"memory\" is \"2000\", must be a whole number in [1, 1000]");
    refused(f, set_bool(f, "memory", true), "lbfgs: option \"memory\" is true, must be a number");
    refused(f, set_number(f, "decrease", NAN), "lbfgs: option \"decrease\" is nan, must be in [0, 0.5]");
    refused(f, set_text(f, "decrease", "nan"), "lbfgs: option \"decrease\" is \"nan\", must be in [0, 0.5]");
    refused(f, set_number(f, "memory", NAN), "lbfgs: option \"memory\" is nan, must be a whole number in [1, 1000]");
    refused(f, set_text(f, "patience", "-1s"), "lbfgs: option \"patience\" is \"-1s\", must be in [0, inf] s");
    refused(f, set_text(f, "patience", "1 year"),
            "lbfgs: option \"patience\" is \"1 year\", must be a number, as 10, 10s, 5min or 2h");
    refused(f, set_text(f, "workspace", "2 GiBs"),
            "lbfgs: option \"workspace\" is \"2 GiBs\", must be a number, as 1000000, 64MB or 2GiB");
    refused(f, set_number(f, "workspace", INFINITY),
            "lbfgs: option \"workspace\" is inf, must be in [0, 1000000000000000] bytes");
    refused(f, set_text(f, "verbose", "maybe"), "lbfgs: option \"verbose\" is \"maybe\", must be true or false");
    refused(f, set_number(f, "verbose", 2), "lbfgs: option \"verbose\" is 2, must be true or false");
    refused(f, set_number(f, "verbose", NAN), "lbfgs: option \"verbose\" is nan, must be true or false");
    refused(f, set_text(f, "search", "strong-wolf"),
            "lbfgs: option \"search\" is \"strong-wolf\", must be one of \"armijo\", \"strong-wolfe\", \"hager-zhang\" "
            "(did you mean "
            "\"strong-wolfe\"?)");
    refused(f, set_number(f, "search", 1),
            "lbfgs: option \"search\" is 1, must be one of \"armijo\", \"strong-wolfe\", \"hager-zhang\"");
    refused(f, set_number(f, "trace", 3), "lbfgs: option \"trace\" is 3, must be a text");
    refused(f, set_number(f, "memmory", 3), "lbfgs: no option \"memmory\" (did you mean \"memory\"?)");
    refused(f, set_number(f, "itertions", 3), "lbfgs: no option \"itertions\" (did you mean \"iterations\"?)");
    refused(f, set_number(f, "quux", 3), "lbfgs: no option \"quux\"");
}

/* A table with one option changed is refused with this text. */
static void bad_table(peri_option o, const char *message)
{
    char why[512] = "";
    peri_plugin p = table;
    peri_option two[2] = {list[0], o};
    p.options = two;
    p.n_options = 2;
    ok(!option_table_check(&p, why, sizeof why), "a table is refused:");
    is_text(why, message, "%s", message);
}

static void test_tables(void)
{
    char why[512] = "";
    ok(option_table_check(&table, why, sizeof why), "the table of this test is good");
    peri_option o = list[3];
    o.value = 0;
    bad_table(o, "lbfgs: option \"memory\" has the default 0 outside [1, 1000]");
    o = list[3];
    o.value = 1.5;
    bad_table(o, "lbfgs: option \"memory\" has the default 1.5, must be a whole number up to 2^53");
    o = list[2];
    o.value = NAN;
    bad_table(o, "lbfgs: option \"scale\" has the default nan outside [-3, 1e300]");
    o = list[5];
    o.value = 2;
    bad_table(o, "lbfgs: option \"verbose\" has the default 2 outside [0, 1]");
    o = list[6];
    o.value = 3;
    bad_table(o, "lbfgs: option \"search\" has the default 3 outside [0, 2]");
    o.choices = NULL;
    bad_table(o, "lbfgs: option \"search\" has no choices");
    o = list[3];
    o.name = NULL;
    bad_table(o, "lbfgs: option number 2 has no name");
    o.name = "Mem ory";
    bad_table(o, "lbfgs: option \"Mem ory\" must have a name of lower-case letters, digits and _");
    o.name = "tolerance";
    bad_table(o, "lbfgs: option \"tolerance\" is the engine's own, must have another name");
    o.name = "decrease";
    bad_table(o, "lbfgs: option \"decrease\" is there twice, as number 1 and 2");
    o = list[3];
    o.unit = NULL;
    bad_table(o, "lbfgs: option \"memory\" has no unit, must be \"1\" where it has none");
    o = list[3];
    o.help = "";
    bad_table(o, "lbfgs: option \"memory\" has no help");
    o.help = "the number of pairs";
    bad_table(o, "lbfgs: option \"memory\" has a help of several lines or one that starts with \"the\"");
    o = list[3];
    o.type = 17;
    bad_table(o, "lbfgs: option \"memory\" has type 17, must be in [0, 4]");
    o = list[3];
    o.offset = sizeof(options) - 4;
    char ends[128];
    snprintf(ends, sizeof ends, "lbfgs: option \"memory\" ends at byte %zu, size_options is %zu", sizeof(options) + 4,
             sizeof(options));
    bad_table(o, ends);
    o.offset = UINT32_MAX - 7;
    snprintf(ends, sizeof ends, "lbfgs: option \"memory\" ends at byte 4294967296, size_options is %zu",
             sizeof(options));
    bad_table(o, ends);
    o.offset = 12;
    bad_table(o, "lbfgs: option \"memory\" is at offset 12, must be a multiple of 8");
    o.offset = 0;
    bad_table(o, "lbfgs: option \"memory\" shares its field with \"decrease\"");
}

static void test_page(peri_context *ctx)
{
    const registry_entry e = {.name = "lbfgs", .kind_name = "solver", .file = "/x/lbfgs.so", .license = "Apache-2.0"};
    char *page = NULL;
    is_int(option_page(ctx, &e, &table, false, &page), PERI_OK, "the page");
    has_text(page, "lbfgs - limited-memory quasi-Newton method\n", "begins with name and summary");
    has_text(page, "  needs       first derivatives\n", "what it needs");
    has_text(page, "  refuses     integer variables and constraints\n", "what it refuses");
    has_text(page, "  gives       multipliers\n", "what it gives");
    has_text(page, "  licence     Apache-2.0\n", "the licence");
    has_text(page, "\nFirst paragraph, two lines.\n\nSecond paragraph.\n", "the paragraphs");
    has_text(page, "  decrease = 0.0001    [0, 0.5]\n      share of the predicted decrease to reach\n",
             "a real option");
    has_text(page, "  patience = inf    [0, inf] s\n", "with a unit");
    has_text(page, "  memory = 10    whole, [1, 1000] pairs\n", "a whole one");
    has_text(page, "  verbose = true    true or false\n", "a truth value");
    has_text(page, "  search = strong-wolfe    armijo, strong-wolfe, hager-zhang\n", "a choice");
    has_text(page, "  trace = \"\"    a text\n", "a text");
    peri_free_text(ctx, page);
    is_int(option_page(ctx, &e, &table, true, &page), PERI_OK, "as JSON");
    has_text(page, "\"name\"", "with its name");
    for (size_t i = 0; i < PERI_COUNT(list); i++)
        has_text(page, list[i].help, "and the option %s", list[i].name);
    has_text(page, "\"inf\"", "infinity is a text");
    peri_free_text(ctx, page);
}

static void test_match(void)
{
    char why[256];
    const uint64_t gradient = PERI_BIT(PERI_TRAIT_GRADIENT), constraints = PERI_BIT(PERI_TRAIT_CONSTRAINTS);
    const uint64_t equalities = PERI_BIT(PERI_TRAIT_EQUALITIES), integer = PERI_BIT(PERI_TRAIT_INTEGER);
    const uint64_t hessian = PERI_BIT(PERI_TRAIT_HESSIAN), sparse = PERI_BIT(PERI_TRAIT_SPARSE_HESSIAN);
    ok(match_traits(gradient, gradient, constraints, why, sizeof why), "a problem that fits");
    is_text(why, "", "has no reason");
    ok(!match_traits(gradient | constraints, gradient, constraints, why, sizeof why), "constraints");
    is_text(why, "refuses constraints", "refused");
    ok(!match_traits(constraints | equalities, 0, constraints | equalities, why, sizeof why), "both");
    is_text(why, "refuses constraints", "what follows is not repeated");
    ok(!match_traits(equalities | constraints, 0, equalities, why, sizeof why), "equalities alone");
    is_text(why, "refuses equality constraints", "refused");
    ok(!match_traits(0, hessian, 0, why, sizeof why), "no second derivatives");
    is_text(why, "needs second derivatives", "needed");
    ok(!match_traits(constraints | integer, gradient | hessian | sparse, constraints | integer, why, sizeof why),
       "all");
    is_text(why, "refuses integer variables and constraints; needs first derivatives", "in one line");
    ok(!match_traits(gradient, gradient | hessian | sparse, 0, why, sizeof why), "no derivatives but the first");
    is_text(why, "needs second derivatives", "what follows is not repeated");
    ok(!match_traits(gradient | hessian, gradient | hessian | sparse, 0, why, sizeof why), "products, but no matrix");
    is_text(why, "needs second derivatives as a sparse matrix", "is told as such");
    char tiny[8];
    ok(!match_traits(0, hessian, 0, tiny, sizeof tiny) && strlen(tiny) == 7, "a reason that does not fit is cut");
    ok(!match_traits(0, hessian, 0, NULL, 0), "nobody has to listen");
}

static peri_status never(void *state, peri_run *run, const void *o)
{
    (void)state;
    (void)run;
    (void)o;
    return PERI_E_INTERNAL;
}

/* The names that no plugin may use are those that the engine answers to. */
static void test_engine_names(peri_context *ctx)
{
    static const peri_solver_ops ops = {.init = never};
    static const peri_plugin plugin = {.name = "none", .ops = &ops};
    text_model t = text_new(ctx, 1, NULL);
    text_minimize(&t, "x1^2");
    for (int64_t k = 0; k < option_n_engine_names; k++) {
        char want[128];
        const peri_setting s = {.key = option_engine_names[k], .type = PERI_VALUE_NUMBER, .number = NAN};
        const peri_solve_args args = {.n_settings = 1, .settings = &s};
        peri_solution *solution = NULL;
        snprintf(want, sizeof want, "engine: option \"%s\" is nan, must be ", s.key);
        is_int(run_with(t.m, &plugin, "none", &args, &solution), PERI_E_OPTION, "%s = nan is refused", s.key);
        ok(strncmp(peri_error(ctx), want, strlen(want)) == 0, "by the engine: %s", peri_error(ctx));
    }
    peri_model_free(t.m);
}

int main(void)
{
    plan_later();
    fixture f = {.ctx = peri_context_new(NULL)};
    arena_init(&f.strings, &f.ctx->mem);
    test_defaults(&f);
    test_numbers(&f);
    test_words(&f);
    test_errors(&f);
    test_tables();
    test_page(f.ctx);
    test_match();
    test_engine_names(f.ctx);
    arena_release(&f.strings);
    peri_context_free(f.ctx);
    return tap_done();
}
