/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - names and texts of the status codes, all from status.def, and the release. */
#include <perigee/perigee.h>

const char *peri_status_name(peri_status status)
{
    switch (status) {
#define PERI_STATUS(constant, value, name, text)                                                                       \
    case constant:                                                                                                     \
        return name;
#include <perigee/status.def>
#undef PERI_STATUS
    case PERI_STATUS_END_:
        break;
    }
    return "unknown";
}

const char *peri_status_text(peri_status status)
{
    switch (status) {
#define PERI_STATUS(constant, value, name, text)                                                                       \
    case constant:                                                                                                     \
        return text;
#include <perigee/status.def>
#undef PERI_STATUS
    case PERI_STATUS_END_:
        break;
    }
    return "unknown status";
}

const char *peri_version(void)
{
    return PERI_VERSION;
}
