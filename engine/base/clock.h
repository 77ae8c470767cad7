/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PERI_BASE_CLOCK_H
#define PERI_BASE_CLOCK_H
double clock_seconds(void); /* monotonic */
#endif
