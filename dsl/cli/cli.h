/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the `perigee` command from the inside. One `cli` is one call of the command: what was typed, the context, the Lua state and
 * what is shown of running solves. Results go to standard output, everything else to standard error.
 */
#ifndef PERI_CLI_H
#define PERI_CLI_H

#include <perigee/perigee.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/types.h>

struct lua_State;
struct lua_Debug;

enum { EXIT_SOLVED = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_NO_SOLUTION = 3, EXIT_LIMIT = 4, EXIT_INTERRUPTED = 5 };

/* ---- what was typed ------------------------------------------------------------------------------------------------ */

/* What all the sub-commands' options can set. Texts are borrowed from argv. */
typedef struct {
    bool quiet, verbose, help, version, json, isolate, sandbox;
    bool tap, every, no_fork, lua, no_machine_code;
    const char *only, *folder;
    const char *log, *memory_limit, *file_size_limit, *threads_text, *blas_threads_text;
    const char *solver, *time_limit, *out, *kind;
    const char *warm_start, *save_warm_start;
    const char *checkpoint, *checkpoint_every, *resume;
    const char **settings; /* [n_settings] KEY=VALUE in the order typed */
    const char **words;    /* [n_words] what is not an option; for `run` the script and its arguments */
    int n_settings, n_words;
    size_t memory, file_size;  /* bytes; 0: no limit */
    int threads, blas_threads; /* 0: the engine's choice */
    double seconds; /* limit of a solve, for `run` of the script; infinity: none */
} cli_args;

typedef enum { OPTION_SWITCH, OPTION_VALUE, OPTION_SETTING } option_kind;

typedef struct {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* its name in the help; NULL for a switch */
    option_kind kind;
    size_t offset; /* of the field in cli_args */
    const char *help;
} cli_option;

typedef struct cli cli;

typedef struct {
    const char *name, *words, *summary; /* words: "FILE", as in the usage line */
    const char *examples[2][2];         /* command line, what it does */
    const char *text;
    const cli_option *options; /* ended by a NULL name */
    int (*run)(cli *c);        /* the exit status */
    int least, most;           /* number of words */
    bool script;               /* options end at the first word: the rest belongs to the script */
    bool hidden;               /* not in the overview */
} cli_command;

/* A table of pages and entry points, ended by a NULL name. help.c */
extern const cli_command cli_commands[];
extern const cli_option cli_global_options[];
const cli_command *cli_find(const char *name); /* NULL: none */
void cli_overview(FILE *to);
void cli_page(FILE *to, const cli_command *command);

/* args.c. Each prints its one line and gives false where what was typed is wrong. */
bool args_alloc(cli_args *a, int argc);
void args_free(cli_args *a);
/* Options before the first word, from argv[*at] on; *at becomes the first word's index. */
bool args_globals(cli_args *a, int argc, char **argv, int *at);
bool args_command(cli_args *a, const cli_command *command, int argc, char **argv);
/* ` (did you mean "run"?)`, or "" when nothing is near; names are `count` texts, one every `stride` bytes from `first` on, shown
 * after `prefix` */
void args_nearest(const char *word, const char *prefix, const char *const *first, size_t stride, int count, char *out,
                  size_t size);

/* ---- one call of the command ------------------------------------------------------------------------------------------- */

typedef struct {
    size_t used, limit; /* bytes in Lua and in the engine together; limit 0: none */
    size_t refused;     /* bytes of Lua's last request where that was in vain: it collects and asks again */
    bool strict;        /* once it is exceeded, the engine gets nothing more */
    bool exceeded;
} cli_budget;

/* What is shown of a running solve. watch.c */
typedef struct {
    bool progress, table; /* a line that overwrites itself; a row for each iteration */
    bool colour, line_shown;
    double last_shown;    /* clock of the last progress line */
    int rows;             /* of the table since its header */
    int width;            /* of the terminal */
    const char *problem;  /* borrowed during a solve; NULL outside of one */
    bool any_interrupted; /* a solve ended so */
    /* What goes on, told by the engine; a thread shows it where nothing else has been shown for a second. All of this under `lock`. */
    bool ticking, stop;
    pthread_t ticker;
    pid_t owner; /* the process that the thread is in */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    const char *phase;    /* of building or solving; NULL: none */
    double phase_since;   /* clock */
    int64_t expressions;  /* so far, while a script builds */
    bool any_event;       /* of the running solve; the last one: */
    peri_event event;
    double event_at;      /* clock */
    double residual[8];   /* of the last events */
    int64_t events;
    const char *inner;    /* the link that solves an inner problem; NULL: none */
    int64_t inner_iteration;
    double inner_objective;
} cli_watch;

/* An interactive session. cmd_repl.c */
typedef struct {
    const char *line; /* borrowed: what was read last */
    bool more;        /* the chunk is not complete */
    bool failed;      /* some chunk ended in an error */
} cli_session;

struct cli {
    cli_args args;
    cli_session session;
    cli_budget budget;
    peri_context *ctx;
    struct lua_State *L;
    cli_watch watch;
    int status;   /* what the last solve makes the exit status of a solved file */
    bool solving; /* the file was read: an error is one of the solve */
    FILE *log;
    int log_error; /* errno of the first write to the log that failed; 0: none */
};

/* main.c */
int cli_say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* a line on standard error; gives EXIT_ERROR */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the same; gives EXIT_USAGE */
int cli_engine_error(cli *c, const char *about); /* the context's error, after "about: " unless NULL; gives EXIT_ERROR */

/* world.c: the context and the Lua state. EXIT_SOLVED, or the line was printed. */
int world_open_context(cli *c);
int world_open(cli *c);
void world_close(cli *c);
/* A folder that belongs to the program: in a build tree `here` beside it, else where `installed` lies from it, else `installed`. */
void world_folder(const char *here, const char *installed, char *out, size_t size);
/* The plugin path of this program; NULL: the engine's own search */
const char *world_plugin_path(char *out, size_t size);
/* Calls fn in protected mode; its errors become a line and an exit status. `name`: the file in hand. */
int world_call(cli *c, int (*fn)(struct lua_State *L), const char *name);
cli *world_cli(struct lua_State *L); /* of that state and its coroutines */
/* Pushes the compiled chunk of a file ("-": standard input); raises a Lua error where it cannot. */
void world_load(struct lua_State *L, const char *path);
/* `arg` as the stand-alone interpreter has it: arg[0] the script, from 1 on its words */
void world_set_words(struct lua_State *L, int n, const char *const *words);

/* cmd_*.c */
int cmd_run(cli *c);
int cmd_solve(cli *c);
int cmd_solvers(cli *c);
int cmd_show(cli *c);
int cmd_explain(cli *c);
int cmd_check(cli *c);
int cmd_version(cli *c);
int cmd_help(cli *c);
int cmd_index(cli *c);
int cmd_check_plugin(cli *c);
int cmd_new_plugin(cli *c);
int cmd_repl(cli *c);
int cmd_report(cli *c);
int cmd_complete(cli *c);
int cmd_pages(cli *c);
/* cmd_lua.c: the table that a command written in Lua gets; the module perigee.command.NAME. Both under lua_pcall. */
void cli_push_command(struct lua_State *L);
void cli_push_module(struct lua_State *L, const char *name);
/* Pushes the model that a file describes; raises a Lua error where it does not. cmd_solve.c */
peri_model *cli_push_model(struct lua_State *L, const char *path);
void cli_print_version(FILE *to, bool all);

/* signals.c */
void signals_install(peri_context *ctx, struct lua_State *L); /* any may be NULL */
void signals_solving(bool solving);                            /* a solve begins, ends */
bool signals_interrupted(void);                                /* INT, TERM or XCPU came */
bool signals_row_wanted(void);                                 /* USR1 came since the last call */
bool signals_pipe_closed(void);
/* An interactive session: a signal stops what runs, and the next chunk begins anew. */
void signals_interactive(void);
void signals_reset(void);
bool signals_terminated(void); /* TERM or XCPU came */
/* The script is interrupted after so many seconds, and the process ended soon after should that not help. */
void signals_deadline(double seconds);
bool signals_timed_out(void);
bool signals_ending(void); /* the script is to end, for whatever reason */
void signals_end_script(struct lua_State *L, struct lua_Debug *where); /* raises the error that says which */
void signals_forward(int to); /* what this process gets goes on to that one */
void signals_forget(void); /* the context and the state are about to go */

/* edit.c: lines from a terminal, edited where libedit is there, or from a pipe. */
typedef struct edit edit;
/* Proposes what could stand behind `before`: text to insert and lines to show, "" for nothing. Borrowed until the next call. */
typedef void (*edit_complete_fn)(void *ud, const char *before, int width, const char **insert, const char **show);
edit *edit_open(edit_complete_fn complete, void *ud); /* NULL: out of memory */
bool edit_is_terminal(const edit *e);
typedef enum { EDIT_LINE, EDIT_END, EDIT_INTERRUPTED } edit_result;
edit_result edit_read(edit *e, const char *prompt, const char **line); /* borrowed until the next call; without its end */
void edit_close(edit *e);

/* sandbox.c */
void sandbox_watch(struct lua_State *L); /* memory, time and interruption end the script, and no pcall keeps it */

/* confine.c */
void confine_defaults(cli_args *a); /* limits of a sandbox where none were given */
void confine_files(const cli_args *a);
void filter_calls(bool processes); /* filter.c: processes: may be made, and told to end */
/* A child process for the sandbox: true in it; false in the parent, once it has ended with *status. */
bool confine_fork(cli *c, int *status);
void confine_self(const cli *c); /* in the child, when all is open that it needs */

/* watch.c: the binding's three calls (dsl/c/host.h), and the engine's log; ud is the cli */
void watch_open(cli *c);
void watch_close(cli *c); /* the thread is over and nothing stands on the terminal; safe to call twice */
void watch_clear(cli *c); /* what stands on the terminal makes room for a line of the script */
void watch_begin(void *ud, peri_model *m);
int watch_event(void *ud, const peri_event *event);
void watch_end(void *ud, peri_solution *s);
void watch_progress(void *ud, const peri_progress *now);
void watch_note(void *ud, int level, const char *text);

/* log.c: --log FILE, one JSON object a line */
int log_open(cli *c);
void log_start(cli *c, peri_model *m);
void log_iteration(cli *c, const peri_event *event);
void log_warning(cli *c, int level, const char *text);
void log_end(cli *c, peri_solution *s);
int log_close(cli *c);

/* output.c */
/* Writes all of the text at `path` ("-": standard output) or leaves what was there. EXIT_SOLVED or the line was printed. */
int output_file(const char *path, const char *text, size_t size);
/* Flushes standard output; `status`, or EXIT_ERROR after a line when something of it could not be written. */
int output_finish(int status);

#endif
