/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the `perigee` command: finds the sub-command, hands over what was typed, ends with its exit status. Invariant: the exit
 * status is one of the six of the manual, and one of 1 and 2 comes with one line on standard error.
 */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *format, va_list args)
{
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int cli_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return EXIT_ERROR;
}

int cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return EXIT_USAGE;
}

int cli_engine_error(cli *c, const char *about)
{
    const char *text = peri_error(c->ctx);
    if (text[0] == '\0')
        text = "failed without a message";
    cli_say("%s: %s", about != NULL ? about : "perigee", text);
    if (c->args.verbose)
        cli_say("  raised in %s", peri_error_origin(c->ctx));
    return EXIT_ERROR;
}

static int unknown_command(const char *word)
{
    int count = 0;
    while (cli_commands[count].name != NULL && !cli_commands[count].hidden)
        count++;
    char near[64];
    args_nearest(word, "", &cli_commands[0].name, sizeof cli_commands[0], count, near, sizeof near);
    if (near[0] == '\0')
        snprintf(near, sizeof near, "; \"perigee help\" lists the commands");
    return cli_usage("perigee: \"%s\" is neither a command nor a script%s", word, near);
}

/* `perigee SCRIPT.lua` is `perigee run SCRIPT.lua`: a word that looks like a script, or is a file. */
static bool is_script(const char *word)
{
    const size_t n = strlen(word);
    if (strcmp(word, "-") == 0 || (n > 4 && strcmp(word + n - 4, ".lua") == 0))
        return true;
    return access(word, R_OK) == 0;
}

static int dispatch(cli *c, int argc, char **argv)
{
    int at = 1;
    if (!args_globals(&c->args, argc, argv, &at))
        return EXIT_USAGE;
    if (at < argc && strcmp(argv[at], "--") == 0)
        at++;
    if (c->args.version)
        return cmd_version(c);
    if (at >= argc) {
        cli_overview(c->args.help ? stdout : stderr);
        return c->args.help ? EXIT_SOLVED : EXIT_USAGE;
    }
    const cli_command *command = cli_find(argv[at]);
    if (command != NULL)
        at++;
    else if (is_script(argv[at]))
        command = cli_find("run");
    else
        return unknown_command(argv[at]);
    if (!args_command(&c->args, command, argc - at, argv + at))
        return EXIT_USAGE;
    if (c->args.help) {
        cli_page(stdout, command);
        return EXIT_SOLVED;
    }
    return command->run(c);
}

int main(int argc, char **argv)
{
    cli c = {0};
    if (!args_alloc(&c.args, argc))
        return EXIT_ERROR;
    signals_install(NULL, NULL);
    const int status = dispatch(&c, argc, argv);
    args_free(&c.args);
    return output_finish(status);
}
