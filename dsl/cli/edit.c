/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit.c - lines that a person types, or a pipe gives. libedit is opened when there is a terminal to edit on, not before: a run of a
 * script does not pay for it, and where it is missing lines are read as they come. The history is a text file with a line for each,
 * appended to at once, so that two sessions lose nothing. Invariant: between two calls the terminal is as it was found.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { MOST_LINES = 2000 }; /* of the history: kept when a session begins */

/* What is used of libedit. */
typedef struct {
    void *library;
    EditLine *(*init)(const char *, FILE *, FILE *, FILE *);
    void (*end)(EditLine *);
    const char *(*gets)(EditLine *, int *);
    int (*set)(EditLine *, int, ...);
    int (*wset)(EditLine *, int, ...);
    int (*get)(EditLine *, int, ...);
    int (*source)(EditLine *, const char *);
    const LineInfo *(*line)(EditLine *);
    int (*insert)(EditLine *, const char *);
    History *(*history_init)(void);
    void (*history_end)(History *);
    int (*history)(History *, HistEvent *, int, ...);
} libedit;

struct edit {
    bool terminal;
    libedit api;
    EditLine *el; /* NULL: lines come unedited */
    History *history;
    locale_t locale; /* of the person, for the characters that are typed; 0: none */
    edit_complete_fn complete;
    void *ud;
    const char *prompt; /* borrowed from the last call */
    bool interrupted;
    bool begun; /* the first byte of the line has been asked for */
    int ahead;  /* bytes left of those that the terminal had by then: typed while it was not in the editor's mode */
    char *path; /* of the history; NULL: there is none */
    char *buffer, *before;
    size_t room;
};

/* ---- the history's file ------------------------------------------------------------------------------------------------- */

/* The folder and those above it. */
static void make_folder(char *path)
{
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        (void)mkdir(path, 0700);
        *p = '/';
    }
}

static char *history_path(void)
{
    char *path = NULL;
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (state != NULL && state[0] == '/')
        n = asprintf(&path, "%s/perigee/history", state);
    else if (home != NULL && home[0] == '/')
        n = asprintf(&path, "%s/.local/state/perigee/history", home);
    if (n < 0)
        return NULL;
    make_folder(path);
    return path;
}

static void remember(edit *e, const char *line)
{
    HistEvent event;
    e->api.history(e->history, &event, H_ENTER, line);
}

static void append_line(const edit *e, const char *line)
{
    char *text = NULL;
    const int fd = e->path != NULL ? open(e->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    const int n = asprintf(&text, "%s\n", line); /* at once: two sessions do not mix */
    if (n > 0 && write(fd, text, (size_t)n) != n)
        cli_say("%s: writing failed: %s", e->path, strerror(errno));
    if (n >= 0)
        free(text);
    close(fd);
}

/* The last lines of the file; a file with far more is written anew with these. */
static void load_history(edit *e)
{
    char *lines[MOST_LINES], *line = NULL;
    size_t room = 0;
    int64_t n = 0;
    FILE *f = e->path != NULL ? fopen(e->path, "re") : NULL;
    if (f == NULL)
        return;
    for (ssize_t length; (length = getline(&line, &room, f)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        char *copy = line[0] != '\0' ? strdup(line) : NULL;
        if (copy == NULL)
            continue;
        if (n >= MOST_LINES)
            free(lines[n % MOST_LINES]);
        lines[n++ % MOST_LINES] = copy;
    }
    free(line);
    fclose(f);
    const int64_t first = n > MOST_LINES ? n - MOST_LINES : 0;
    FILE *again = n > 2 * MOST_LINES ? fopen(e->path, "we") : NULL;
    for (int64_t k = first; k < n; k++) {
        remember(e, lines[k % MOST_LINES]);
        if (again != NULL)
            fprintf(again, "%s\n", lines[k % MOST_LINES]);
        free(lines[k % MOST_LINES]);
    }
    if (again != NULL)
        fclose(again);
}

/* ---- libedit ------------------------------------------------------------------------------------------------------------------ */

static bool find(void *library, const char *name, void *place)
{
    void *symbol = dlsym(library, name);
    memcpy(place, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool load(libedit *api)
{
    void *l = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
    api->library = l;
    return l != NULL && find(l, "el_init", &api->init) && find(l, "el_end", &api->end) && find(l, "el_gets", &api->gets) &&
           find(l, "el_set", &api->set) && find(l, "el_wset", &api->wset) && find(l, "el_get", &api->get) &&
           find(l, "el_source", &api->source) && find(l, "el_line", &api->line) && find(l, "el_insertstr", &api->insert) &&
           find(l, "history_init", &api->history_init) && find(l, "history_end", &api->history_end) &&
           find(l, "history", &api->history);
}

/* libedit hands its callbacks nothing but its own object; of el_get, which knows the client, there is only one. */
static int (*get_client)(EditLine *, int, ...);

static edit *client(EditLine *el)
{
    void *found = NULL;
    get_client(el, EL_CLIENTDATA, &found);
    return found;
}

static char *prompt_of(EditLine *el)
{
    return (char *)(uintptr_t)client(el)->prompt;
}

/* Waits for a byte without losing a signal that comes just before. -1: interrupted */
static int wait_for_byte(void)
{
    sigset_t stop, before;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, &before);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = 0;
    while (!signals_interrupted() && (ready = ppoll(&input, 1, NULL, &before)) < 0 && errno == EINTR && !signals_interrupted())
        ;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return signals_interrupted() ? -1 : ready;
}

/*
 * One byte. Control-D that is typed while a chunk runs ends a line for the terminal, which keeps it as a NUL when the editor then asks
 * for single bytes; it is put back, so that a session can be left ahead.
 */
static ssize_t get_byte(edit *e, unsigned char *byte)
{
    enum { CONTROL_D = 4 };
    if (!e->begun && ioctl(STDIN_FILENO, FIONREAD, &e->ahead) != 0)
        e->ahead = 0;
    e->begun = true;
    if (wait_for_byte() < 0) {
        e->interrupted = true;
        return -1;
    }
    const ssize_t got = read(STDIN_FILENO, byte, 1);
    if (got > 0 && e->ahead > 0) {
        e->ahead--;
        *byte = *byte == '\0' ? CONTROL_D : *byte;
    }
    return got;
}

/* One character in UTF-8, which is what the terminal sends; a byte that is none stands for itself. */
static int get_character(EditLine *el, wchar_t *out)
{
    edit *e = client(el);
    unsigned char bytes[4];
    int n = 0, want = 1;
    while (n < want) {
        const ssize_t got = get_byte(e, &bytes[n]);
        if (got <= 0)
            return (int)got;
        if (n++ == 0)
            want = bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : bytes[0] >= 0xC0 ? 2 : 1;
    }
    wchar_t c = bytes[0] & (want == 4 ? 0x07 : want == 3 ? 0x0F : want == 2 ? 0x1F : 0xFF);
    for (int k = 1; k < want; k++)
        c = (wchar_t)(c << 6 | (bytes[k] & 0x3F));
    *out = c;
    return 1;
}

static int width(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

/* Tab: what all proposals have in common is inserted; where there is nothing to insert, they are shown. */
static unsigned char on_tab(EditLine *el, wint_t key)
{
    edit *e = client(el);
    const LineInfo *line = e->api.line(el);
    const size_t n = (size_t)(line->cursor - line->buffer);
    const char *insert = "", *show = "";
    (void)key;
    char *before = realloc(e->before, n + 1);
    if (before == NULL)
        return CC_REFRESH_BEEP;
    e->before = before;
    memcpy(before, line->buffer, n);
    before[n] = '\0';
    if (strspn(before, " \t") == n)
        insert = "  ";
    else
        e->complete(e->ud, before, width(), &insert, &show);
    if (insert[0] != '\0')
        return e->api.insert(el, insert) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
    if (show[0] == '\0')
        return CC_REFRESH_BEEP;
    printf("\n%s", show);
    fflush(stdout);
    return CC_REDISPLAY;
}

/* libedit asks the thread's locale how characters are written; scripts never see it. */
static locale_t enter_locale(const edit *e)
{
    return e->locale != (locale_t)0 ? uselocale(e->locale) : (locale_t)0;
}

static void leave_locale(locale_t before)
{
    if (before != (locale_t)0)
        uselocale(before);
}

static void start_editing(edit *e)
{
    HistEvent event;
    const char *term = getenv("TERM");
    if (term == NULL || strcmp(term, "dumb") == 0 || !load(&e->api))
        return;
    e->history = e->api.history_init();
    e->el = e->history != NULL ? e->api.init("perigee", stdin, stdout, stderr) : NULL;
    if (e->el == NULL)
        return;
    get_client = e->api.get;
    e->api.set(e->el, EL_CLIENTDATA, e);
    e->api.set(e->el, EL_EDITOR, "emacs");
    e->api.set(e->el, EL_PROMPT, prompt_of);
    e->api.set(e->el, EL_GETCFN, get_character);
    e->api.history(e->history, &event, H_SETSIZE, MOST_LINES);
    e->api.history(e->history, &event, H_SETUNIQUE, 1);
    e->api.set(e->el, EL_HIST, e->api.history, e->history);
    e->api.wset(e->el, EL_ADDFN, L"perigee-complete", L"complete a name", on_tab); /* el_set would copy the texts and never free them */
    e->api.set(e->el, EL_BIND, "^I", "perigee-complete", NULL);
    e->api.set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    e->api.source(e->el, NULL); /* the person's own ~/.editrc */
    e->path = history_path();
    load_history(e);
}

/* ---- lines -------------------------------------------------------------------------------------------------------------------- */

edit *edit_open(edit_complete_fn complete, void *ud)
{
    edit *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->complete = complete;
    e->ud = ud;
    e->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (e->terminal) {
        e->locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
        const locale_t before = enter_locale(e);
        start_editing(e);
        leave_locale(before);
    }
    return e;
}

bool edit_is_terminal(const edit *e)
{
    return e->terminal;
}

static edit_result keep_line(edit *e, const char *text, size_t n, const char **line)
{
    if (n + 1 > e->room) {
        char *more = realloc(e->buffer, n + 1);
        if (more == NULL)
            return EDIT_END;
        e->buffer = more;
        e->room = n + 1;
    }
    memmove(e->buffer, text, n);
    e->buffer[n] = '\0';
    *line = e->buffer;
    return EDIT_LINE;
}

static edit_result read_edited(edit *e, const char **line)
{
    int n = 0;
    e->interrupted = false;
    e->begun = false;
    const locale_t before = enter_locale(e);
    const char *text = e->api.gets(e->el, &n);
    leave_locale(before);
    if (text == NULL || n <= 0) {
        putchar('\n');
        return e->interrupted ? EDIT_INTERRUPTED : EDIT_END;
    }
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    const edit_result result = keep_line(e, text, (size_t)n, line);
    if (result == EDIT_LINE && (*line)[strspn(*line, " \t")] != '\0') {
        remember(e, *line);
        append_line(e, *line);
    }
    return result;
}

/* From a pipe, or a terminal on which nothing can be edited. */
static edit_result read_plain(edit *e, const char **line)
{
    if (e->terminal) {
        fputs(e->prompt, stdout);
        fflush(stdout);
    }
    if (e->terminal && wait_for_byte() < 0) {
        putchar('\n');
        return EDIT_INTERRUPTED;
    }
    const ssize_t n = getline(&e->buffer, &e->room, stdin);
    if (n < 0) {
        if (e->terminal)
            putchar('\n');
        return signals_interrupted() ? EDIT_INTERRUPTED : EDIT_END;
    }
    e->buffer[strcspn(e->buffer, "\r\n")] = '\0';
    *line = e->buffer;
    return EDIT_LINE;
}

edit_result edit_read(edit *e, const char *prompt, const char **line)
{
    e->prompt = prompt;
    fflush(stdout);
    return e->el != NULL ? read_edited(e, line) : read_plain(e, line);
}

void edit_close(edit *e)
{
    if (e == NULL)
        return;
    if (e->el != NULL)
        e->api.end(e->el);
    if (e->history != NULL)
        e->api.history_end(e->history);
    if (e->locale != (locale_t)0)
        freelocale(e->locale);
    free(e->path);
    free(e->buffer);
    free(e->before);
    free(e);
}
