/* SPDX-License-Identifier: Apache-2.0 */
/* libabsent - what absent is linked with; removed before absent is loaded. */
__attribute__((visibility("default"))) int from_absent_library(void);

int from_absent_library(void)
{
    return 3;
}
