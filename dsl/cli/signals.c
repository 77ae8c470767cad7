/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.c - what the command does when it is signalled; the library never installs a handler.
 *   INT, TERM, XCPU  the running solve ends after its iteration with the best point so far; without one the script ends at its next
 *                    instruction. Should the script be out of reach of that (a coroutine, a long call in C), the process ends by
 *                    itself GRACE seconds later. A second INT or TERM has the default action; one that follows within SAME
 *                    milliseconds is the first one again (timeout and mpirun signal a process and then its group).
 *   ALRM             also the end of the script's time, which is met like an interruption and counted in GRACE as well
 *   USR1             the current row is printed
 *   PIPE             the script ends: nobody reads what it writes. A handler, so that programs it starts have the default action.
 * Handlers set flags, call peri_interrupt and lua_sethook, and write(2); a signal can come at any moment, so what they look at is
 * here, in the only variables of file scope that the command has.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <lauxlib.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { GRACE = 1, SOLVE_GRACE = 4, SAME = 20 };

static peri_context *volatile context;
static lua_State *volatile state;
static volatile sig_atomic_t solving, stopped, row, pipe_closed, interactive, terminated, deadline, timed_out, overdue, child;
static char time_text[64]; /* what is said at the end of the time; written before the timer is set */
static volatile int64_t stopped_at; /* milliseconds; read only after `stopped` is set */

void signals_end_script(lua_State *L, lua_Debug *where)
{
    lua_Debug level = *where;
    for (int i = 0; lua_getstack(L, i, &level); i++) { /* the innermost function that has lines */
        lua_getinfo(L, "Sl", &level);
        if (level.currentline > 0)
            break;
    }
    const char *what = pipe_closed ? "writing failed: nobody reads the output (closed pipe)" : timed_out ? time_text : "interrupted";
    if (level.currentline > 0)
        lua_pushfstring(L, "%s:%d: %s", level.short_src, level.currentline, what);
    else
        lua_pushstring(L, what);
    lua_error(L);
}

/* The hook stays: a script that catches the error is ended at its next instruction again. */
static void set_hook(void)
{
    if (state != NULL)
        lua_sethook(state, signals_end_script, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static int64_t milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The first one ends the iteration in hand, or the script where none runs; a second one the script, a third one the process. */
static void stop_session(int number)
{
    if (stopped && milliseconds() - stopped_at < SAME)
        return;
    stopped_at = milliseconds();
    if (++stopped > 2) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    terminated = terminated || number != SIGINT;
    if (context != NULL)
        peri_interrupt(context);
    if (!solving || stopped > 1)
        set_hook();
}

static void on_stop(int number)
{
    if (interactive) {
        stop_session(number);
        return;
    }
    if (stopped) {
        if (milliseconds() - stopped_at < SAME)
            return;
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    stopped_at = milliseconds();
    stopped = 1;
    if (context != NULL)
        peri_interrupt(context);
    if (!solving) {
        set_hook();
        alarm(GRACE);
    }
}

/* The time is over, and the script has not noticed for GRACE seconds, a solve for some more. */
static void end_late(void)
{
    static const char begin[] = "perigee: ";
    if (solving && ++overdue < SOLVE_GRACE) {
        alarm(GRACE);
        return;
    }
    const bool told = write(STDERR_FILENO, begin, sizeof begin - 1) >= 0 && write(STDERR_FILENO, time_text, strlen(time_text)) >= 0 &&
                      write(STDERR_FILENO, "\n", 1) >= 0;
    _exit(told ? EXIT_LIMIT : EXIT_ERROR);
}

static void on_alarm(int number)
{
    static const char text[] = "perigee: interrupted\n";
    (void)number;
    if (deadline && !timed_out && !stopped) {
        timed_out = 1;
        if (context != NULL)
            peri_interrupt(context);
        if (!solving)
            set_hook();
        alarm(GRACE);
        return;
    }
    if (timed_out)
        end_late();
    if (solving)
        return;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(EXIT_ERROR);
    _exit(EXIT_INTERRUPTED);
}

static void on_row(int number)
{
    (void)number;
    row = 1;
}

static void on_pipe(int number)
{
    (void)number;
    pipe_closed = 1;
    if (!solving)
        set_hook();
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* INT stays ignored where the command was started so, as in the background of a shell script. */
static void handle_stop(int number)
{
    struct sigaction before;
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
        return;
    handle(number, on_stop, SA_RESTART);
}

void signals_install(peri_context *ctx, lua_State *L)
{
    context = ctx;
    state = L;
    handle(SIGPIPE, on_pipe, SA_RESTART);
    if (ctx == NULL)
        return; /* no script, no solve: the default actions are right */
    handle(SIGALRM, on_alarm, SA_RESTART);
    handle(SIGUSR1, on_row, SA_RESTART);
    handle_stop(SIGINT);
    handle_stop(SIGTERM);
    handle_stop(SIGXCPU);
}

void signals_solving(bool now)
{
    solving = now;
    if (!now && (pipe_closed || timed_out))
        set_hook();
}

void signals_interactive(void)
{
    interactive = 1;
    handle(SIGINT, on_stop, SA_RESTART); /* who sits at the prompt means it, whatever the session was started by */
}

void signals_reset(void)
{
    if (state != NULL)
        lua_sethook(state, NULL, 0, 0);
    if (context != NULL)
        peri_clear_interrupt(context);
    stopped = 0;
}

bool signals_terminated(void)
{
    return terminated != 0;
}

bool signals_interrupted(void)
{
    return stopped != 0;
}

bool signals_row_wanted(void)
{
    const bool wanted = row != 0;
    row = 0;
    return wanted;
}

bool signals_pipe_closed(void)
{
    return pipe_closed != 0;
}

void signals_deadline(double seconds)
{
    if (!(seconds < 1e9))
        return;
    const struct itimerval time = {.it_value = {.tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)fmin(1e6 * (seconds - floor(seconds)) + 1, 999999)}};
    snprintf(time_text, sizeof time_text, "time limit of %g s reached", seconds);
    deadline = 1;
    setitimer(ITIMER_REAL, &time, NULL);
}

bool signals_timed_out(void)
{
    return timed_out != 0;
}

bool signals_ending(void)
{
    return stopped || timed_out || pipe_closed;
}

static void forward(int number)
{
    if (child > 0)
        kill((pid_t)child, number);
}

void signals_forward(int to)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGXCPU, SIGUSR1};
    child = to;
    for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
        handle(numbers[k], forward, SA_RESTART);
}

void signals_forget(void)
{
    deadline = 0;
    alarm(0);
    context = NULL;
    state = NULL;
}
