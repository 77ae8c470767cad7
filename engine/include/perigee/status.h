/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes shared by hosts and plugins. 0 is success, errors are negative. */
#ifndef PERIGEE_STATUS_H
#define PERIGEE_STATUS_H

typedef enum {
#define PERI_STATUS(constant, value, name, text) constant = (value),
#include <perigee/status.def>
#undef PERI_STATUS
    PERI_STATUS_END_ = -1000
} peri_status;

#endif
