/* SPDX-License-Identifier: Apache-2.0 */
/*
 * help.c - the sub-commands: names, options, pages, in the one table from which arguments are read and help is printed. Invariant: a page
 * begins with two examples.
 */
#include "cli.h"

#include <string.h>

#define AT(field) offsetof(cli_args, field)

const cli_option cli_global_options[] = {
    {"quiet", 'q', NULL, OPTION_SWITCH, AT(quiet), "nothing but results and errors"},
    {"verbose", 'v', NULL, OPTION_SWITCH, AT(verbose), "a row for each iteration; the traceback of an error"},
    {"log", 0, "FILE", OPTION_VALUE, AT(log), "write every iteration to FILE, one JSON object a line"},
    {"memory-limit", 0, "SIZE", OPTION_VALUE, AT(memory_limit), "most memory for script and engine together, as 2GiB"},
    {"threads", 0, "N", OPTION_VALUE, AT(threads_text), "threads that evaluate large models; the physical cores otherwise"},
    {"blas-threads", 0, "N", OPTION_VALUE, AT(blas_threads_text), "threads of products of large matrices; 1 otherwise"},
    {"no-machine-code", 0, NULL, OPTION_SWITCH, AT(no_machine_code), "interpret expressions: slower, with the same bits"},
    {"help", 'h', NULL, OPTION_SWITCH, AT(help), "show this page"},
    {"version", 0, NULL, OPTION_SWITCH, AT(version), "show the version"},
    {0},
};

static const cli_option no_options[] = {{0}};

#define ISOLATE                                                                                                                                  \
    {                                                                                                                                            \
        "isolate", 0, NULL, OPTION_SWITCH, AT(isolate), "solve in a child process: a crash ends the solve, not the program"                      \
    }

#define FILE_SIZE                                                                                                                                \
    {                                                                                                                                            \
        "file-size-limit", 0, "SIZE", OPTION_VALUE, AT(file_size_limit), "largest file that may be written, as 100MB"                           \
    }

static const cli_option run_options[] = {
    {"sandbox", 0, NULL, OPTION_SWITCH, AT(sandbox), "a script from somebody else: no files, no programs, limits (see above)"},
    {"time-limit", 't', "T", OPTION_VALUE, AT(time_limit), "end the script after this time, as 10s or 5min"},
    FILE_SIZE,
    ISOLATE,
    {0},
};

static const cli_option solve_options[] = {
    {"solver", 's', "S", OPTION_VALUE, AT(solver), "a solver or a plan (\"ipm\"); the engine picks otherwise"},
    {"option", 'o', "KEY=VALUE", OPTION_SETTING, 0, "an option of the solver or of the engine; see perigee show"},
    {"checkpoint", 0, "FILE", OPTION_VALUE, AT(checkpoint), "write the solve's state to FILE from time to time"},
    {"checkpoint-every", 0, "SECONDS", OPTION_VALUE, AT(checkpoint_every), "between two checkpoints; 60, 0: after every iteration"},
    {"resume", 0, "FILE", OPTION_VALUE, AT(resume), "go on from a checkpoint of the same model and solver"},
    {"warm-start", 0, "FILE", OPTION_VALUE, AT(warm_start), "begin at what --save-warm-start or --json wrote, by names"},
    {"save-warm-start", 0, "FILE", OPTION_VALUE, AT(save_warm_start), "write point and multipliers, by names, for another solve"},
    {"json", 0, "OUT", OPTION_VALUE, AT(out), "write the result to OUT; \"-\": alone on standard output"},
    {"time-limit", 't', "T", OPTION_VALUE, AT(time_limit), "stop after this time, as 10s or 5min"},
    FILE_SIZE,
    ISOLATE,
    {0},
};

static const cli_option solvers_options[] = {
    {"kind", 'k', "K", OPTION_VALUE, AT(kind), "only plugins of this kind, as solver or linear_solver"},
    {"json", 0, NULL, OPTION_SWITCH, AT(json), "as a JSON array"},
    {0},
};

static const cli_option show_options[] = {
    {"json", 0, NULL, OPTION_SWITCH, AT(json), "as a JSON object"},
    {0},
};

static const cli_option report_options[] = {
    {"output", 'o', "OUT.html", OPTION_VALUE, AT(out), "the page; RUN.html otherwise, \"-\": on standard output"},
    {0},
};

static const cli_option explain_options[] = {
    {"solver", 's', "S", OPTION_VALUE, AT(solver), "explain this solver or plan instead of the engine's choice"},
    {0},
};

static const cli_option new_plugin_options[] = {
    {"kind", 'k', "K", OPTION_VALUE, AT(kind), "solver (unless set), reformulation or linear_solver"},
    {"lua", 0, NULL, OPTION_SWITCH, AT(lua), "in Lua instead of C"},
    {"folder", 0, "DIR", OPTION_VALUE, AT(folder), "the folder to make; NAME unless set"},
    {0},
};

static const cli_option check_plugin_options[] = {
    {"tap", 0, NULL, OPTION_SWITCH, AT(tap), "every check as a line of the Test Anything Protocol"},
    {"only", 0, "PART", OPTION_VALUE, AT(only), "only the parts whose names contain PART, as \"limits\""},
    {"every", 0, NULL, OPTION_SWITCH, AT(every), "let every allocation and evaluation fail in turn, not some of them"},
    {"no-fork", 0, NULL, OPTION_SWITCH, AT(no_fork), "in one process, for a debugger"},
    {"time-limit", 't', "T", OPTION_VALUE, AT(time_limit), "for each part, 2min unless set"},
    {0},
};

const cli_command cli_commands[] = {
    {
        .name = "run",
        .words = "SCRIPT.lua [ARGS...]",
        .summary = "run a script (perigee SCRIPT.lua is the same)",
        .examples = {{"perigee run model.lua", "runs the script"},
                     {"perigee --verbose run sweep.lua 0.1 20", "with two arguments in `arg`, each iteration shown"}},
        .text = "The script finds its words in the table `arg` (arg[0] is the script) and in `...`; \"-\" reads it from\n"
                "standard input. Options of the command stand before SCRIPT.\n"
                "\n"
                "--sandbox runs it in a child process that can read and write no file but standard input and output, load no\n"
                "code and start no program, with the libraries base, string, table, math, utf8, coroutine and perigee, and\n"
                "with limits: 1 GiB of memory, 60 s, 16 MiB a file, unless --memory-limit and the others say otherwise.\n"
                "\n"
                "Exit status: 0 when the script comes to its end, whatever its solves ended with; what os.exit was given;\n"
                "1 after an error; 4 when its time was over; 5 when it, or a solve in it, was interrupted.",
        .options = run_options,
        .run = cmd_run,
        .least = 1,
        .most = -1,
        .script = true,
    },
    {
        .name = "solve",
        .words = "FILE",
        .summary = "solve a .lua file that returns a model, or a MATPOWER .m case",
        .examples = {{"perigee solve model.lua --solver ipm -o tolerance=1e-9", "solves the model the file returns"},
                     {"perigee solve case14.m --json result.json --time-limit 5min", "AC optimal power flow of a case"}},
        .text = "FILE is a Lua script that ends with `return m`, or a MATPOWER case (.m), solved as an AC optimal power\n"
                "flow. A result file is written whole or not at all.\n"
                "\n"
                "Exit status: 0 solved; 1 an error; 2 wrong usage; 3 infeasible or unbounded; 4 stopped at a limit; 5\n"
                "interrupted (Control-C: the result is the best point so far; a second one ends the process).",
        .options = solve_options,
        .run = cmd_solve,
        .least = 1,
        .most = 1,
    },
    {
        .name = "solvers",
        .words = "",
        .summary = "what is installed, one line each",
        .examples = {{"perigee solvers", "lists all plugins"},
                     {"perigee solvers --kind linear_solver --json", "those of one kind, for a program"}},
        .text = "Nothing is loaded: names and summaries come from the index of each plugin folder. PERIGEE_PLUGIN_PATH names\n"
                "the folders, joined by colons; without it they are those installed with this command.",
        .options = solvers_options,
        .run = cmd_solvers,
        .least = 0,
        .most = 0,
    },
    {
        .name = "show",
        .words = "NAME",
        .summary = "a plugin's page: method, reference, every option",
        .examples = {{"perigee show ipm", "the page of the interior-point method"},
                     {"perigee show lbfgs --json", "the same facts for a program"}},
        .text = "",
        .options = show_options,
        .run = cmd_show,
        .least = 1,
        .most = 1,
    },
    {
        .name = "explain",
        .words = "FILE",
        .summary = "what a model is, and the plan that would solve it and why",
        .examples = {{"perigee explain model.lua", "class, sizes, sparsity, plan"},
                     {"perigee explain case14.m --solver lbfgs", "why that solver fits, or does not"}},
        .text = "FILE is as for perigee solve. Nothing is solved.",
        .options = explain_options,
        .run = cmd_explain,
        .least = 1,
        .most = 1,
    },
    {
        .name = "check",
        .words = "FILE",
        .summary = "a model's derivatives against finite differences, its scaling",
        .examples = {{"perigee check model.lua", "checks at the start point"},
                     {"perigee check case14.m --verbose", "and shows the origin of an error"}},
        .text = "FILE is as for perigee solve. Exit status: 0 when the derivatives agree, 1 when they do not.",
        .options = no_options,
        .run = cmd_check,
        .least = 1,
        .most = 1,
    },
    {
        .name = "new-plugin",
        .words = "NAME",
        .summary = "a folder with a small method that works, to make another one of",
        .examples = {{"perigee new-plugin descent", "a solver in C, in the folder descent"},
                     {"perigee new-plugin soft-walls --kind reformulation --lua", "a reformulation in Lua"}},
        .text = "The folder holds the method's source, a Makefile that builds it outside perigee's tree with pkg-config, a test on\n"
                "problems with known optima, and a README with the page to fill in. \"make check\" in it builds, tests, and runs\n"
                "perigee check-plugin. A folder that is there already is left alone. docs/plugins.md leads through a method.",
        .options = new_plugin_options,
        .run = cmd_new_plugin,
        .least = 1,
        .most = 1,
    },
    {
        .name = "check-plugin",
        .words = "FILE",
        .summary = "a plugin file against the contract that every plugin keeps",
        .examples = {{"perigee check-plugin mymethod.so", "runs all checks that concern it"},
                     {"perigee check-plugin mymethod.so --only known", "only problems with known optima"}},
        .text = "Tables and page; problems with known optima, limits, repeated and parallel runs; allocations, evaluations and\n"
                "users' functions that fail at the k-th call; leaks; options at their ends; for linear solvers systems with\n"
                "known inertia. Each part runs in a process of its own: a crash or an endless loop is told with the place.\n"
                "What a method may be, slow, is a note; what it must not be, wrong, is a failure. docs/plugins.md tells more.\n"
                "\n"
                "Exit status: 0 when all checks passed, 1 when some did not, 2 wrong usage or no such file.",
        .options = check_plugin_options,
        .run = cmd_check_plugin,
        .least = 1,
        .most = 1,
    },
    {
        .name = "report",
        .words = "RUN.json",
        .summary = "a result as a page: convergence, certificate, values",
        .examples = {{"perigee report run.json -o run.html", "a page of its own, for any browser"},
                     {"perigee solve model.lua --json run.json && perigee report run.json", "a solve and its page"}},
        .text = "RUN.json is what `perigee solve --json` and `sol:save` write. The page holds its style and its charts: it needs\n"
                "no other file and no network, follows the browser's light or dark scheme, and can be read on a phone.",
        .options = report_options,
        .run = cmd_report,
        .least = 1,
        .most = 1,
    },
    {
        .name = "repl",
        .words = "",
        .summary = "Lua line by line, with history and completion",
        .examples = {{"perigee repl", "a prompt where `peri` is there"},
                     {"echo 'peri.version' | perigee repl", "from a pipe: results alone"}},
        .text = "An expression is printed, and its value is `_` afterwards; a chunk that is not complete goes on in the next line;\n"
                "Tab completes names of globals, fields, methods, solvers and options; locals end with their chunk. Control-C\n"
                "ends a running solve with the best point so far, and a running chunk; Control-D ends the session. The history\n"
                "is in $XDG_STATE_HOME/perigee/history, or ~/.local/state/perigee/history.\n"
                "\n"
                "Exit status: 0 at the end of the input; 1 when it came from a pipe or file and a chunk of it failed.",
        .options = no_options,
        .run = cmd_repl,
        .least = 0,
        .most = 0,
    },
    {
        .name = "version",
        .words = "",
        .summary = "version, compiler, libraries, plugin ABI",
        .examples = {{"perigee version", "what this command was built from and runs with"},
                     {"perigee --version", "the same"}},
        .text = "",
        .options = no_options,
        .run = cmd_version,
        .least = 0,
        .most = 0,
    },
    {
        .name = "help",
        .words = "[COMMAND]",
        .summary = "this overview, or a command's page",
        .examples = {{"perigee help", "the overview"}, {"perigee help solve", "the page of one command"}},
        .text = "",
        .options = no_options,
        .run = cmd_help,
        .least = 0,
        .most = 1,
    },
    {
        .name = "index",
        .words = "DIR",
        .summary = "write the index of a plugin folder",
        .examples = {{"perigee index /usr/lib/perigee/plugins", "after installing a plugin there"},
                     {"perigee index build/plugins", "in a build tree"}},
        .text = "The index tells names, kinds and requirements without loading anything. A plugin that the index does not\n"
                "know, or whose file has changed, is still found: it is loaded to be asked.",
        .options = no_options,
        .run = cmd_index,
        .least = 1,
        .most = 1,
        .hidden = true,
    },
    {
        .name = "complete",
        .words = "SHELL [WORDS...]",
        .summary = "what a shell may propose for a command line",
        .examples = {{"perigee complete words perigee solve --s", "for the words so far, of which the last is not complete"},
                     {"perigee complete line 'perigee show i'", "for a line up to the cursor"}},
        .text = "One proposal a line: the word, a tab, what it is. A line \":files EXTENSIONS\" stands for the names of files.",
        .options = no_options,
        .run = cmd_complete,
        .least = 1,
        .most = -1,
        .script = true,
        .hidden = true,
    },
    {
        .name = "pages",
        .words = "DIR",
        .summary = "write manual pages and definitions for editors",
        .examples = {{"perigee pages build/pages", "man1/, man7/ and perigee-options.d.lua"},
                     {"perigee pages .", "here; the folders man1 and man7 must be there"}},
        .text = "One page for each command and each plugin, from the tables that the command and the plugins have.",
        .options = no_options,
        .run = cmd_pages,
        .least = 1,
        .most = 1,
        .hidden = true,
    },
    {0},
};

const cli_command *cli_find(const char *name)
{
    for (const cli_command *k = cli_commands; k->name != NULL; k++) {
        if (strcmp(k->name, name) == 0)
            return k;
    }
    return NULL;
}

static void print_options(FILE *to, const cli_option *o)
{
    for (; o->name != NULL; o++) {
        char left[48] = "    ";
        if (o->letter != 0)
            snprintf(left, sizeof left, "-%c, ", o->letter);
        const size_t n = strlen(left);
        snprintf(left + n, sizeof left - n, "--%s%s%s", o->name, o->value != NULL ? " " : "",
                 o->value != NULL ? o->value : "");
        fprintf(to, "  %-28s %s\n", left, o->help);
    }
}

void cli_overview(FILE *to)
{
    fprintf(to, "usage: perigee [OPTIONS] COMMAND ...\n"
                "       perigee SCRIPT.lua [ARGS...]\n\n");
    for (const cli_command *k = cli_commands; k->name != NULL; k++) {
        if (k->hidden)
            continue;
        char left[48];
        snprintf(left, sizeof left, "%s %s", k->name, k->words);
        fprintf(to, "  %-28s %s\n", left, k->summary);
    }
    fprintf(to, "\n");
    print_options(to, cli_global_options);
    fprintf(to, "\nperigee help COMMAND shows a command's page. Exit status: 0 solved, 1 error, 2 wrong usage,\n"
                "3 infeasible or unbounded, 4 stopped at a limit, 5 interrupted.\n");
}

void cli_page(FILE *to, const cli_command *k)
{
    for (int i = 0; i < 2; i++)
        fprintf(to, "  $ %-60s # %s\n", k->examples[i][0], k->examples[i][1]);
    const bool any = k->options[0].name != NULL;
    fprintf(to, "\nusage: perigee %s%s%s%s\n\n%s\n", k->name, any ? " [OPTIONS]" : "", k->words[0] != '\0' ? " " : "",
            k->words, k->summary);
    if (k->text[0] != '\0')
        fprintf(to, "\n%s\n", k->text);
    fprintf(to, "\n");
    print_options(to, k->options);
    print_options(to, cli_global_options);
}

int cmd_help(cli *c)
{
    if (c->args.n_words == 0) {
        cli_overview(stdout);
        return EXIT_SOLVED;
    }
    const cli_command *k = cli_find(c->args.words[0]);
    if (k != NULL) {
        cli_page(stdout, k);
        return EXIT_SOLVED;
    }
    int count = 0;
    while (cli_commands[count].name != NULL && !cli_commands[count].hidden)
        count++;
    char near[64];
    args_nearest(c->args.words[0], "", &cli_commands[0].name, sizeof cli_commands[0], count, near, sizeof near);
    return cli_usage("perigee help: no command is called \"%s\"%s", c->args.words[0], near);
}
